"""Serving: the protocol, one operation after the other, with real programs."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from hsm_core.runner import runner as module

Serve = Callable[..., Any]

ECHO = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ), os.getcwd()], open(os.environ['OUT'], 'w'))"
NASTY = [
    "",
    " ",
    "-x",
    "a b; $(touch owned)\n'\"",
    "`id`",
    "\\",
    "ünï→😀",
    "x" * 50_000,
    "\t\r\x01\x7f",
    "*",
    "{}",
    "%s",
]


def test_hello_says_who_and_leaves_word(serve: Serve) -> None:
    """A runner greets with its identity, and its file names the same process until it ends cleanly."""
    served = serve(slots=3, gpus=[0, "MIG-1"])
    hello = served.line("hello")
    file = served.sweep / ".hsm" / "runners" / "r1.json"
    about = json.loads(file.read_text())
    assert hello["pid"] == about["pid"] == served.process.pid
    assert (hello["slots"], hello["gpus"], hello["source"]) == (3, ["0", "MIG-1"], "local:local")
    assert os.getsid(served.process.pid) == served.process.pid
    served.leave()
    assert served.wait_exit() == 0
    assert not file.exists()


def test_program_gets_argv_env_and_folder(serve: Serve) -> None:
    """Arguments, variables and files arrive byte for byte, in the project's folder, and nothing is executed."""
    served = serve(env={"COMMON": "1", "HSM_X": "dropped by nobody"})
    out = str(served.sweep / "out.json")
    env = {"OUT": out, "A": "\n'\"$x", "EMPTY": ""}
    files = {"params.yaml": "a: 1\n", "params.json": json.dumps(NASTY), "ünï 😀": "\r\n"}
    record = served.result(sys.executable, "-c", ECHO, *NASTY, env=env, files=files)
    assert record["state"] == "completed", (served.folder() / "stderr.log").read_text()
    argv, seen, cwd = json.loads((served.sweep / "out.json").read_text())
    folder = served.folder()
    assert argv == NASTY
    assert cwd == str(served.sweep.parent)
    assert {name: seen[name] for name in env} == env
    assert seen["COMMON"] == "1"
    assert (seen["HSM_SWEEP_ID"], seen["HSM_TASK_ID"], seen["HSM_TASK_INDEX"]) == ("s1", "task_001", "0")
    assert (seen["HSM_ATTEMPT"], seen["HSM_SOURCE"], seen["HSM_RUNNER"][:3]) == ("1", "local:local", "r1:")
    assert (seen["HSM_TASK_DIR"], seen["HSM_RESULTS_DIR"]) == (str(folder), str(folder / "results"))
    assert (seen["HSM_PARAMS_FILE"], seen["HSM_METRICS_FILE"]) == (
        str(folder / "params.json"),
        str(folder / "metrics.json"),
    )
    assert {name: (folder / name).read_bytes().decode() for name in files} == files
    assert (folder / "results").is_dir()
    assert not list(served.sweep.parent.glob("owned"))


def test_params_file_is_yaml_without_json(serve: Serve) -> None:
    """HSM_PARAMS_FILE names params.yaml when there is no params.json."""
    served = serve()
    served.result("/bin/sh", "-c", 'echo "$HSM_PARAMS_FILE"; echo err >&2', files={"params.yaml": "a: 1\n"})
    assert (served.folder() / "stdout.log").read_text().strip() == str(served.folder() / "params.yaml")
    assert (served.folder() / "stderr.log").read_text() == "err\n"


@pytest.mark.parametrize(
    ("script", "state", "key", "value"),
    [
        ("exit 0", "completed", "exit_code", 0),
        ("exit 3", "failed", "exit_code", 3),
        ("exit 255", "failed", "exit_code", 255),
        ("kill -9 $$", "failed", "signal", 9),
        ("kill -SEGV $$", "failed", "signal", 11),
    ],
)
def test_exit_record(serve: Serve, script: str, state: str, key: str, value: int) -> None:
    """Only exit code 0 is completed; a code or a signal is told as it was, on disk as in the event."""
    served = serve()
    record = served.result("/bin/sh", "-c", script)
    assert (record["state"], record[key]) == (state, value)
    assert record["duration_s"] > 0
    assert record["max_rss_mb"] > 0
    assert record["cpu_s"] >= 0
    assert record["oom_killed"] is False
    status = served.status()
    assert {name: status[name] for name in record} == record
    assert (status["attempt"], status["task_id"], status["source"], status["runner"]) == (
        1,
        "task_001",
        "local:local",
        "r1",
    )


