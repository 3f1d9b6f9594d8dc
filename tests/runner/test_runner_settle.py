"""Settling and ending: true verdicts about runners that died, live, or are somewhere else."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from hsm_core.runner import runner as module

Serve = Callable[..., Any]
ONE = (0, 1, "task_001")
TREE = (
    "import subprocess, sys, time; sleep = ['/bin/sleep', '600'];"
    "a, b = subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True);"
    "print(a.pid, b.pid, flush=True); time.sleep(600)"
)


def kill(served: Any) -> None:
    """End a runner as nothing else does."""
    served.process.kill()
    served.process.wait()


def change_status(served: Any, **changes: Any) -> None:
    """Falsify the status of the first task."""
    status = {**served.status(), **changes}
    (served.folder() / "status.yaml").write_bytes(module.status_text(status))


def test_queued_and_withdrawn(sweep: Path, start: Serve, settle: Any) -> None:
    """An attempt that nobody claimed is queued; withdrawing it makes sure that it never starts."""
    assert settle(ONE) == [("queued", "never started")]
    assert not (sweep / "tasks").exists()
    (sweep / "tasks").mkdir()
    assert settle(ONE, withdraw=True)[0][0] == "withdrawn"
    assert settle(ONE)[0][0] == "withdrawn"
    served = start()
    served.run(served.task(0, "/bin/true"), served.task(0, "/bin/true", a=2))
    assert served.wait("refused", 0, 1) == "claimed"
    assert served.wait("ended", 0, 2)["state"] == "completed"
    assert [verdict for verdict, _ in settle(ONE, (0, 2, "task_001"))] == ["withdrawn", "ended"]


def test_withdraw_of_a_later_attempt_keeps_the_earlier_record(start: Serve, settle: Any) -> None:
    """Withdrawing attempt 2 leaves the record of attempt 1 to be found."""
    served = start()
    served.result("/bin/false")
    two = (0, 2, "task_001")
    assert [verdict for verdict, _ in settle(ONE, two, withdraw=True)] == ["ended", "withdrawn"]
    assert settle(ONE)[0][1]["exit_code"] == 1


def test_withdraw_where_no_runner_ever_came(sweep: Path, settle: Any) -> None:
    """A sweep's folder without `tasks/`, as a host has it before its first runner, settles like any other."""
    assert settle(ONE, withdraw=True)[0][0] == "withdrawn"


def test_ended_whoever_died(start: Serve, settle: Any) -> None:
    """A record on disk is the truth, and it is the record that was reported."""
    served = start()
    record = served.result("/bin/sh", "-c", "exit 3")
    kill(served)
    assert settle(ONE, withdraw=True) == [("ended", record)]


def test_running_under_a_live_runner(start: Serve, settle: Any) -> None:
    """A task of a runner that lives runs, with its place, even when its controller is gone."""
    served = start(gpus=["7"])
    served.run(served.task(0, "/bin/sleep", "600", gpus=1))
    started = served.wait("started")
    served.leave()
    verdict, detail = settle(ONE, withdraw=True)[0]
    assert (verdict, detail["pid"], detail["slot"], detail["gpus"]) == ("running", started["pid"], 0, ["7"])
    assert module.is_alive(started["pid"], None)


def test_killed_runner_leaves_nothing_alive(serve: Serve, settle: Any) -> None:
    """After kill -9 of a runner, settling ends its tasks, children and setsid grandchildren, and calls them lost."""
    served = serve()
    served.run(served.task(0, sys.executable, "-c", TREE), served.task(1, "/bin/true"))
    pid = served.wait("started")["pid"]
    log = served.folder() / "stdout.log"
    children = served.wait_for(
        lambda: log.read_text().endswith("\n") and [int(word) for word in log.read_text().split()]
    )
    served.wait("ended", 1)
    kill(served)
    verdicts = settle(ONE, (1, 1, "task_002"), (2, 1, "task_003"))
    assert [verdict for verdict, _ in verdicts] == ["lost", "ended", "queued"]
    assert "died" in verdicts[0][1]
    assert not any(module.is_alive(each, None) for each in [pid, *children])
    assert not list((served.sweep / ".hsm/runners").iterdir())
    assert settle(ONE)[0][0] == "lost"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs sessions as /proc shows them")
def test_program_that_clears_its_environment_is_found(start: Serve, settle: Any) -> None:
    """A program without our variables is ended by its recorded pid and start."""
    served = start()
    served.run(served.task(0, "/usr/bin/env", "-i", "/bin/sleep", "600"))
    pid = served.wait("started")["pid"]
    served.wait_for(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])
    served.wait_for(lambda: "pid" in served.status())
    kill(served)
    assert settle(ONE)[0][0] == "lost"
    assert not module.is_alive(pid, None)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs sessions as /proc shows them")
