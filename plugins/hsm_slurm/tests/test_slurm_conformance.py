"""The source `slurm` keeps every law of sources, on a real Slurm."""

from __future__ import annotations

import pytest
from hsm_slurm.plugin import hsm_source_types

from hsm_core.contract import Source, SourceSpec
from hsm_core.testing.conformance import Rig, SourceConformance


@pytest.mark.usefixtures("cluster")
class TestSlurm(SourceConformance):
    """Over the real runner, in real jobs."""

    kind = "slurm"

    def make_source(self, spec: SourceSpec) -> Source:
        """As `hsm run --sources slurm:N` makes it."""
        (offered,) = hsm_source_types()
        return offered.factory(spec)

    def kill_agent(self, rig: Rig) -> bool:
        """Kill every runner in the jobs."""
        return True