def test_program_that_is_not_there(serve: Serve) -> None:
    """A command that is not found, or cannot be executed, has failed as in a shell, and the reason names it."""
    served = serve()
    plain = served.sweep / "plain.txt"
    plain.write_text("x")
    script = served.sweep / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    served.run(
        served.task(0, "no-such-program"),
        served.task(1, "/no/such/program"),
        served.task(2, str(plain)),
        served.task(3, str(script)),
        served.task(4, str(served.sweep)),
        served.task(5, "plain.txt", env={"PATH": str(served.sweep)}),
    )
    records = [served.wait("ended", i) for i in range(6)]
    assert [(record["state"], record["exit_code"]) for record in records] == [
        ("failed", code) for code in (127, 127, 126, 127, 126, 126)
    ]
    assert records[0]["reason"] == "no-such-program: command not found"
    assert "interpreter" in records[3]["reason"]
    assert served.status(1)["reason"] == "/no/such/program: command not found"


def test_program_is_looked_for_on_the_tasks_path(serve: Serve) -> None:
    """A command without a slash is searched on the PATH of the task, and a relative one from the project's folder."""
    served = serve()
    tool = served.sweep / "tool"
    tool.write_text("#!/bin/sh\nexit 7\n")
    tool.chmod(0o755)
    served.run(served.task(0, "tool", env={"PATH": f"/nowhere:{served.sweep}"}), served.task(1, "./sweep/tool"))
    assert served.wait("ended", 0)["exit_code"] == 7
    assert served.wait("ended", 1)["exit_code"] == 7


def test_signals_are_as_a_program_expects_them(serve: Serve) -> None:
    """A program starts with no signal blocked and none ignored, as leader of a process group, its input empty."""
    served = serve()
    script = (
        "import os, signal, sys\n"
        "ignored = [n for n in range(1, 32) if n not in (9, 19) and signal.getsignal(n) == signal.SIG_IGN]\n"
        "print(ignored, list(signal.pthread_sigmask(0, [])), os.getpgrp() == os.getpid(), sys.stdin.read())"
    )
    served.result(sys.executable, "-c", script)
    # Python itself ignores SIGPIPE and SIGXFSZ.
    itself = sorted([signal.SIGPIPE, signal.SIGXFSZ])
    assert (served.folder() / "stdout.log").read_text() == f"{[int(n) for n in itself]} [] True \n"


def test_first_come_first_served_within_slots(serve: Serve) -> None:
    """Tasks start in order, never more at once than there are slots, and slots are numbered from 0."""
    served = serve(slots=2)
    served.run(*(served.task(i, "/bin/true") for i in range(40)))
    served.wait("ended", 39)
    started = [event[1] for event in served.events if event[0] == "started"]
    assert started == sorted(started)
    running = 0
    for kind, _, _, detail in served.events:
        running += {"started": 1, "ended": -1}[kind]
        assert running <= 2
        assert detail["slot"] in (0, 1)


def test_claimed_attempt_is_refused(serve: Serve) -> None:
    """An attempt whose folder somebody has made is not started."""
    served = serve()
    served.folder().mkdir(parents=True)
    served.run(served.task(0, "/bin/true"))
    assert served.wait("refused") == "claimed"
    assert not list(served.folder().iterdir())


