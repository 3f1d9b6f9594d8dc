"""Runners started for real, on every interpreter that the runner promises to work with."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from hsm_core.runner import runner as module
from hsm_core.testing.pythons import interpreter

RUNNER = Path(module.__file__)
DEADLINE_S = 30.0


def interpreters() -> List[Any]:
    """This Python, and the oldest, a middle and the newest one that the runner is promised for."""
    params = [pytest.param(sys.executable, id="this")]
    for name in ("python3.6", "python3.8", "python3.13"):
        path = interpreter(name)
        skip = [pytest.mark.skip(reason=f"no {name} on PATH")] if path is None else []
        params.append(pytest.param(path, id=name, marks=skip))
    return params


@pytest.fixture(params=interpreters())
def python(request: pytest.FixtureRequest) -> str:
    """The interpreter that the runner runs on."""
    return str(request.param)


class Served:
    """A runner and the controller's end of its pipes."""

    def __init__(self, python: str, sweep: Path, **init: Any) -> None:
        self.sweep = sweep
        self.process = subprocess.Popen(
            [python, "-I", "-S", str(RUNNER), "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.events: List[Tuple[str, int, int, Any]] = []
        self.lines: List[Dict[str, Any]] = []
        self._rest = b""
        self.id = str(init.get("runner", "r1"))
        first = {"op": "init", "runner": self.id, "sweep_id": "s1", "source": "local:local", "slots": 2, "grace_s": 5}
        self.send({**first, "sweep_dir": str(sweep), "project_dir": str(sweep.parent), **init})

    def send(self, *operations: Any) -> None:
        """Write operations, all in one go."""
        self.stdin.write(b"".join(o if isinstance(o, bytes) else json.dumps(o).encode() + b"\n" for o in operations))

    def task(self, i: int, *argv: str, a: int = 1, **more: Any) -> Dict[str, Any]:
        """A task of the protocol."""
        return {"i": i, "a": a, "id": f"task_{i + 1:03d}", "argv": list(argv), "env": {}, "files": {}, **more}

    def run(self, *tasks: Dict[str, Any]) -> None:
        """Put tasks at the end of the queue."""
        self.send({"op": "run", "tasks": list(tasks)})

    def read(self) -> bool:
        """Read what there is, waiting for it a little; False at the end."""
        if not select.select([self.stdout], [], [], 0.2)[0]:
            return True
        data = os.read(self.stdout.fileno(), 1 << 20)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in map(json.loads, lines):
            self.events += [tuple(event) for event in line.get("ev", ())]
            if "ev" not in line:
                self.lines.append(line)
        return bool(data)

    def until(self, condition: Callable[[], Any]) -> Any:
        """Read until something holds."""
        deadline = time.monotonic() + DEADLINE_S
        more = True
        while not condition():
            assert more, f"the runner ended: {self.events} {self.lines}"
            assert time.monotonic() < deadline, f"no such thing: {self.events} {self.lines}"
            more = self.read()
        return condition()

    def seen(self, kind: str, i: int = 0, a: int = 1) -> Any:
        """Details of an event that has been seen, or None. The runner's own events have i = a = 0."""
        return next((event[3] or True for event in self.events if event[:3] == (kind, i, a)), None)

    def wait(self, kind: str, i: int = 0, a: int = 1) -> Any:
        """The detail of an event, once it is there."""
        return self.until(lambda: self.seen(kind, i, a))

    def line(self, key: str) -> Any:
        """The value of a line that is no event, once it is there."""
        return self.until(lambda: next((line for line in self.lines if key in line), None))[key]

    @staticmethod
    def wait_for(condition: Callable[[], Any]) -> Any:
        """Wait for something that no event tells: a file, or the end of a process."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return condition()

    def result(self, *argv: str, **more: Any) -> Dict[str, Any]:
        """Run one task to its end; its exit record."""
        self.run(self.task(0, *argv, **more))
        record: Dict[str, Any] = self.wait("ended", 0, more.get("a", 1))
        return record

    def folder(self, i: int = 0) -> Path:
        """A task's folder."""
        return self.sweep / "tasks" / f"task_{i + 1:03d}"

    def status(self, i: int = 0) -> Dict[str, Any]:
        """What a task's status.yaml says."""
        return module.read_status(str(self.folder(i) / "status.yaml"))

    def leave(self) -> None:
        """Go away, as a controller does that dies."""
        self.stdin.close()

    def wait_exit(self) -> int:
        """The runner's exit code, once it has ended."""
        while self.read():
            pass
        return self.process.wait(DEADLINE_S)

    def clean(self) -> None:
        """Leave nothing behind."""
        pid = self.process.pid
        self.process.kill()
        self.process.wait()
        for process in list(module.processes()):
            if process.session == pid or process.carries(b"HSM_TASK_DIR=" + os.fsencode(self.folder())):
                module.signal_process(process.pid, signal.SIGKILL)
        self.stdin.close()
        self.stdout.close()


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep's folder, in a project with an unkind name."""
    folder = tmp_path / "a 'project'; $(echo no) \"ünï\"" / "sweep"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def start(sweep: Path) -> Iterator[Callable[..., Served]]:
    """Start runners by the interpreter of these tests; they are gone at the end."""
    started: List[Served] = []

    def begin(python: str = sys.executable, **init: Any) -> Served:
        started.append(Served(python, init.pop("sweep", sweep), **init))
        return started[-1]

    yield begin
    for served in started:
        served.clean()


@pytest.fixture
def serve(python: str, start: Callable[..., Served]) -> Callable[..., Served]:
    """Start runners by every interpreter."""

    def begin(**init: Any) -> Served:
        return start(python, **init)

    return begin


def ask(mode: str, sweep: Path, tasks: List[Tuple[int, int, str]], **more: Any) -> List[Tuple[str, Any]]:
    """Run `settle` or `end` as a process; the verdicts in order."""
    request = json.dumps({"sweep_dir": str(sweep), "tasks": tasks, **more}).encode()
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(RUNNER), mode],
        input=request,
        stdout=subprocess.PIPE,
        timeout=DEADLINE_S,
        check=True,
    )
    answers = json.loads(done.stdout)["tasks"]
    assert [answer[:2] for answer in answers] == [list(task[:2]) for task in tasks]
    return [(verdict, detail) for _, _, verdict, detail in answers]


@pytest.fixture
def settle(sweep: Path) -> Callable[..., List[Tuple[str, Any]]]:
    """Ask for verdicts on attempts of the sweep: `settle((i, a, id), …)`."""
    return lambda *tasks, **more: ask("settle", sweep, list(tasks), **more)


@pytest.fixture
def end(sweep: Path) -> Callable[..., List[Tuple[str, Any]]]:
    """Ask for the end of attempts of the sweep: `end((i, a, id), …)`."""
    return lambda *tasks, **more: ask("end", sweep, list(tasks), **more)
