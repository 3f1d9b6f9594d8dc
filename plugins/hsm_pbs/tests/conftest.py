"""A PBS for all tests of a worker: the emulator, or with HSM_REAL_PBS=1 the one whose commands are on PATH."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Callable, ClassVar, Iterator, List, Mapping, Sequence

import pytest
from hsm_pbs.testing.emulator import Emulator

from hsm_core.testing.batch import BatchSite

REAL = os.environ.get("HSM_REAL_PBS") == "1"


class Pbs:
    """The emulator, or a real PBS, as the suite of batch sources sees it."""

    kind = "pbs"
    commands = ("qsub", "qstat", "qdel", "qselect")
    array_directive = "#PBS -J "
    job_variable = "PBS_JOBID"
    refusals: ClassVar[Mapping[str, str]] = {
        "limit": "qsub: would exceed queue generic's per-user limit",
        "timeout": "qsub: Communication failure.",
        "down": "Connection refused\nqsub: cannot connect to server pbshost (errno=15010)",
    }
    _verbs: ClassVar[Mapping[str, Sequence[str]]] = {
        "cancel": ("qdel",),
        "hold": ("qhold",),
        "release": ("qrls",),
        "suspend": ("qsig", "-s", "suspend"),
        "resume": ("qsig", "-s", "resume"),
        "requeue": ("qrerun",),
    }

    def __init__(self, emulator: Emulator | None, torque: bool = False) -> None:
        self.emulator = emulator
        if torque:
            self.array_directive = "#PBS -t "
        self._others = frozenset(self._queued())

    def run(self, *argv: str) -> str:
        """A command, without the wrappers of a site."""
        return subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False).stdout

    def jobs(self) -> Sequence[str]:
        """Ids in the queue, but for what was there before: on a real PBS, jobs of the person who tests."""
        return [id for id in self._queued() if id not in self._others]

    def _queued(self) -> Sequence[str]:
        return self.run("qselect", "-u", getpass.getuser()).split()

    def outsider(self, verb: str, *ids: str) -> None:
        """As an administrator or the user would."""
        if verb == "suspend" and self.emulator is None and os.geteuid() != 0:
            pytest.skip("NOT TESTED ON A REAL PBS: only an operator may suspend jobs")
        self.run(*self._verbs[verb], *ids)
        if verb == "release" and self.emulator is None:
            # OpenPBS's scheduler does not look at what was released before its next round, minutes later, or a new job.
            self.run("qsub", "-j", "oe", "-o", "/dev/null", "--", "/bin/true")

    def stop(self) -> None:
        """Nobody reaches the server."""
        if self.emulator is None:
            pytest.skip("NOT TESTED ON A REAL PBS: its server is not ours to stop")
        self.emulator.disconnect()

    def start(self) -> None:
        """It answers again."""
        assert self.emulator is not None
        self.emulator.reconnect()

    def drain(self) -> None:
        """End every job, and wait until the queue is empty."""
        deadline = time.monotonic() + 90.0
        while self.jobs():
            self.run("qdel", *self.jobs())
            assert time.monotonic() < deadline, self.run("qstat", "-t")
            time.sleep(0.2)


def enter(emulator: Emulator | None, folder: Path, patch: pytest.MonkeyPatch, torque: bool = False) -> Iterator[Pbs]:
    """This process and its children talk to this cluster."""
    # The budget of calls is shared by all hsm of a user, but not by tests that run beside each other.
    runtime = folder / "runtime"
    runtime.mkdir()
    patch.setenv("XDG_RUNTIME_DIR", str(runtime))
    for name, value in (emulator.env if emulator is not None else {}).items():
        patch.setenv(name, value)
    cluster = Pbs(emulator, torque)
    yield cluster
    cluster.drain()


@pytest.fixture(scope="session")
def _emulator() -> Iterator[Emulator | None]:
    if REAL:
        if shutil.which("qstat") is None:
            pytest.fail("HSM_REAL_PBS=1, and there is no qstat on PATH")
        yield None
    else:
        with Emulator() as emulator:
            yield emulator


@pytest.fixture
def cluster(_emulator: Emulator | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pbs]:
    """A PBS that this process and its children talk to, its queue empty."""
    yield from enter(_emulator, tmp_path, monkeypatch)


@pytest.fixture
def own_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pbs]:
    """An emulator of a test's own, which it may spoil."""
    with Emulator() as emulator:
        yield from enter(emulator, tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def _torque() -> Iterator[Emulator]:
    with Emulator(flavour="torque", version="6.1.2") as emulator:
        yield emulator


@pytest.fixture
def torque_site(
    _whole_sweeps: None, _torque: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BatchSite]:
    """A project on the login node of an emulated Torque."""
    for cluster in enter(_torque, tmp_path, monkeypatch, torque=True):
        made = BatchSite(tmp_path / "site", cluster)
        yield made
        made.clean()


@pytest.fixture
def _whole_sweeps() -> None:
    if os.environ.get("HSM_PBS") == "laws":
        pytest.skip("HSM_PBS=laws: whole sweeps on PBS are tested on another Python")


@pytest.fixture
def make_sites(
    _whole_sweeps: None, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., List[BatchSite]]]:
    """Make projects, side by side: `make_sites("cluster", 3)`."""
    made: List[BatchSite] = []

    def make(cluster: str, count: int = 1) -> List[BatchSite]:
        on = request.getfixturevalue(cluster)
        new = [BatchSite(tmp_path / f"site{len(made) + number}", on) for number in range(count)]
        made.extend(new)
        return new

    yield make
    for site in made:
        site.clean()


@pytest.fixture
def site(cluster: Pbs, make_sites: Callable[..., List[BatchSite]]) -> BatchSite:
    """A project on the login node."""
    return make_sites("cluster")[0]


@pytest.fixture
def own_site(own_cluster: Pbs, make_sites: Callable[..., List[BatchSite]]) -> BatchSite:
    """A project on the login node of the test's own emulator."""
    return make_sites("own_cluster")[0]
