"""The source `slurm` keeps every law of sources, on a real Slurm."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any, ClassVar, Mapping

import pytest
from hsm_slurm.plugin import hsm_source_types
from hsm_slurm.testing.cluster import missing

from hsm_core.contract import Source, SourceSpec
from hsm_core.testing.conformance import Rig, SourceConformance


class TestSlurm(SourceConformance):
    """Over the real runner, in real jobs."""

    kind = "slurm"
    options: ClassVar[Mapping[str, Any]] = {"lost_grace": 3}

    @pytest.fixture(autouse=True)
    def on_a_cluster(self, request: pytest.FixtureRequest) -> None:
        """With cgroups where that is possible: without them, what a killed job leaves behind lives on."""
        request.getfixturevalue("cluster" if missing(cgroups=True) else "strict_cluster")

    def make_source(self, spec: SourceSpec) -> Source:
        """As `hsm run --sources slurm:N` makes it."""
        (offered,) = hsm_source_types()
        return offered.factory(spec)

    def kill_agent(self, rig: Rig) -> bool:
        """Kill the runners in the jobs: what the batch script of each has become."""
        if missing(cgroups=True):
            return False
        script = os.fsencode(rig.lab.sweep_dir / ".hsm" / "start_job.py")
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if script in Path("/proc", name, "cmdline").read_bytes().split(b"\0"):
                    os.kill(int(name), signal.SIGKILL)
        return True


class TestSlurmOneTaskAJob(TestSlurm):
    """The same, when no job runs more than one task."""

    options: ClassVar[Mapping[str, Any]] = {"lost_grace": 3, "tasks_per_job": 1}
