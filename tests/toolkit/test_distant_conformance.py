"""A pool of slots on a host that is not here keeps every law of sources."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Iterator

import pytest

from hsm_core.contract import Source, SourceSpec
from hsm_core.testing.conformance import Lab, Rig, SourceConformance
from hsm_core.testing.distant_host import DistantHost
from hsm_core.toolkit import PoolSource


class TestDistantPool(SourceConformance):
    """Over the real runner and the real way home, on a machine whose files are elsewhere."""

    kind = "far"

    @pytest.fixture
    def lab(self, tmp_path: Path) -> Iterator[Lab]:
        """A machine of its own for each test."""
        self.options = {"root": str(tmp_path / "far")}
        with Lab(self, tmp_path) as made:
            yield made

    def make_source(self, spec: SourceSpec) -> Source:
        """A pool over the machine that the options name."""
        return PoolSource(DistantHost(str(spec.options["root"])), spec)

    def kill_agent(self, rig: Rig) -> bool:
        """Kill the runner."""
        (runner,) = Path(str(rig.spec.options["root"])).glob("home/.hsm/sweeps/*/.hsm/runners/*.json")
        with contextlib.suppress(ProcessLookupError):
            os.kill(json.loads(runner.read_text())["pid"], signal.SIGKILL)
        return True