def test_later_attempt_keeps_the_earlier(serve: Serve) -> None:
    """A second attempt moves everything of the first into attempts/1, results too, and starts clean."""
    served = serve()
    write = 'echo "$HSM_ATTEMPT" > "$HSM_RESULTS_DIR/model"; echo x > "$HSM_TASK_DIR/own"; exit 3'
    for attempt in (1, 2, 3):
        served.run(served.task(0, "/bin/sh", "-c", write, a=attempt))
        served.wait("ended", 0, attempt)
    folder = served.folder()
    for attempt, place in ((1, folder / "attempts/1"), (2, folder / "attempts/2"), (3, folder)):
        assert (place / "results/model").read_text() == f"{attempt}\n"
        assert (place / "own").exists()
        assert json.loads((place / "status.yaml").read_text().split("attempt: ")[1].split("\n")[0]) == attempt
    served.run(served.task(0, "/bin/true", a=2))
    assert served.wait("refused", 0, 2) == "claimed"


def test_skipped_attempts_can_never_start(serve: Serve) -> None:
    """Starting attempt 3 of a task without attempts 1 and 2 closes those for good."""
    served = serve()
    served.run(*(served.task(0, "/bin/true", a=attempt) for attempt in (3, 1, 2)))
    assert served.wait("ended", 0, 3)["state"] == "completed"
    assert served.wait("refused", 0, 1) == "claimed"
    assert served.wait("refused", 0, 2) == "claimed"


def test_cancel_of_a_waiting_task(serve: Serve) -> None:
    """A task that waits is withdrawn, and leaves no folder."""
    served = serve(slots=1)
    served.run(served.task(0, "/bin/sleep", "60"), served.task(1, "/bin/true"), served.task(2, "/bin/true"))
    served.wait("started", 0)
    served.send({"op": "cancel", "tasks": [[1, 1], [7, 1]]})
    served.wait("withdrawn", 1)
    assert not served.folder(1).exists()
    served.send({"op": "cancel", "tasks": [[0, 1]], "grace_s": 1})
    assert served.wait("ended", 0)["state"] == "cancelled"
    assert served.wait("ended", 2)["state"] == "completed"


def test_stop(serve: Serve) -> None:
    """Stop withdraws what waits, ends what runs, and the runner leaves with 0."""
    served = serve(slots=1)
    served.run(served.task(0, "/bin/sleep", "60"), served.task(1, "/bin/true"))
    served.wait("started", 0)
    served.send({"op": "stop", "grace_s": 1})
    assert served.wait("ended", 0)["signal"] == signal.SIGTERM
    assert served.seen("withdrawn", 1)
    assert served.wait_exit() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_the_runner(serve: Serve, number: int) -> None:
    """SIGTERM and SIGINT are a stop with grace; SIGHUP is nothing."""
    served = serve()
    served.run(served.task(0, "/bin/sleep", "60"))
    served.wait("started", 0)
    served.process.send_signal(signal.SIGHUP)
    served.send({"op": "ping", "n": 1})
    assert served.line("pong") == 1
    served.process.send_signal(number)
    assert served.wait("ended", 0)["state"] == "cancelled"
    assert served.wait_exit() == 0


def test_end_of_input_drops_the_backlog(serve: Serve) -> None:
    """At the end of its input a runner lets what runs end, starts nothing more, and claims nothing more."""
    served = serve(slots=1)
    gate = served.sweep / "gate"
    os.mkfifo(str(gate))
    served.run(served.task(0, "/bin/cat", str(gate)), *(served.task(i, "/bin/true") for i in range(1, 20)))
    served.wait("started", 0)
    served.leave()
    gate.write_text("go\n")
    assert served.wait_exit() == 0
    assert served.status()["state"] == "completed"
    assert not served.folder(1).exists()
    assert not served.seen("started", 1)


def test_tasks_that_came_with_the_end_are_not_started(serve: Serve) -> None:
    """Nothing that arrives together with the end of input is started."""
    served = serve()
    served.line("hello")
    served.process.send_signal(signal.SIGSTOP)
    served.run(*(served.task(i, "/bin/true") for i in range(5)))
    served.leave()
    served.process.send_signal(signal.SIGCONT)
    assert served.wait_exit() == 0
    assert not list((served.sweep / "tasks").iterdir())


