"""The source `pbs` keeps every law of sources."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any, ClassVar, Mapping

import pytest
from hsm_pbs.plugin import hsm_source_types

from hsm_core.contract import Source, SourceSpec
from hsm_core.testing.conformance import Rig, SourceConformance


class TestPbs(SourceConformance):
    """Over the real runner, in jobs."""

    kind = "pbs"
    options: ClassVar[Mapping[str, Any]] = {"lost_grace": 3, "calls_per_minute": 10_000}

    @pytest.fixture(autouse=True)
    def on_a_cluster(self, cluster: object) -> None:
        """The one that this worker has."""

    def make_source(self, spec: SourceSpec) -> Source:
        """As `hsm run --sources pbs:N` makes it."""
        (offered,) = hsm_source_types()
        return offered.factory(spec)

    def kill_agent(self, rig: Rig) -> bool:
        """Kill the runners in the jobs."""
        script = os.fsencode(rig.lab.sweep_dir / ".hsm" / "start_job.py")
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if script in Path("/proc", name, "cmdline").read_bytes().split(b"\0"):
                    os.kill(int(name), signal.SIGKILL)
        return True
