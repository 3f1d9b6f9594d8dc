"""Ending tasks: time limits, grace, whole process trees, and what outlives nothing."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, Callable

import pytest

from hsm_core.runner import runner as module

Serve = Callable[..., Any]
HAS_PROC = os.path.isdir("/proc/self")

FAMILY = """
import os, signal, subprocess, sys, time
stubborn = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, '-c', stubborn], stdout=subprocess.PIPE)
away = subprocess.Popen([sys.executable, '-c', stubborn], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline(), away.stdout.readline()
if 'deaf' in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if 'leave' not in sys.argv:
    print(child.pid, away.pid, flush=True)
    time.sleep(600)
print(child.pid, away.pid, flush=True)
"""


def family(served: Any) -> Any:
    """The pids that a FAMILY has printed, once it has."""
    log = served.folder() / "stdout.log"

    def pids() -> Any:
        text = log.read_text() if log.exists() else ""
        return [int(pid) for pid in text.split()] if text.endswith("\n") else None

    return served.wait_for(pids)


def test_timeout(serve: Serve) -> None:
    """A task beyond its limit ends as `timeout`, with the signal and the limit in its record."""
    served = serve()
    record = served.result("/bin/sleep", "600", timeout=0.1)
    assert (record["state"], record["signal"]) == ("timeout", signal.SIGTERM)
    assert "0.1 s" in record["reason"]
    assert 0.1 <= record["duration_s"] < 5


def test_task_within_its_limit(serve: Serve) -> None:
    """A limit that is not reached changes nothing."""
    assert serve().result("/bin/true", timeout=30)["state"] == "completed"


@pytest.mark.skipif(not HAS_PROC, reason="this system hides what has left a process group")
@pytest.mark.parametrize("deaf", [(), ("deaf",)])
def test_timeout_ends_the_whole_tree(serve: Serve, deaf: Any) -> None:
    """TERM, grace, KILL reach children that ignore TERM and grandchildren that called setsid."""
    served = serve(grace_s=0.2)
    served.run(served.task(0, sys.executable, "-c", FAMILY, *deaf))
    pids = family(served)
    served.send({"op": "cancel", "tasks": [[0, 1]]})
    record = served.wait("ended")
    assert record["state"] == "cancelled"
    assert record["signal"] == (signal.SIGKILL if deaf else signal.SIGTERM)
    served.wait_for(lambda: not any(module.is_alive(pid, None) for pid in pids))


def test_children_have_their_grace_too(serve: Serve) -> None:
    """When the leader dies of TERM at once, its child still has the grace to write a checkpoint."""
    served = serve(grace_s=20)
    child = (
        "import os, signal, sys, time\n"
        "def save(*_):\n"
        "    time.sleep(0.3); open(os.environ['HSM_RESULTS_DIR'] + '/checkpoint', 'w').close(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, save); print('up', flush=True); time.sleep(600)"
    )
    served.run(served.task(0, "/bin/sh", "-c", '"$0" -c "$1"; true', sys.executable, child))
    served.wait_for(
        lambda: (served.folder() / "stdout.log").exists() and (served.folder() / "stdout.log").read_text() == "up\n"
    )
    served.send({"op": "cancel", "tasks": [[0, 1]]})
    record = served.wait("ended")
    assert (served.folder() / "results/checkpoint").exists()
    assert record["state"] == "cancelled"
    assert record["duration_s"] < 15


def test_nothing_of_the_group_outlives_its_leader(serve: Serve) -> None:
    """When a program has ended, what it left in its process group is killed."""
    served = serve()
    record = served.result("/bin/sh", "-c", "sleep 600 & echo $!")
    assert record["state"] == "completed"
    pid = int((served.folder() / "stdout.log").read_text())
    served.wait_for(lambda: not module.is_alive(pid, None))


def test_second_cancel_can_only_shorten_the_grace(start: Serve) -> None:
    """A cancel without grace after one with a long grace kills at once."""
    served = start()
    served.run(served.task(0, "/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"))
    served.wait_for(
        lambda: (served.folder() / "stdout.log").exists() and (served.folder() / "stdout.log").read_text() == "up\n"
    )
    served.send({"op": "cancel", "tasks": [[0, 1]], "grace_s": 600})
    served.send({"op": "cancel", "tasks": [[0, 1]], "grace_s": 0})
    assert served.wait("ended")["signal"] == signal.SIGKILL


def test_second_signal_ends_the_runner_now(start: Serve) -> None:
    """SIGTERM twice leaves no grace."""
    served = start(grace_s=600)
    served.run(served.task(0, "/bin/sh", "-c", "trap 'echo term' TERM; echo up; while :; do sleep 0.05; done"))
    log = served.folder() / "stdout.log"
    served.wait_for(lambda: log.exists() and log.read_text() == "up\n")
    served.process.terminate()
    served.wait_for(lambda: log.read_text() == "up\nterm\n")
    served.process.terminate()
    assert served.wait("ended")["signal"] == signal.SIGKILL
    assert served.wait_exit() == 0


def test_clones_of_an_ended_tasks_name_are_spared(start: Serve) -> None:
    """Ending one task leaves the others alone."""
    served = start(slots=2)
    served.run(served.task(0, "/bin/sleep", "600"), served.task(1, "/bin/sleep", "600"))
    other = served.wait("started", 1)["pid"]
    served.send({"op": "cancel", "tasks": [[0, 1]]})
    served.wait("ended", 0)
    assert module.is_alive(other, None)
