"""Where sources are tried: a sweep's folder, a yard that tasks and kit both see, and sources opened in them."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ...contract import Attempt, Handle, Host, Source, SourceContext, SourceSpec, TaskResources, TaskSpec
from ...toolkit import LocalHost
from .rig import TURN_S, Rig

__all__ = ["Entry", "Lab", "Life", "Subject"]


class Subject:
    """The kind of source under test. Subclasses say how to make one; the rest fits most.

    Everything that `make_source` needs is in the spec, because it is also called in other processes.
    """

    kind: str = ""
    options: Mapping[str, Any] = {}
    python: str = sys.executable
    """The interpreter where tasks run."""
    deadline_s: float = 60.0
    """How long anything may take that real processes have to bring about."""

    def make_source(self, spec: SourceSpec) -> Source:
        """A source, not opened."""
        raise NotImplementedError

    def make_spec(self, name: str, slots: int) -> SourceSpec:
        """The specification of a source with this many slots."""
        return SourceSpec(self.kind, name, slots, dict(self.options))

    def make_host(self) -> Host:
        """The machine, or any machine, that sees the files which tasks see."""
        return LocalHost()

    def yard_dir(self, root: Path) -> str:
        """A folder on that machine for this test alone; it need not exist."""
        return str(root / "yard")

    def tasks_cwd(self, context: SourceContext) -> str:
        """The project's folder as the tasks see it."""
        return os.path.realpath(context.project_dir)

    def kill_agent(self, rig: Rig) -> bool:
        """Kill -9 whatever stands between the source and its tasks (a runner); False where nothing does."""
        return False


class Entry(NamedTuple):
    """A line of the ledger, which tasks write themselves."""

    word: str
    attempt: Attempt
    pid: int


class Life(NamedTuple):
    """What a process that was killed leaves: the handles that it was given, and the tokens of its submissions."""

    handles: Dict[Attempt, Handle]
    token: str