def test_doubtful_survivor_is_unknown(start: Serve, settle: Any) -> None:
    """A nameless process in a dead runner's session is not killed on suspicion, and nothing is called lost over it."""
    served = start()
    script = 'exec env -i /bin/sh -c "/bin/sleep 600 & echo \\$!; exec /bin/sleep 600"'
    served.run(served.task(0, "/bin/sh", "-c", script))
    log = served.folder() / "stdout.log"
    child = int(served.wait_for(lambda: log.exists() and log.read_text().strip()))
    leader = served.wait("started")["pid"]
    kill(served)
    os.kill(leader, signal.SIGKILL)
    served.wait_for(lambda: not module.is_alive(leader, None))
    try:
        verdict, reason = settle(ONE)[0]
        assert (verdict, str(child) in reason) == ("unknown", True)
        assert module.is_alive(child, None)
        assert settle(ONE, takeover=True)[0][0] == "lost"
    finally:
        os.kill(child, signal.SIGKILL)
    served.wait_for(lambda: not module.is_alive(child, None))
    assert settle(ONE)[0][0] == "lost"


def test_reused_pid_is_not_the_runner(start: Serve, settle: Any) -> None:
    """A process that got the pid of a dead runner, or of its task, is neither of them and is left alone."""
    served = start()
    served.run(served.task(0, "/bin/sleep", "600"))
    served.wait("started")
    served.wait_for(lambda: "pid_start" in served.status())
    kill(served)
    settle(ONE)
    stranger = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    try:
        change_status(served, runner_pid=stranger.pid, pid=stranger.pid, pid_start="1", runner_start="1")
        assert settle(ONE)[0][0] == "lost"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_runner_of_the_same_name_is_spared(start: Serve, tmp_path: Path, settle: Any) -> None:
    """Settling a dead runner leaves one of the same id in another sweep alone."""
    other_sweep = tmp_path / "other"
    other_sweep.mkdir()
    other, served = start(sweep=other_sweep), start()
    for each in (other, served):
        each.run(each.task(0, "/bin/sleep", "600"))
    spared = other.wait("started")["pid"]
    served.wait("started")
    kill(served)
    assert settle(ONE)[0][0] == "lost"
    assert module.is_alive(spared, None)


def test_other_hosts(start: Serve, settle: Any) -> None:
    """A runner elsewhere is unknown until a person vouches for its death; one of an earlier boot is dead."""
    served = start()
    served.run(served.task(0, "/bin/sleep", "600"))
    served.wait("started")
    served.wait_for(lambda: "pid_start" in served.status())
    name, _, space = served.status()["host_key"].split("/", 2)
    kill(served)
    change_status(served, host_key=f"elsewhere/other/{space}", host="elsewhere")
    (served.sweep / ".hsm/runners/r1.json").unlink()
    verdict, reason = settle(ONE)[0]
    assert (verdict, "elsewhere" in reason) == ("unknown", True)
    assert settle(ONE, takeover=True)[0][0] == "lost"
    change_status(served, host_key=f"{name}/other/{space}")
    assert settle(ONE)[0][0] == "lost"


def test_claim_without_a_status(start: Serve, settle: Any) -> None:
    """A claimed folder without a status may be starting while any runner lives, and is lost when none does."""
    served = start()
    served.line("hello")
    served.folder().mkdir(parents=True)
    verdict, reason = settle(ONE, withdraw=True)[0]
    assert (verdict, "starting" in reason) == ("unknown", True)
    kill(served)
    assert settle(ONE, withdraw=True)[0][0] == "lost"


def test_later_runner_is_no_reason_to_doubt(start: Serve, sweep: Path, settle: Any) -> None:
    """A claim without a status that is older than every living runner is lost, though runners live."""
    (sweep / "tasks/task_001").mkdir(parents=True)
    os.utime(str(sweep / "tasks/task_001"), (time.time() - 60, time.time() - 60))
    start().line("hello")
    assert settle(ONE, withdraw=True)[0][0] == "lost"


@pytest.mark.parametrize("cut", [0, 1, 20, 60, 120, 200])
def test_torn_status(start: Serve, settle: Any, cut: int) -> None:
    """Whatever a crash leaves of a running status, the verdict is lost once its runner is dead and nothing lives."""
    served = start()
    served.run(served.task(0, "/bin/sleep", "600"))
    pid = served.wait("started")["pid"]
    served.wait_for(lambda: "pid_start" in served.status())
    data = (served.folder() / "status.yaml").read_bytes()
    (served.folder() / "status.yaml").write_bytes(data[:cut])
    assert settle(ONE, withdraw=True)[0][0] in ("unknown", "running")
    kill(served)
    assert settle(ONE, withdraw=True)[0][0] == "lost"
    assert not module.is_alive(pid, None)


def test_older_attempt_is_found_in_the_archive(start: Serve, settle: Any) -> None:
    """The record of an attempt before the newest is still its own."""
    served = start()
    for attempt, code in ((1, "3"), (2, "4")):
        served.result("/bin/sh", "-c", f"exit {code}", a=attempt)
    verdicts = settle(ONE, (0, 2, "task_001"), (0, 3, "task_001"))
    assert [detail.get("exit_code") for _, detail in verdicts[:2]] == [3, 4]
    assert verdicts[2][0] == "queued"


