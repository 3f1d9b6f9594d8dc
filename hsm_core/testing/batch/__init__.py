"""Whole sweeps on a cluster, real or emulated: what every batch source has to show, whatever its scheduler.

    class TestSweeps(SweepsOnACluster): ...
    class TestCrashes(CrashesOfAController): ...
    class TestFaults(FaultsOfACluster): ...
    class TestStates(StatesOfJobs): ...

The tests take a fixture `site`, a `BatchSite` on a cluster that is empty when a test begins; those of crashes also
`make_sites`, which makes any number of them side by side: `make_sites("cluster", 3)`, by the name of a fixture.
"""

from .crashes import CrashesOfAController
from .faults import FaultsOfACluster
from .site import BatchCluster, BatchSite
from .states import StatesOfJobs
from .sweeps import SweepsOnACluster

__all__ = ["BatchCluster", "BatchSite", "CrashesOfAController", "FaultsOfACluster", "StatesOfJobs", "SweepsOnACluster"]
