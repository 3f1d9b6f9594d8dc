"""A batch source over a host that is not here: the laws of sources, and that nothing stays there."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, Optional, Sequence

import pytest

from hsm_core.contract import Completed, Source, SourceSpec
from hsm_core.testing.conformance import Lab
from hsm_core.testing.conformance.delivery import DeliveryLaws
from hsm_core.testing.conformance.ending import EndingLaws
from hsm_core.testing.conformance.evidence import EvidenceLaws
from hsm_core.testing.conformance.manners import MannersLaws
from hsm_core.testing.distant_host import DistantHost
from hsm_core.testing.fake_cluster import FakeCluster, FakeDialect
from hsm_core.toolkit import BatchSource

OPTIONS = {"poll": 0.02, "lost_grace": 0.2, "calls_per_minute": 1_000_000, "tasks_per_job": 1}


class LoginNode(DistantHost):
    """Another machine, where the fake cluster's commands are."""

    def __init__(self, root: str, cluster: FakeCluster) -> None:
        super().__init__(root)
        self._cluster = cluster

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", cwd: Optional[str] = None, timeout_s: float = 60.0
    ) -> Completed:
        """Run a command of the cluster, or any other."""
        command = list(argv)
        while command[:1] == ["env"] and command[1:2] == ["-u"]:
            command = ["env", *command[3:]]
        command = command[1:] if command[:1] == ["env"] and command[1:2] and command[1].startswith("fake-") else command
        if command[0].startswith("fake-"):
            self.link.check(timeout_s)
            return self._cluster.command(command)
        return super().run(argv, input=input, cwd=cwd, timeout_s=timeout_s)


class TestDistantBatch(DeliveryLaws, EvidenceLaws, EndingLaws, MannersLaws):
    """The laws, on a cluster whose files are elsewhere; those of adoption by another process need a real one."""

    kind = "fake"
    deadline_s = 40.0

    @pytest.fixture
    def lab(self, tmp_path: Path) -> Iterator[Lab]:
        """A cluster and its login node."""
        self.options = OPTIONS
        self.root = str(tmp_path / "login1")
        self.cluster = FakeCluster(slots=8)
        with Lab(self, tmp_path) as made:
            yield made
        self.cluster.close()

    def make_source(self, spec: SourceSpec) -> Source:
        """A source that does not wait for a scheduler which answers at once."""
        return BatchSource(LoginNode(self.root, self.cluster), FakeDialect(), spec, sleep=lambda seconds: None)

    def test_nothing_stays_on_the_login_node(self, lab: Lab) -> None:
        """When everything is home and no job is left, the sweep's folder goes; the scripts are here."""
        rig = lab.rig(slots=2)
        rig.run(*lab.tasks(3, "show"))
        assert list(Path(self.root).glob("home/.hsm/sweeps/*"))
        rig.close()
        assert not list(Path(self.root).glob("home/.hsm/sweeps/*"))
        assert list((lab.sweep_dir / "scripts" / "job_scripts").iterdir())

    def test_jobs_are_taken_up_by_the_next(self, lab: Lab) -> None:
        """Closing leaves them, and their folder; whoever comes next has only the handles."""
        first = lab.rig()
        first.submit(lab.task(0, "gate", "go"))
        first.started(0)
        first.close()
        second = lab.rig()
        second.adopt(first.handles)
        second.started(0)
        lab.put("go")
        (seen,) = second.over((0, 1))
        assert (seen.record or {})["state"] == "completed"
        assert lab.runs() == [(0, 1)]

    def test_last_words_come_with_the_end(self, lab: Lab) -> None:
        """Nobody can read them here yet."""
        (seen,) = lab.rig().run(lab.task(0, "speak"))
        assert seen.record is not None
        assert str(seen.record["last_words"]).endswith("eee")