def test_unknown_and_unusable_lines(serve: Serve) -> None:
    """Unknown operations and fields are nothing, unusable lines are told, and the runner goes on."""
    served = serve()
    served.send(
        {"op": "from the future"}, b"garbage\n", b"[1]\n", b"\xff\xfe\n", {"op": "run"}, {"op": "cancel", "tasks": [1]}
    )
    served.run({**served.task(0, "/bin/true"), "new": 1})
    assert served.wait("ended")["state"] == "completed"
    assert len([line for line in served.lines if "error" in line]) == 5


@pytest.mark.parametrize(
    "bad",
    [
        {"argv": []},
        {"argv": ["a\0b"]},
        {"argv": ["/bin/true", "\ud800"]},
        {"argv": None},
        {"id": "../x"},
        {"id": ""},
        {"files": {"../x": ""}},
        {"files": {"status.yaml": ""}},
        {"env": {"A=B": "1"}},
        {"env": {"A": 1}},
        {"a": 0},
        {"timeout": "soon"},
        {"gpus": 1},
    ],
)
def test_impossible_tasks_are_refused(start: Serve, bad: Any) -> None:
    """A task that can never run is refused with the reason, and the next one runs."""
    served = start()
    task = served.task(0, "/bin/true")
    task.update(bad)
    served.run(task, served.task(1, "/bin/true"))
    assert isinstance(served.wait("refused", 0, task["a"]), str)
    served.wait("ended", 1)


def test_huge_argv_has_failed(serve: Serve) -> None:
    """A command line longer than the system allows is a failure of the task, with the reason."""
    served = serve()
    record = served.result("/bin/true", "x" * 4_000_000)
    assert (record["state"], record["exit_code"]) == ("failed", 126)
    assert "too long" in record["reason"].lower()


def test_init_first(start: Serve) -> None:
    """A folder that is not there is one error line and exit code 2, and nothing is made."""
    served = start(sweep_dir="/nonexistent/sweep")
    assert "/nonexistent/sweep" in served.line("error")
    assert served.wait_exit() == 2


def test_setup_gives_the_environment(serve: Serve) -> None:
    """What setup lines leave in the environment reaches every task; what they print does not get in the way."""
    served = serve(setup=["echo noise", "export FROM_SETUP='a\nb'", "f() { false; true; }; f", "unset HOME"])
    served.result("/bin/sh", "-c", 'printf %s "$FROM_SETUP$HOME"')
    assert (served.folder() / "stdout.log").read_text() == "a\nb"


def test_setup_that_fails_refuses_every_task(serve: Serve) -> None:
    """A failing setup line is an error, and the reason of every refusal."""
    served = serve(setup=["echo 'no such module: cuda' >&2; false", "export X=1"])
    assert "no such module: cuda" in served.line("error")
    served.run(served.task(0, "/bin/true"))
    assert "no such module: cuda" in served.wait("refused")
    assert not served.folder().exists()


def test_gpus_are_given_out(serve: Serve) -> None:
    """Tasks get as many GPUs as they ask for, no two the same, and smaller ones pass one that must wait."""
    served = serve(slots=4, gpus=["a", "b", "c"])
    gates = [served.sweep / f"gate{number}" for number in range(3)]  # one each: a pipe's end is seen by who reads it
    for gate in gates:
        os.mkfifo(str(gate))
    holds = [["/bin/sh", "-c", 'echo "$CUDA_VISIBLE_DEVICES"; cat "$0"', str(gate)] for gate in gates]
    served.run(
        served.task(0, *holds[0], gpus=2),
        served.task(1, *holds[1], gpus=3),
        served.task(2, *holds[2], gpus=1),
        served.task(3, "/bin/true"),
        served.task(4, "/bin/true", gpus=4),
    )
    assert served.wait("refused", 4) == "gpus: asks for 4, there are 3"
    assert served.wait("started", 0)["gpus"] == ["a", "b"]
    assert served.wait("started", 2)["gpus"] == ["c"]
    served.wait("ended", 3)
    assert not served.seen("started", 1)
    gates[2].write_text("")
    gates[0].write_text("")
    assert served.wait("started", 1)["gpus"] == ["a", "b", "c"]
    assert served.seen("ended", 2)
    gates[1].write_text("")
    served.wait("ended", 1)
    assert (served.folder(1) / "stdout.log").read_text() == "a,b,c\n"


