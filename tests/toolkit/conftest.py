"""A batch source over the fake cluster, in a lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

import pytest

from hsm_core.contract import SourceSpec
from hsm_core.testing.conformance import Lab, Rig, Subject
from hsm_core.testing.fake_cluster import FakeCluster, FakeDialect, FakeHost
from hsm_core.toolkit import BatchSource

OPTIONS: Dict[str, Any] = {"poll": 0.02, "lost_grace": 0.2, "calls_per_minute": 1_000_000}
"""As impatient as can be: everything is on one machine."""


class FakeBatch(Subject):
    """Batch sources on one fake cluster."""

    kind = "fake"
    deadline_s = 20.0

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster

    def make_source(self, spec: SourceSpec) -> BatchSource:
        """A source like any other, that does not wait for a scheduler which answers at once."""
        return BatchSource(FakeHost(self.cluster), FakeDialect(), spec, sleep=lambda seconds: None)


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """The scheduler."""
    made = FakeCluster()
    yield made
    made.close()


@pytest.fixture
def lab(cluster: FakeCluster, tmp_path: Path) -> Iterator[Lab]:
    """A sweep's folder."""
    with Lab(FakeBatch(cluster), tmp_path / "a 'place'; $(no)") as made:
        yield made


@pytest.fixture
def make_rig(lab: Lab) -> Callable[..., Rig]:
    """Open sources: `make_rig(slots=4, tasks_per_job=2)`."""

    def make(name: str = "main", slots: int = 4, **options: Any) -> Rig:
        lab.subject.options = {**OPTIONS, **options}
        return lab.rig(name, slots=slots)

    return make


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A source with four slots."""
    return make_rig()


@pytest.fixture
def held_up(make_rig: Callable[..., Rig], lab: Lab) -> Tuple[Rig, Any]:
    """A source whose task 0 runs until the gate `go` opens."""
    rig = make_rig()
    rig.submit(lab.task(0, "gate", "go"))
    rig.started(0)
    return rig, lab
