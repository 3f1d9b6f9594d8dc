"""What every batch source has to show, on PBS."""

from __future__ import annotations

from hsm_core.testing.batch import CrashesOfAController, FaultsOfACluster, StatesOfJobs, SweepsOnACluster


class TestSweeps(SweepsOnACluster):
    """Sweeps on which nothing goes wrong."""


class TestFaults(FaultsOfACluster):
    """Sweeps on which things do."""


class TestStates(StatesOfJobs):
    """What others do to jobs."""


class TestCrashes(CrashesOfAController):
    """kill -9 of the controller."""
