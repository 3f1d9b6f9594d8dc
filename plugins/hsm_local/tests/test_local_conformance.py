"""The source `local` keeps every law of sources."""

from __future__ import annotations

import contextlib
import json
import os
import signal

from hsm_local.plugin import hsm_source_types

from hsm_core.contract import Source, SourceSpec
from hsm_core.testing.conformance import Rig, SourceConformance


class TestLocal(SourceConformance):
    """Over the real runner, with real processes."""

    kind = "local"

    def make_source(self, spec: SourceSpec) -> Source:
        """As `hsm run --sources local:N` makes it."""
        (offered,) = hsm_source_types()
        return offered.factory(spec)

    def kill_agent(self, rig: Rig) -> bool:
        """Kill the runner."""
        (runner,) = (rig.lab.sweep_dir / ".hsm" / "runners").glob("*.json")
        with contextlib.suppress(ProcessLookupError):
            os.kill(json.loads(runner.read_text())["pid"], signal.SIGKILL)
        return True