def test_end_by_a_live_runner(serve: Serve, settle: Any, end: Any) -> None:
    """A runner without controller ends a task on request, with its tree, and writes the record itself."""
    served = serve()
    served.run(served.task(0, "/bin/sleep", "600"), served.task(1, "/bin/sleep", "600"))
    served.wait("started", 0)
    other = served.wait("started", 1)["pid"]
    served.leave()
    assert end(ONE, grace_s=1)[0][0] == "ending"
    served.wait_for(lambda: settle(ONE)[0][0] == "ended")
    assert settle(ONE)[0][1]["state"] == "cancelled"
    assert module.is_alive(other, None)
    end((1, 1, "task_002"))
    assert served.wait_exit() == 0
    assert not list((served.sweep / ".hsm/runners").iterdir())


def test_request_without_a_signal_is_found(start: Serve) -> None:
    """A runner without controller looks for requests by itself: they may come from another host."""
    served = start()
    served.run(served.task(0, "/bin/sleep", "600"))
    served.wait("started")
    served.leave()
    folder = served.sweep / ".hsm/runners/r1.requests"
    folder.mkdir()
    (folder / "0-garbage.json").write_text("{")
    module.write_atomically(str(folder / "1.json"), json.dumps({"op": "cancel", "tasks": [[0, 1]]}).encode())
    assert served.wait_exit() == 0
    assert served.status()["state"] == "cancelled"


def test_end_after_the_runner_died(start: Serve, end: Any) -> None:
    """Ending a task of a dead runner kills what lives and leaves a cancelled record, once."""
    served = start()
    served.run(served.task(0, "/bin/sleep", "600"))
    pid = served.wait("started")["pid"]
    kill(served)
    verdict, record = end(ONE, (1, 1, "task_002"))[0]
    assert (verdict, record["state"]) == ("ended", "cancelled")
    assert not module.is_alive(pid, None)
    assert end(ONE) == [(verdict, record)]


def test_two_settle_at_once(start: Serve, sweep: Path) -> None:
    """Many that withdraw the same attempts at once all come to the same verdict."""
    (sweep / "tasks").mkdir()
    tasks = [(i, 1, f"task_{i + 1:03d}") for i in range(20)]
    request = json.dumps({"sweep_dir": str(sweep), "tasks": tasks, "withdraw": True}).encode()
    argv = [sys.executable, "-I", "-S", module.__file__, "settle"]
    several = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    for process in several:
        assert process.stdin is not None
        process.stdin.write(request)
        process.stdin.close()
        process.stdin = None
    for process in several:
        answers = json.loads(process.communicate()[0])["tasks"]
        assert {answer[2] for answer in answers} <= {"withdrawn", "lost"}
    assert all(
        module.read_status(str(sweep / "tasks" / name / "status.yaml"))["state"] == "withdrawn" for _, _, name in tasks
    )


@pytest.mark.parametrize("bad", [b"", b"garbage", b"[]", b"{}", b'{"sweep_dir": "x", "tasks": [1]}'])
@pytest.mark.parametrize("mode", ["settle", "end"])
def test_unusable_request(mode: str, bad: bytes) -> None:
    """A request that cannot be meant is one error line and exit code 2."""
    done = subprocess.run([sys.executable, "-I", "-S", module.__file__, mode], input=bad, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert "error" in json.loads(done.stdout)


def test_usage() -> None:
    """An unknown mode is one line on how to use it."""
    done = subprocess.run([sys.executable, "-I", "-S", module.__file__, "?"], stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_a_random_moment(start: Serve, settle: Any, seed: int) -> None:
    """A runner killed amid a stream of tasks: every verdict is true by the ledger of the tasks, and nobody survives."""
    moment = random.Random(seed)
    served = start(slots=3)
    ledger = served.sweep / "ledger"
    script = (
        'echo "start $HSM_TASK_INDEX" >> "$0"; sleep 0.0$(($HSM_TASK_INDEX % 3)); echo "end $HSM_TASK_INDEX" >> "$0"'
    )
    count = 60
    served.run(*(served.task(i, "/bin/sh", "-c", script, str(ledger)) for i in range(count)))
    served.wait("ended", moment.randrange(count // 2))
    time.sleep(moment.random() * 0.02)
    kill(served)
    verdicts = settle(*((i, 1, f"task_{i + 1:03d}") for i in range(count)), withdraw=True)
    assert not any(process.carries(b"HSM_TASK_DIR=" + os.fsencode(served.folder(i)))
                   for process in list(module.processes()) for i in range(count))  # fmt: skip
    lines: List[str] = ledger.read_text().splitlines()
    seen: Dict[str, int] = {line: lines.count(line) for line in lines}
    for i, (verdict, detail) in enumerate(verdicts):
        started, ended = seen.get(f"start {i}", 0), seen.get(f"end {i}", 0)
        assert started <= 1
        if verdict == "ended":
            assert (detail["state"], started, ended) == ("completed", 1, 1)
        elif verdict == "withdrawn":
            assert (started, ended) == (0, 0)
        else:
            assert verdict == "lost"
