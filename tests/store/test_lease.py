"""The lease: one holder, never evicted while it may live."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from hsm_core.errors import NotFoundError, StoreError, SweepBusyError
from hsm_core.runner.runner import host_key
from hsm_core.store import lease as lease_module
from hsm_core.store.files import create_exclusive
from hsm_core.store.journal import JournalWriter
from hsm_core.store.layout import SweepLayout
from hsm_core.store.lease import Lease, Superseded, holder

DEADLINE_S = 20.0
HOLD = (
    "import sys\n"
    "from hsm_core.errors import SweepBusyError\n"
    "from hsm_core.store.layout import SweepLayout\n"
    "from hsm_core.store.lease import Lease\n"
    "print('ready', flush=True)\n"
    "sys.stdin.readline()\n"
    "try:\n"
    "    lease = Lease.acquire(SweepLayout(sys.argv[1]))\n"
    "except SweepBusyError:\n"
    "    print('busy', flush=True)\n"
    "else:\n"
    "    print('won', flush=True)\n"
    "sys.stdin.readline()\n"
)


class Other:
    """Another process that tries to take the sweep when told, and then lives until it is ended."""

    def __init__(self, sweep: SweepLayout) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(sweep.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.hear() == "ready"

    def hear(self) -> str:
        """Its next word."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Kill it and bury it."""
        self.process.kill()
        self.process.communicate(timeout=DEADLINE_S)


@pytest.fixture
def others(sweep: SweepLayout) -> Iterator[Callable[[], Other]]:
    """Makes other processes, and ends them after the test."""
    made: List[Other] = []

    def make() -> Other:
        made.append(Other(sweep))
        return made[-1]

    yield make
    for other in made:
        other.end()


def left_by(sweep: SweepLayout, **changes: Any) -> Path:
    """A lease file as somebody else would have left it; its path."""
    lease = Lease.acquire(sweep)
    path = sweep.leases / f"{lease.epoch:04d}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def test_a_free_sweep_is_taken_and_let_go(sweep: SweepLayout) -> None:
    """Controllers follow each other with rising epochs; in between nobody holds the sweep."""
    assert holder(sweep) is None
    for epoch in (1, 2, 3):
        with Lease.acquire(sweep) as lease:
            assert lease.epoch == epoch
            found = holder(sweep)
            assert found is not None
            assert (found.pid, found.is_here, found.is_over) == (os.getpid(), True, False)
            lease.check()
            lease.heartbeat()
        lease.release()
        assert holder(sweep) is None


def test_the_epoch_follows_the_journals(sweep: SweepLayout) -> None:
    """A journal whose leases were lost still gets a segment of its own."""
    for epoch in (1, 2):
        JournalWriter.open(sweep.journal, "s", epoch).close()
    for path in sweep.leases.iterdir():
        path.unlink()
    with Lease.acquire(sweep) as lease:
        assert lease.epoch == 3


@pytest.mark.parametrize("takeover", [False, True])
def test_a_live_holder_on_this_host_is_never_evicted(sweep: SweepLayout, takeover: bool) -> None:
    """Not by age, and not by --takeover: the message says who, since when and what to do."""
    with Lease.acquire(sweep, now=lambda: 1.7e9):
        os.utime(sweep.leases / "0001.json", (0, 0))
        with pytest.raises(SweepBusyError) as caught:
            Lease.acquire(sweep, takeover=takeover)
    assert f"process {os.getpid()} on this host" in caught.value.message
    assert "since 2023-11-1" in caught.value.message
    assert f"hsm cancel {sweep.sweep_id}" in str(caught.value.hint)


def test_a_killed_holder_is_succeeded_at_once(sweep: SweepLayout, others: Callable[[], Other]) -> None:
    """After kill -9 the next controller takes the sweep, even while the dead process has not been reaped."""
    other = others()
    other.tell()
    assert other.hear() == "won"
    found = holder(sweep)
    assert found is not None
    assert found.pid == other.process.pid
    other.process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.process.pid, os.WEXITED | os.WNOWAIT)
    with Lease.acquire(sweep) as lease:
        assert lease.epoch == 2


def test_a_stopped_holder_still_holds(sweep: SweepLayout, others: Callable[[], Other]) -> None:
    """A controller that is stopped (SIGSTOP) may go on at any moment, and so keeps its sweep."""
    other = others()
    other.tell()
    assert other.hear() == "won"
    other.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, other.process.pid, os.WSTOPPED | os.WNOWAIT)
    with pytest.raises(SweepBusyError, match=f"process {other.process.pid} on this host"):
        Lease.acquire(sweep)


