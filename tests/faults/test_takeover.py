"""Two controllers at once, controllers and runners that are stopped, hosts that cannot be asked, a folder that goes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import Any, Tuple

import pytest

from hsm_core.store.journal import read


def counts(yard: Any) -> Any:
    """The tasks by state, those states that have any."""
    return {state: count for state, count in yard.facts()["counts"].items() if count}


def other_host() -> Tuple[str, ...]:
    """Words in front of a command that make it run as if on another host: own name, own process ids, same files."""
    words = ("unshare", "--uts", "--pid", "--mount-proc", "--fork", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh")
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("another host cannot be simulated: unshare needs privileges here")
    return words


def test_two_controllers_at_once(yard: Any) -> None:
    """The second one is turned away with exit 5 and the first one's process id; nothing runs twice."""
    yard.configure(env={"PAUSE": "300"})
    first = yard.start("run", "--sweep-id", "s")
    yard.until(lambda: len(yard.attempts()) >= 4)
    for words in (("complete", "s"), ("complete", "s", "--takeover"), ("complete", "s", "--retry-failed")):
        code, said = yard.hsm(*words)
        assert code == 5, said
        assert f"process {first.pid}" in said
    code, said = yard.hsm("run", "--sweep-id", "s")
    assert (code, "already" in said) == (2, True)
    (yard.beside / "go").touch()
    assert yard.end(first) == 1
    yard.check_end(set(), exact=True)


def test_many_controllers_at_the_same_moment(yard: Any) -> None:
    """Of several `complete` started together one gets the sweep; the others exit 5, or find nothing left to do."""
    first = yard.start("run", "--sweep-id", "s")
    yard.until(lambda: len(yard.attempts()) > 3)
    first.kill()
    first.wait()
    heirs = [yard.start("complete", "s") for _ in range(4)]
    codes = sorted(yard.end(heir) for heir in heirs)
    assert codes[0] == 1
    assert set(codes) <= {1, 5}
    assert len(yard.events("opened")) == 2
    yard.check_end(set(), exact=True)


def test_a_stopped_controller_that_was_replaced_stops(yard: Any) -> None:
    """Asleep while another host took the sweep over, it wakes, says so, and exits 5; nothing that it writes counts."""
    there = other_host()
    sleeper = yard.start("run", "--sweep-id", "s", "--sources", "local:2")
    yard.until(lambda: len(yard.attempts()) >= 4)
    sleeper.send_signal(signal.SIGSTOP)
    # Its runner works on until its queue is empty: then the host is as quiet as a dead one.
    yard.until(lambda: len(yard.attempts("start")) == len(yard.attempts("end")) and quiet(yard))
    code, said = yard.hsm("complete", "s", wrap=there)
    assert code == 5, said
    assert "--takeover" in said
    code, said = yard.hsm("complete", "s", "--takeover", wrap=there)
    assert code == 1, said
    before = [event for event in read(yard.layout().journal)]
    sleeper.send_signal(signal.SIGCONT)
    assert yard.end(sleeper) == 5
    assert "was taken over by process" in yard.said(sleeper)
    assert [event for event in read(yard.layout().journal)] == before
    yard.check_end(set(), exact=True)


def quiet(yard: Any) -> bool:
    """Nothing has begun or ended for a while."""
    before = len(yard.ledger())
    try:
        yard._started[-1].wait(0.5)
    except subprocess.TimeoutExpired:
        return len(yard.ledger()) == before
    return False


def test_a_controller_that_slept_goes_on(yard: Any) -> None:
    """Stopped and continued, with nobody else about: the sweep ends as if nothing had been."""
    controller = yard.start("run", "--sweep-id", "s", "--sources", "local:2")
    yard.until(lambda: len(yard.attempts()) >= 3)
    controller.send_signal(signal.SIGSTOP)
    assert yard.hsm("complete", "s", "--takeover")[0] == 5, "it lives, and age proves nothing"
    controller.send_signal(signal.SIGCONT)
    assert yard.end(controller) == 1
    yard.check_end(set(), exact=True)


def test_a_stopped_runner_is_noticed(yard: Any) -> None:
    """A runner that does not answer makes its source unhealthy; when it goes on, so does the sweep."""
    yard.configure(health_check_interval=0.2)
    controller = yard.start("run", "--sweep-id", "s", "--sources", "local:2")
    yard.until(lambda: len(yard.attempts()) >= 3)
    (runner,) = yard.runners()
    os.kill(runner, signal.SIGSTOP)
    try:
        yard.until(lambda: [event for event in yard.events("source") if event["health"] == "unhealthy"])
        assert "does not answer" in yard.events("source")[-1]["reason"]
    finally:
        os.kill(runner, signal.SIGCONT)
    assert yard.end(controller) == 1
    assert yard.events("source")[-1]["health"] == "healthy"
    yard.check_end(set(), exact=True)


def test_a_stopped_runner_of_a_dead_controller_is_left_its_tasks(yard: Any) -> None:
    """A runner that is stopped is alive: the next controller waits for its tasks and runs none of them twice."""
    yard.configure(env={"PAUSE": "300"})
    yard.declare(3)
    controller = yard.start("run", "--sweep-id", "s", "--sources", "local:3")
    yard.until(lambda: len(yard.attempts()) == 3)
    (runner,) = yard.runners()
    os.kill(runner, signal.SIGSTOP)
    controller.kill()
    controller.wait()
    heir = yard.start("complete", "s")
    yard.until(lambda: len(yard.events("opened")) == 2)
    (yard.beside / "go").touch()
    yard.until(lambda: len(yard.attempts("end")) == 3)
    assert heir.poll() is None, yard.said(heir)
    os.kill(runner, signal.SIGCONT)
    assert yard.end(heir) == 0, yard.said(heir)
    assert counts(yard) == {"completed": 3}
    assert all(attempts == [1] for attempts in yard.attempts().values())
    yard.check_nothing_left()


def test_the_sweep_folder_is_deleted(yard: Any) -> None:
    """Its folder gone, the sweep has nothing to run for: everything ends, one line says why, nothing is made anew."""
    yard.configure(env={"PAUSE": "300"})
    controller = yard.start("run", "--sweep-id", "s", "--sources", "local:3")
    yard.until(lambda: len(yard.attempts()) >= 3)
    shutil.rmtree(yard.layout().root, ignore_errors=True)
    assert yard.end(controller) == 3, yard.said(controller)
    assert "the lease of s is gone" in yard.said(controller)
    yard.check_nothing_left()
    assert not yard.layout().root.exists()
