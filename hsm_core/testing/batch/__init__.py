"""Whole sweeps on a cluster, real or emulated: what every batch source has to show, whatever its scheduler.

    class TestSweeps(SweepsOnACluster): ...
    class TestFaults(FaultsOfACluster): ...
    class TestStates(StatesOfJobs): ...

The tests take a fixture `site`, a `BatchSite` on a cluster that is empty when a test begins.
"""

from .faults import FaultsOfACluster
from .site import BatchCluster, BatchSite
from .states import StatesOfJobs
from .sweeps import SweepsOnACluster

__all__ = ["BatchCluster", "BatchSite", "FaultsOfACluster", "StatesOfJobs", "SweepsOnACluster"]