def test_a_holder_on_another_host_needs_a_persons_word(sweep: SweepLayout) -> None:
    """Nobody here can tell whether it lives: --takeover says that it does not."""
    path = left_by(sweep, host="elsewhere", host_key="elsewhere/boot/ns")
    os.utime(path, (1000, 1000))
    found = holder(sweep)
    assert found is not None
    assert (found.is_here, found.is_over) == (False, False)
    with pytest.raises(SweepBusyError, match="on elsewhere, last heard of 5 min ago") as caught:
        Lease.acquire(sweep, now=lambda: 1300.0)
    assert "--takeover" in str(caught.value.hint)
    with Lease.acquire(sweep, takeover=True) as lease:
        assert lease.epoch == 2


def test_another_process_namespace_of_this_host_counts_as_elsewhere(sweep: SweepLayout) -> None:
    """The process ids of another container mean nothing here."""
    host, boot, _ = host_key().split("/", 2)
    left_by(sweep, host_key=f"{host}/{boot}/another")
    with pytest.raises(SweepBusyError, match="last heard of"):
        Lease.acquire(sweep)


def test_a_reboot_ends_every_lease_of_before(sweep: SweepLayout) -> None:
    """What ran before this host was started anew does not run now."""
    host, _, namespace = host_key().split("/", 2)
    left_by(sweep, host_key=f"{host}/an earlier boot/{namespace}")
    assert holder(sweep) is None
    with Lease.acquire(sweep) as lease:
        assert lease.epoch == 2


def test_a_reused_pid_is_not_the_holder(sweep: SweepLayout) -> None:
    """A process that merely has the number of the dead one holds nothing."""
    left_by(sweep, start="1")
    with Lease.acquire(sweep) as lease:
        assert lease.epoch == 2


def test_a_replaced_controller_learns_of_it(sweep: SweepLayout) -> None:
    """One that was asleep while a person took the sweep over stops at its next check, and its release harms nobody."""
    old = Lease.acquire(sweep)
    path = sweep.leases / "0001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "x", "host_key": "x/y/z"}))
    with Lease.acquire(sweep, takeover=True) as new:
        for learn in (old.check, old.heartbeat):
            with pytest.raises(Superseded, match=f"taken over by process {os.getpid()}"):
                learn()
        old.release()
        new.check()
        with pytest.raises(SweepBusyError):
            Lease.acquire(sweep)


def test_a_removed_sweep_ends_its_controller(sweep: SweepLayout) -> None:
    """Who finds the sweep's folder gone stops, and does not make it again."""
    lease = Lease.acquire(sweep)
    shutil.rmtree(sweep.root)
    with pytest.raises(NotFoundError, match="is gone"):
        lease.heartbeat()
    lease.release()
    assert not sweep.root.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"epoch": 1}', "\udcff"])
def test_an_unreadable_lease_is_not_guessed_at(sweep: SweepLayout, text: str) -> None:
    """A lease that says nothing may be anybody's: a person decides."""
    (sweep.leases / "0001.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SweepBusyError, match="cannot be read") as caught:
        Lease.acquire(sweep)
    assert "--takeover" in str(caught.value.hint)
    with Lease.acquire(sweep, takeover=True) as lease:
        assert lease.epoch == 2


def test_fields_of_a_later_version_do_no_harm(sweep: SweepLayout) -> None:
    """A lease that says more than is known here is understood."""
    left_by(sweep, more=True)
    with pytest.raises(SweepBusyError, match="being run by process"):
        Lease.acquire(sweep)


def test_a_place_that_cannot_be_written_is_one_clear_line(sweep: SweepLayout) -> None:
    """The error names the lease's file."""
    sweep.leases.rmdir()
    sweep.leases.write_text("in the way")
    with pytest.raises(StoreError, match="cannot write the lease"):
        Lease.acquire(sweep)


def test_who_was_slow_to_take_a_dead_lease_looks_again(sweep: SweepLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between seeing that the holder is dead and taking its place another may do so: the slow one is refused."""
    left_by(sweep, start="1")
    quick: List[Lease] = []

    def create(path: str, data: bytes) -> None:
        monkeypatch.setattr(lease_module, "create_exclusive", create_exclusive)
        quick.append(Lease.acquire(sweep))
        create_exclusive(path, data)

    monkeypatch.setattr(lease_module, "create_exclusive", create)
    with pytest.raises(SweepBusyError, match="being run by process"):
        Lease.acquire(sweep)
    assert [lease.epoch for lease in quick] == [2]
    quick[0].check()


def test_of_processes_that_race_for_a_dead_lease_one_wins(sweep: SweepLayout, others: Callable[[], Other]) -> None:
    """Round after round, the holder is killed and four processes take its place at once: one gets it."""
    racers = [others() for _ in range(4)]
    left_by(sweep, start="1")
    while racers:
        for racer in racers:
            racer.tell()
        words = [racer.hear() for racer in racers]
        assert sorted(words) == ["busy"] * (len(racers) - 1) + ["won"]
        for racer in racers:
            racer.end()
        racers = [others() for _ in range(len(racers) - 1)]