class Lab:
    """One test's sweep folder and yard, and every source that was opened in it.

    :param root: an empty folder on this machine.
    """

    def __init__(self, subject: Subject, root: Path) -> None:
        self.subject = subject
        self.root = root
        self.project_dir = root / "project"
        self.sweep_dir = self.project_dir / "sweeps" / "outputs" / "sweep_1"
        (self.sweep_dir / "tasks").mkdir(parents=True, exist_ok=True)  # as the core makes it
        self.yard = subject.yard_dir(root)
        self._host = subject.make_host()
        self._rigs: List[Rig] = []
        self.put("probe.py", (Path(__file__).parent / "probe.py").read_bytes())

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *error: object) -> None:
        self.put("stop")
        for rig in self._rigs:
            rig.clear()
        self._host.close()

    # --- the yard

    def put(self, name: str, data: bytes = b"") -> None:
        """Make a file in the yard: open a gate."""
        self._host.put(data, f"{self.yard}/{name}")

    def size(self, name: str) -> int:
        """Bytes of a file in the yard; 0 when it is not there."""
        return len(self._read(name))

    def _read(self, name: str) -> bytes:
        try:
            return self._host.read(f"{self.yard}/{name}")
        except FileNotFoundError:
            return b""

    def ledger(self) -> List[Entry]:
        """What tasks have written, in their order."""
        lines = [line.split() for line in self._read("ledger").decode().splitlines()]
        return [Entry(word, (_number(index), _number(attempt)), int(pid)) for word, index, attempt, pid in lines]

    def runs(self, word: str = "start") -> List[Attempt]:
        """The attempts that wrote this word, sorted; one that ran twice is there twice."""
        return sorted(entry.attempt for entry in self.ledger() if entry.word == word)

    def most_at_once(self) -> int:
        """How many tasks lived at once at the most, as far as they say."""
        alive: Set[int] = set()
        most = 0
        for entry in self.ledger():
            alive.add(entry.pid) if entry.word == "start" else alive.discard(entry.pid)
            most = max(most, len(alive))
        return most

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for something that tasks bring about by themselves."""
        deadline = time.monotonic() + self.subject.deadline_s
        while not condition():
            assert time.monotonic() < deadline, f"within {self.subject.deadline_s:g} s it did not happen that {what}"
            time.sleep(TURN_S)

    def beats(self, name: str, window_s: float = 0.4) -> bool:
        """Whether something that beats in this file lives: it would beat many times in the window."""
        before = self.size(name)
        deadline = time.monotonic() + window_s
        while time.monotonic() < deadline:
            if self.size(name) != before:
                return True
            time.sleep(TURN_S)
        return False

    # --- tasks

    def task(
        self,
        index: int,
        verb: str,
        *words: str,
        attempt: int = 1,
        env: Optional[Mapping[str, str]] = None,
        files: Optional[Mapping[str, str]] = None,
        timeout_s: Optional[float] = None,
        gpus: int = 0,
    ) -> TaskSpec:
        """A task that runs the probe."""
        return TaskSpec(
            index,
            attempt,
            self.task_name(index),
            (self.subject.python, f"{self.yard}/probe.py", verb, *words),
            env=env or {},
            files={"params.yaml": f"index: {index}\n", **(files or {})},
            timeout_s=timeout_s,
            resources=TaskResources(gpus=gpus),
        )

    def tasks(self, count: int, verb: str, *words: str) -> List[TaskSpec]:
        """That many tasks alike, numbered from 0."""
        return [self.task(index, verb, *words) for index in range(count)]

    @staticmethod
    def task_name(index: int) -> str:
        """The name of a task's folder."""
        return f"task_{index + 1:03d}"

    def folder(self, index: int) -> Path:
        """A task's folder in the sweep's, on this machine: what `collect` brings home is there."""
        return self.sweep_dir / "tasks" / self.task_name(index)

    def report(self, index: int) -> Dict[str, Any]:
        """What the verb `show` saw; text is hexadecimal bytes there."""
        path = self.folder(index) / "report.json"
        assert path.is_file(), f"the program of task {index} left no report: did it get its environment?"
        report: Dict[str, Any] = json.loads(path.read_bytes())
        report["argv"] = [bytes.fromhex(word) for word in report["argv"]]
        report["env"] = {name: bytes.fromhex(value).decode() for name, value in report["env"].items()}
        return report

    # --- sources

    def rig(self, name: str = "one", slots: int = 2, env: Optional[Mapping[str, str]] = None) -> Rig:
        """A source, opened."""
        rig = self.closed_rig(name, slots, env)
        rig.open()
        return rig

    def closed_rig(self, name: str = "one", slots: int = 2, env: Optional[Mapping[str, str]] = None) -> Rig:
        """A source, not yet opened."""
        rig = Rig(self, self.subject.make_spec(name, slots), env or {})
        self._rigs.append(rig)
        return rig

    def earlier_life(self, tasks: Sequence[Tuple[int, str, Sequence[str]]], wait_for: int, slots: int = 2) -> Life:
        """Another process opens a source, submits tasks, and is killed by `kill -9`.

        :param tasks: index, verb and words of each.
        :param wait_for: how many of them it sees start before it dies.
        """
        request = {
            "file": inspect.getfile(type(self.subject)),
            "subject": type(self.subject).__qualname__,
            "options": dict(self.subject.options),
            "root": str(self.root),
            "slots": slots,
            "tasks": tasks,
            "wait_for": wait_for,
        }
        done = subprocess.run(
            [sys.executable, "-m", f"{__package__}.earlier_life"],
            input=json.dumps(request).encode(),
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=self.subject.deadline_s * 2,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode("utf-8", "replace")
        left = json.loads(done.stdout)
        return Life({(index, attempt): handle for index, attempt, handle in left["handles"]}, left["token"])


def _number(word: str) -> int:
    return int(word) if word.isdecimal() else -1
