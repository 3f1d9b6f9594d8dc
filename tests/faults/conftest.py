"""A yard where sweeps of real processes are broken on purpose, and a ledger that only their tasks write.

The ledger is the proof: hsm cannot have written it, and what it says is compared with what hsm says.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

import pytest

from hsm_core.contract import TaskState
from hsm_core.engine.reduce import replay
from hsm_core.engine.state import SweepState
from hsm_core.report.reading import open_sweep
from hsm_core.runner.runner import processes, read_status
from hsm_core.store.journal import read
from hsm_core.store.layout import SweepLayout, task_id

DEADLINE_S = 60.0
"""For a condition that real processes have to bring about; far more than it ever takes."""

PROGRAM = '''\
"""Writes down its start and its end; fails, ignores TERM or has a child, as its number says."""
import fcntl, os, signal, sys, time

def note(word):
    task, attempt = os.environ["HSM_TASK_ID"], os.environ["HSM_ATTEMPT"]
    os.write(ledger, b"%s %s %s %d %.6f\\n" % (word, task.encode(), attempt.encode(), os.getpid(), time.monotonic()))

parameters = dict(zip(sys.argv[1::2], sys.argv[2::2]))
number = int(parameters["--n"])
yard = os.environ["YARD"]
ledger = os.open(os.path.join(yard, "ledger"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
# Held by this process and its children until the last of them is dead.
lock = os.open(os.path.join(yard, "lock-" + os.environ["HSM_TASK_ID"]), os.O_RDWR | os.O_CREAT, 0o644)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    note(b"twice")
note(b"start")
kind = number % 7
if kind == 4:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if kind == 5 and os.fork() == 0:
    time.sleep(300)
    os._exit(0)
if kind == 3 or os.environ.get("ALL_FAIL"):
    time.sleep(0.02)
    note(b"end")  # first: on a full disk the next line is the last that it does
    sys.stderr.write("ValueError: this one never works\\n")
    sys.exit(3)
pause = float(os.environ.get("PAUSE", 0.02 + 0.06 * ((number * 37) % 10) / 10))
deadline = time.monotonic() + pause
while time.monotonic() < deadline and not os.path.exists(os.path.join(yard, "go")):
    time.sleep(min(0.02, max(0.0, deadline - time.monotonic())))
if os.environ.get("WRITE"):
    with open(os.path.join(os.environ["HSM_TASK_DIR"], "big"), "wb") as file:
        file.write(b"x" * int(os.environ["WRITE"]))
note(b"end")
'''


class Entry(NamedTuple):
    """A line of the ledger."""

    word: str
    task: str
    attempt: int
    pid: int
    at: float


class Yard:
    """A project whose sweeps may be broken.

    :param root: the project's folder; the ledger lies beside it.
    """

    def __init__(self, root: Path, beside: Path) -> None:
        self.root = root
        self.beside = beside
        self.ledger_path = beside / "ledger"
        self.environment: Dict[str, str] = {}
        self._started: List[subprocess.Popen[bytes]] = []
        root.mkdir(parents=True, exist_ok=True)
        beside.mkdir(exist_ok=True)
        (root / "sweeps").mkdir(exist_ok=True)
        (root / "task.py").write_text(PROGRAM)
        self.configure()
        self.declare(30)

    def configure(self, env: Optional[Mapping[str, str]] = None, **compute: Any) -> None:
        """Write hsm_config.yaml."""
        config = {
            "project": {
                "name": "yard",
                "script": "task.py",
                "python": sys.executable,
                "command": ["{python}", "-I", "-S", "{script}", "{args}"],
                "env": {"YARD": str(self.beside), **(env or {})},
            },
            "compute": {"grace": 0.5, **compute},
        }
        (self.root / "hsm_config.yaml").write_text(json.dumps(config))

    def declare(self, total: int) -> None:
        """Write the sweep file: `total` tasks, numbered by `n`."""
        (self.root / "sweeps" / "sweep_config.yaml").write_text(json.dumps({"grid": {"n": list(range(total))}}))

    # --- commands

    def start(self, *words: str, wrap: Tuple[str, ...] = (), **options: Any) -> subprocess.Popen[bytes]:
        """Start a command of hsm, in a session of its own; its output is in `out.N` and `err.N` beside the project."""
        number = len(self._started)
        env = {**os.environ, **self.environment, **options.pop("env", {})}
        with open(self.beside / f"out.{number}", "wb") as out, open(self.beside / f"err.{number}", "wb") as err:
            process = subprocess.Popen(
                [*wrap, sys.executable, "-m", "hsm_core", *words],
                cwd=self.root,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=options.pop("stdout", out),
                stderr=options.pop("stderr", err),
                start_new_session=True,
                **options,
            )
        self._started.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """What a command has printed, errors last."""
        number = self._started.index(process)
        return "".join((self.beside / f"{stream}.{number}").read_text("utf-8", "replace") for stream in ("out", "err"))

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end of a command; its exit code. No command of hsm may ever show a traceback."""
        code = process.wait(DEADLINE_S)
        assert "Traceback" not in self.said(process), self.said(process)
        return code

    def hsm(self, *words: str, **options: Any) -> Tuple[int, str]:
        """Run a command of hsm to its end; its exit code and what it printed."""
        process = self.start(*words, **options)
        return self.end(process), self.said(process)

    @staticmethod
    def until(condition: Callable[[], Any], what: str = "") -> Any:
        """Wait for something that real processes have to bring about."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < deadline, what or "it never came"
            time.sleep(0.005)

    # --- the sweep

    def layout(self, sweep_id: str = "s") -> SweepLayout:
        """The files of a sweep."""
        return SweepLayout(self.root / "sweeps" / "outputs" / sweep_id)

    def begun(self, sweep_id: str = "s") -> bool:
        """Whether the sweep's folder is complete enough that `hsm complete` can take it up."""
        return (self.layout(sweep_id).private / "settings.json").exists()

    def facts(self, sweep_id: str = "s") -> Dict[str, Any]:
        """What `hsm status --json` prints."""
        return dict(open_sweep(self.layout(sweep_id)).facts)

    def state(self, sweep_id: str = "s") -> SweepState:
        """What the journal says."""
        return replay(read(self.layout(sweep_id).journal))

    def events(self, name: str, sweep_id: str = "s") -> List[Dict[str, Any]]:
        """The journal's events of one name."""
        return [event for event in read(self.layout(sweep_id).journal) if event["e"] == name]

    def records(self, sweep_id: str = "s") -> Dict[Tuple[int, int], Dict[str, Any]]:
        """Every exit record on disk, by (index, attempt)."""
        layout = self.layout(sweep_id)
        found: Dict[Tuple[int, int], Dict[str, Any]] = {}
        folders = sorted(layout.tasks.iterdir()) if layout.tasks.is_dir() else []
        for folder in folders:
            for path in (folder / "status.yaml", *folder.glob("attempts/*/status.yaml")):
                status = read_status(str(path))
                if status.get("state") not in (None, "running", "withdrawn"):
                    found[int(folder.name[5:]) - 1, status["attempt"]] = status
        return found

    def runners(self) -> List[int]:
        """Process ids of the runners that live."""
        return [pid for pid, argv in self._programs() if argv[-1:] == [b"serve"]]

    def processes(self) -> List[int]:
        """Every living process of the yard's sweeps: runners, tasks, and children of tasks."""
        mark = b"YARD=" + os.fsencode(str(self.beside))
        tasks = [process.pid for process in processes() if process.carries(mark)]
        return [*self.runners(), *tasks]

    def _programs(self) -> Iterator[Tuple[int, List[bytes]]]:
        inside = os.fsencode(str(self.root.resolve()))
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit():
                    argv = Path("/proc", name, "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                    if any(word.startswith(inside) and word.endswith(b"runner.py") for word in argv):
                        yield int(name), argv

    # --- the proof

    def ledger(self) -> List[Entry]:
        """What the tasks wrote."""
        text = self.ledger_path.read_text() if self.ledger_path.exists() else ""
        fields = [line.split() for line in text.splitlines()]
        return [Entry(word, task, int(attempt), int(pid), float(at)) for word, task, attempt, pid, at in fields]

    def attempts(self, word: str = "start") -> Dict[str, List[int]]:
        """Task -> the attempts that wrote this word, in their order."""
        found: Dict[str, List[int]] = {}
        for entry in self.ledger():
            if entry.word == word:
                found.setdefault(entry.task, []).append(entry.attempt)
        return found

    def check_ledger(self) -> None:
        """No attempt ran twice, no task lived twice at once, and attempts came in their order."""
        entries = self.ledger()
        twice = [entry for entry in entries if entry.word == "twice"]
        assert not twice, f"these began while an earlier attempt, or a child of it, lived: {twice}"
        for task, attempts in self.attempts().items():
            assert attempts == sorted(set(attempts)), f"{task}: attempts {attempts}"
            mine = [entry for entry in entries if entry.task == task]
            for before, after in zip(mine, mine[1:]):
                if after.word == "end":
                    assert (before.word, before.pid) == ("start", after.pid), f"{task}: {mine}"
                assert before.at <= after.at, f"{task}: {mine}"

    def check_truth(self, sweep_id: str = "s", alive: bool = False) -> Set[Tuple[int, int]]:
        """What hsm says between two crashes is true. The attempts that have an exit record: they must never run again.

        :param alive: a controller is at work.
        """
        facts = self.facts(sweep_id)
        total = facts["total"]
        assert sum(facts["counts"].values()) == total, facts["counts"]
        if not alive:
            assert facts["state"] != "running", facts
            assert facts["state"] != "completed" or facts["counts"]["completed"] == total, facts
        state = self.state(sweep_id)
        records = self.records(sweep_id)  # read after the journal, which is behind the records
        ends = {(entry.task, entry.attempt) for entry in self.ledger() if entry.word == "end"}
        for index in state.outcomes.indices():
            outcome = state.outcomes.get(index)
            assert outcome is not None
            if outcome.state in (TaskState.COMPLETED, TaskState.FAILED):
                record = records.get((index, outcome.attempt))
                assert record is not None, f"task {index} is {outcome.state} without a record"
                assert record["state"] == outcome.state.value, record
                assert (task_id(index, total), outcome.attempt) in ends, f"task {index} never came to its end"
        self._check_mapping(sweep_id, records)
        return {key for key, record in records.items() if record["state"] in ("completed", "failed")}

    def _check_mapping(self, sweep_id: str, records: Mapping[Tuple[int, int], Mapping[str, Any]]) -> None:
        """The table on disk may be behind, but it never tells of an end that has no record."""
        path = self.layout(sweep_id).mapping
        if not path.exists():
            return
        import yaml

        mapping = yaml.safe_load(path.read_text())
        done = {index for (index, _), record in records.items() if record["state"] == "completed"}
        for name, row in mapping["tasks"].items():
            if row["status" if "status" in row else "state"] == "completed":
                assert int(name[5:]) - 1 in done, (name, row)

    def check_end(self, recorded: Set[Tuple[int, int]], sweep_id: str = "s", exact: bool = False) -> None:
        """The sweep is over as it should be, and the ledger agrees.

        :param recorded: attempts that had an exit record at some time: their tasks never ran again.
        :param exact: no runner died, so that every task ran exactly once.
        """
        recorded = recorded | self.check_truth(sweep_id)
        facts = self.facts(sweep_id)
        total = facts["total"]
        failing = sum(index % 7 == 3 for index in range(total))
        assert facts["finished"] == total, facts
        assert facts["counts"]["failed"] == failing, facts["counts"]
        assert facts["counts"]["completed"] == total - failing, facts["counts"]
        self.check_ledger()
        attempts = self.attempts()
        assert set(attempts) == {task_id(index, total) for index in range(total)}
        for index, attempt in recorded:
            assert attempts[task_id(index, total)][-1] == attempt, f"task {index} had a record, and ran again"
        if exact:
            assert all(len(tries) == 1 for tries in attempts.values()), attempts
        self.check_nothing_left()

    def check_nothing_left(self) -> None:
        """No process of the sweep lives on."""
        self.until(lambda: not self.processes(), f"left over: {self.processes()}")

    # --- cleaning up

    def clean(self) -> None:
        """Leave nothing behind, whatever the test did."""
        for process in self._started:
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        for _ in range(100):
            left = self.processes()
            if not left:
                break
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """A project with thirty small tasks: some fail, some ignore TERM, some have a child that would outlive them."""
    made = Yard(tmp_path / "project", tmp_path / "beside")
    yield made
    made.clean()
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def make_yard(tmp_path: Path) -> Iterator[Callable[[Path], Yard]]:
    """Make a yard in a folder of the test's choice."""
    made: List[Yard] = []

    def make(root: Path) -> Yard:
        made.append(Yard(root, tmp_path / f"beside{len(made)}"))
        return made[-1]

    yield make
    for one in made:
        one.clean()