def test_reserved_places_stay_free(serve: Serve) -> None:
    """Reserved slots and GPUs are not given out until the next list says so."""
    served = serve(slots=2, gpus=["a", "b"])
    served.send({"op": "reserve", "slots": [0], "gpus": ["a"]})
    served.run(served.task(0, "/bin/true", gpus=1), served.task(1, "/bin/true", gpus=2))
    started = served.wait("started", 0)
    assert (started["slot"], started["gpus"]) == (1, ["b"])
    served.wait("ended", 0)
    assert not served.seen("started", 1)
    served.send({"op": "reserve"})
    assert served.wait("started", 1)["gpus"] == ["a", "b"]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinity")
def test_cores_are_pinned(serve: Serve) -> None:
    """With pin_cores a task runs on its share of the cores, and the runner keeps all of them."""
    served = serve(slots=1, pin_cores=True)
    served.result(sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))", cpus=1)
    assert (served.folder() / "stdout.log").read_text() == "1\n"
    assert os.sched_getaffinity(served.process.pid) == os.sched_getaffinity(0)


def test_controller_that_does_not_read(serve: Serve) -> None:
    """A full pipe blocks nothing: tasks end, and the events are there when somebody reads again."""
    served = serve()
    argv = ["/bin/true"]
    served.run(*(served.task(i, *argv) for i in range(400)))
    last = served.folder(399) / "status.yaml"
    served.wait_for(lambda: module.read_status(str(last)).get("state") == "completed")
    served.wait("ended", 399)
    assert len([event for event in served.events if event[0] == "ended"]) == 400


def test_broken_output_pipe(serve: Serve) -> None:
    """A controller that stops listening costs events only: every record is on disk."""
    served = serve(slots=1)
    served.line("hello")
    served.stdout.close()
    served.run(*(served.task(i, "/bin/true") for i in range(3)))
    served.wait_for(lambda: served.status(2).get("state") == "completed")
    served.leave()
    assert served.process.wait(30) == 0


@pytest.fixture
def small_memory(tmp_path: Path) -> Iterator[str]:
    """An interpreter that runs in a control group of 40 MB."""
    groups = dict(line.split(":")[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    version_1 = Path(f"/sys/fs/cgroup/memory{groups.get('memory', '/')}")
    version_2 = Path(f"/sys/fs/cgroup{groups.get('', '/')}")
    parent, limit = (version_1, "memory.limit_in_bytes") if version_1.is_dir() else (version_2, "memory.max")
    group = parent / f"hsm-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(40 << 20))
    except OSError as error:
        pytest.skip(f"needs the right to make a control group: {error}")
    swap = group / "memory.swap.max"
    if swap.exists():
        swap.write_text("0")
    inside = tmp_path / "python"
    inside.write_text(f'#!/bin/sh\necho $$ > "{group}/cgroup.procs" && exec "{sys.executable}" "$@"\n')
    inside.chmod(0o755)
    yield str(inside)
    for pid in (group / "cgroup.procs").read_text().split():
        (parent / "cgroup.procs").write_text(pid)
    group.rmdir()


@pytest.mark.skipif(not os.path.exists("/proc/self/cgroup"), reason="this system has no control groups")
def test_kill_for_memory_is_told(start: Serve, small_memory: str) -> None:
    """A program that the kernel killed for memory is told from one that something else killed."""
    served = start(small_memory, slots=1)
    served.run(
        served.task(0, sys.executable, "-c", "x = bytearray(400 << 20)"),
        served.task(1, "/bin/sh", "-c", "kill -9 $$"),
    )
    killed, other = served.wait("ended", 0), served.wait("ended", 1)
    assert (killed["state"], killed["signal"], killed["oom_killed"]) == ("failed", signal.SIGKILL, True)
    assert (other["signal"], other["oom_killed"]) == (signal.SIGKILL, False)
    served.leave()
    assert served.wait_exit() == 0
