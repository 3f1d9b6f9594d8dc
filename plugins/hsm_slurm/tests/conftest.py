"""Real clusters, each for all tests of a worker, where one can be started; a login node on which things can go wrong.

The environment may say which tests use one: `HSM_REAL_SLURM=0` none, `HSM_REAL_SLURM=laws` the laws of sources only.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Callable, Iterator, List, Tuple

import pytest
from hsm_slurm.testing.cluster import Cluster, missing

from hsm_core.testing.batch import BatchSite

_WANTED = os.environ.get("HSM_REAL_SLURM", "1")
_LAWS = "on_a_cluster"
"""The fixture of those tests that every source has to pass."""
_CLUSTERS = {"cluster": "plain", "accounted_cluster": "accounted", "strict_cluster": "strict", "own_cluster": ""}
"""Fixtures that are a real cluster, and the group of tests that share one; on a cluster of its own none does."""


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    """Keep tests that share a cluster together on one worker; leave out those that are not wanted."""
    unwanted = []
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        groups = {group for name, group in _CLUSTERS.items() if name in names}
        if _LAWS in names:
            item.add_marker(pytest.mark.xdist_group("slurm-laws"))
        elif groups:
            group = min(groups)
            if group:
                # Plain clusters are cheap: each file has one, so that there is work for several workers.
                own = item.path.stem if group == "plain" else group
                item.add_marker(pytest.mark.xdist_group(f"slurm-{own}"))
            if _WANTED == "laws":
                unwanted.append(item)
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in set(unwanted)]


def _start(
    accounting: bool = False, cgroups: bool = False, gpus: int = 0, extra: Tuple[str, ...] = ()
) -> Iterator[Cluster]:
    lacking = "HSM_REAL_SLURM=0" if _WANTED == "0" else missing(accounting, cgroups)
    if lacking:
        pytest.skip(f"NOT TESTED ON A REAL SLURM: {lacking} (scripts/install-slurm)")
    with Cluster(accounting=accounting, cgroups=cgroups, gpus=gpus, extra=extra) as cluster:
        yield cluster


_PREEMPTION = (
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "PartitionName=mild Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE MaxTime=INFINITE",
    "PartitionName=hard Nodes=ALL PriorityTier=1 PreemptMode=CANCEL MaxTime=INFINITE",
    "PartitionName=urgent Nodes=ALL PriorityTier=9 PreemptMode=OFF MaxTime=INFINITE",
)
_STRICT_ACCOUNTS = ("AccountingStorageEnforce=associations,limits,qos", "MinJobAge=3", "MaxArraySize=21")


@pytest.fixture(scope="session")
def _plain_cluster() -> Iterator[Cluster]:
    yield from _start(gpus=2, extra=_PREEMPTION)


@pytest.fixture(scope="session")
def _accounted_cluster() -> Iterator[Cluster]:
    yield from _start(accounting=True, extra=_STRICT_ACCOUNTS)


@pytest.fixture(scope="session")
def _strict_cluster() -> Iterator[Cluster]:
    yield from _start(cgroups=True)


def _enter(cluster: Cluster, patch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    # The budget of calls is shared by all hsm of a user, but not by tests that run beside each other.
    runtime = cluster.folder / "runtime"
    runtime.mkdir(exist_ok=True)
    patch.setenv("XDG_RUNTIME_DIR", str(runtime))
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        patch.delenv(name)
    for name, value in cluster.env.items():
        patch.setenv(name, value)
    yield cluster
    cluster.drain()


@pytest.fixture
def own_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A real Slurm of this test alone, for what leaves a cluster strange: one that gives ids a second time."""
    for cluster in _start():
        yield from _enter(cluster, monkeypatch)


@pytest.fixture
def cluster(_plain_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A real Slurm that this process and its children talk to, its queue empty."""
    yield from _enter(_plain_cluster, monkeypatch)


@pytest.fixture
def accounted_cluster(_accounted_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The same with accounting, which the controller enforces; it forgets ended jobs within seconds."""
    yield from _enter(_accounted_cluster, monkeypatch)


@pytest.fixture
def strict_cluster(_strict_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A real Slurm that follows and limits jobs by cgroups, as production clusters do."""
    yield from _enter(_strict_cluster, monkeypatch)


class Site(BatchSite):
    """A project on a login node of a Slurm."""

    def job_of(self, index: int) -> str:
        """The name by which scancel knows the job that first ran a task: ARRAY_INDEX, or its id."""
        id = super().job_of(index)
        text = self.cluster.run("scontrol", "-o", "show", "job", id)
        array = re.search(r"ArrayJobId=(\d+) ArrayTaskId=(\d+)", text)  # an array's last element has the array's own id
        return f"{array[1]}_{array[2]}" if array else id


@pytest.fixture
def make_sites(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., List[Site]]]:
    """Make projects, side by side: `make_sites("cluster", 3)`. What takes long may so happen to all of them at once."""
    made: List[Site] = []

    def make(cluster: str, count: int = 1) -> List[Site]:
        on = request.getfixturevalue(cluster)
        new = [Site(tmp_path / f"site{len(made) + number}", on) for number in range(count)]
        made.extend(new)
        return new

    yield make
    for site in made:
        site.clean()


@pytest.fixture
def site(cluster: Cluster, make_sites: Callable[..., List[Site]]) -> Site:
    """A project on the login node of the plain cluster."""
    return make_sites("cluster")[0]


@pytest.fixture
def accounted_site(accounted_cluster: Cluster, make_sites: Callable[..., List[Site]]) -> Site:
    """A project on the login node of the cluster with accounting."""
    return make_sites("accounted_cluster")[0]


@pytest.fixture
def strict_site(strict_cluster: Cluster, make_sites: Callable[..., List[Site]]) -> Site:
    """A project on the login node of the cluster with cgroups."""
    return make_sites("strict_cluster")[0]


@pytest.fixture
def own_site(own_cluster: Cluster, make_sites: Callable[..., List[Site]]) -> Site:
    """A project on a cluster of its own."""
    return make_sites("own_cluster")[0]
