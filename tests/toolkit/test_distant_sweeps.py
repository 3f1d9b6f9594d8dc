"""Sweeps on other machines, in fair weather and foul: nothing lost, nothing doubled, everything home."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

import pytest
from hsm_round_robin import plugin as round_robin

from hsm_core.api import Conduct, Project, RunOptions, Sweep
from hsm_core.contract import Source, SourceSpec, SourceType, TaskState
from hsm_core.engine.engine import Finish
from hsm_core.engine.state import SweepState, validate
from hsm_core.hookspecs import hookimpl
from hsm_core.plugins import Plugins, from_modules
from hsm_core.store.journal import read
from hsm_core.testing.distant_host import DistantHost
from hsm_core.toolkit import LocalHost, PoolSource

DEADLINE_S = 90.0

PROGRAM = """
import json, os, sys, time
yard, n = os.environ["YARD"], int(dict(zip(sys.argv[1::2], sys.argv[2::2]))["--n"])

def note(word):
    fd = os.open(os.path.join(yard, "ledger"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, ("%s %d %s\\n" % (word, n, os.environ["HSM_ATTEMPT"])).encode())
    os.close(fd)

note("start")
home = os.environ["HSM_TASK_DIR"]
print("out", n)
print("err", n, file=sys.stderr)
os.makedirs(home + "/results/empty")
path = home + "/results/weights \\u00e9.bin"
with open(path, "wb") as file:
    file.write(bytes([n % 251]) * 1000 * n)
os.chmod(path, 0o640)
os.utime(path, ns=(10**18 + n, 10**18 + n))
os.utime(home + "/results/empty", ns=(10**18, 10**18))
with open(home + "/metrics.json", "w") as file:
    json.dump({"loss": n / 2}, file)
time.sleep(float(os.environ.get("PAUSE", "0.02")))
note("end")
if n % 9 == 5:
    sys.exit("ValueError: not this one")
"""


class FarSweep:
    """A project, and sweeps of it on `far:a`, `far:b` and here."""

    def __init__(self, root: Path, total: int, options: Optional[Mapping[str, Any]] = None, **env: str) -> None:
        self.root = root
        self.options = dict(options or {})
        self.hosts: Dict[str, DistantHost] = {}
        self.told: List[str] = []
        self._project = root / "project"
        (self._project / "sweeps").mkdir(parents=True)
        (self._project / "task.py").write_text(PROGRAM)
        config = {
            "project": {
                "command": [sys.executable, "-I", "-S", "{script}", "{args}"],
                "script": "task.py",
                "env": {"YARD": str(root), **env},
            },
            "compute": {"grace": 0.5},
        }
        (self._project / "hsm_config.yaml").write_text(json.dumps(config))
        (self._project / "sweeps" / "sweep_config.yaml").write_text(json.dumps({"grid": {"n": list(range(total))}}))
        self.plugins = self._plugins()
        self.ended: Optional[Tuple[Finish, SweepState]] = None
        self._thread: Optional[threading.Thread] = None

    def _plugins(self) -> Plugins:
        def far(spec: SourceSpec) -> Source:
            # Each controller is another process, as far as its connections go.
            self.hosts[spec.name] = DistantHost(str(self.root / spec.name))
            self.weather(spec.name, self.hosts[spec.name])
            return PoolSource(self.hosts[spec.name], SourceSpec("far", spec.name, spec.slots, self.options))

        def here(spec: SourceSpec) -> Source:
            return PoolSource(LocalHost(), spec)

        module: Any = types.ModuleType("far")
        module.hsm_source_types = hookimpl(lambda: [SourceType("far", far), SourceType("here", here)])
        plugins = from_modules({"far": module, "round_robin": round_robin})
        assert not [info.error for info in plugins.infos if info.error]
        return plugins

    weather: Callable[[str, DistantHost], None] = staticmethod(lambda name, host: None)

    def begin(self, sources: str, sweep_id: str = "s") -> Sweep:
        """Make the sweep's folder."""
        project = Project(self._project)
        options = RunOptions(sources=sources, sweep_id=sweep_id, verify_sync=False)
        return project.begin(project.prepare(None, options, self.plugins), self.plugins)

    def start(self, sweep: Sweep) -> None:
        """Be its controller, in a thread."""

        def run() -> None:
            self.ended = sweep.run(Conduct(tell=self.told.append))

        self.sweep = sweep
        self.ended = None
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def end(self) -> Tuple[Finish, SweepState]:
        """How it ended."""
        assert self._thread is not None
        self._thread.join(DEADLINE_S)
        assert self.ended is not None, (self.told[-20:], self.sweep.state().counts)
        validate(self.ended[1])
        return self.ended

    def run(self, sources: str, sweep_id: str = "s") -> Tuple[Finish, SweepState]:
        """A sweep from its beginning to its end."""
        self.start(self.begin(sources, sweep_id))
        return self.end()

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait until processes have brought something about."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, (self.told[-20:], self.sweep.state().counts)
            time.sleep(0.01)

    # --- the proof

    def ledger(self) -> List[Tuple[str, int, int]]:
        """What tasks wrote down themselves: word, task, attempt."""
        path = self.root / "ledger"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(word, int(n), int(attempt)) for word, n, attempt in map(str.split, lines)]

    def check_once(self, total: int) -> None:
        """Each attempt ran once at most, and each task came to its end once."""
        starts = [entry[1:] for entry in self.ledger() if entry[0] == "start"]
        assert len(starts) == len(set(starts)), "an attempt ran twice"
        ends = sorted(n for word, n, _ in self.ledger() if word == "end")
        assert ends == list(range(total)), ends

    def tree(self, sweep_id: str = "s") -> Dict[str, Any]:
        """Everything that tasks left at home: modes, times of what they timed, contents but for records."""
        top = self._project / "sweeps" / "outputs" / sweep_id / "tasks"
        found: Dict[str, Any] = {}
        for folder, _, files in os.walk(top):
            for name in ["", *files]:
                path = Path(folder, name)
                seen = path.stat()
                data = path.read_bytes() if name and name != "status.yaml" else b""
                timed = seen.st_mtime_ns if seen.st_mtime_ns // 10**9 == 10**9 else 0
                found[str(path.relative_to(top))] = (oct(seen.st_mode), timed, data)
        return found

    def left(self, name: str) -> List[str]:
        """What is left on a host."""
        home = self.root / name / "home"
        return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())

    def events(self, name: str) -> List[Dict[str, Any]]:
        """The journal's events of one name."""
        return [event for event in read(self.sweep.layout.journal) if event["e"] == name]

    def notes(self) -> List[str]:
        """What the journal has to say besides."""
        return [str(event["text"]) for event in self.events("note")]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., FarSweep]]:
    """Make a project; its machines are quiet afterwards."""
    made = []

    def make(total: int, **more: object) -> FarSweep:
        made.append(FarSweep(tmp_path, total, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        for host in one.hosts.values():
            host.mend()
            host.close()


def test_a_sweep_on_two_machines_and_here_is_like_one_here(make: Callable[..., FarSweep]) -> None:
    """27 tasks: files, modes, times and empty folders are those of a local run, and nothing stays behind."""
    far = make(27, PAUSE="0.1")
    finish, state = far.run("here:2,far:a:2,far:b:2")
    assert finish.state == "completed_with_failures"
    assert {source.id: bool(source.ended) for source in state.sources.values()} == {
        "here:here": True,
        "far:a": True,
        "far:b": True,
    }
    far.check_once(27)
    (far.root / "ledger").unlink()
    far.run("here:6", "local")
    assert far.tree("s") == far.tree("local")
    assert far.left("a") == far.left("b") == []


def test_failures_alike_are_known_before_their_files_are_here(make: Callable[..., FarSweep]) -> None:
    """The last words of a program travel with its end."""
    far = make(6)
    far.run("far:a:2")
    (event,) = [e for e in far.events("ended") if e["record"]["state"] == "failed"]
    assert event["record"]["signature"] == "ValueError: not this one"
    assert "last_words" not in event["record"]


def test_a_link_that_is_cut_twenty_times_costs_nothing(make: Callable[..., FarSweep]) -> None:
    """Each time running tasks live on and are adopted, those that wait are given back, and files go on coming."""
    far = make(24, PAUSE="0.15")
    far.start(far.begin("far:a:3"))
    far.until(lambda: "a" in far.hosts)
    choice = random.Random(5)
    for _ in range(20):
        time.sleep(choice.uniform(0.02, 0.25))
        far.hosts["a"].cut()
        time.sleep(choice.choice([0.0, 0.0, 0.1]))
        far.hosts["a"].mend()
    finish, state = far.end()
    assert finish.state == "completed_with_failures", far.told
    assert state.counts[TaskState.COMPLETED] == 21
    far.check_once(24)
    assert far.left("a") == []


def test_a_link_that_goes_silent_is_let_go(make: Callable[..., FarSweep], monkeypatch: pytest.MonkeyPatch) -> None:
    """No end of file ever comes: within its deadline the runner counts as out of reach, and its tasks are adopted."""
    monkeypatch.setattr("hsm_core.toolkit.pool._PING_S", 0.2)
    monkeypatch.setattr("hsm_core.toolkit.pool._SILENCE_S", 1.0)
    monkeypatch.setattr("hsm_core.toolkit.pool._RUNNER_PATIENCE_S", 3.0)
    far = make(8, PAUSE="0.5")
    far.start(far.begin("far:a:2,here:1"))
    far.until(lambda: [1 for source in far.sweep.state().sources.values() if source.id == "far:a" and source.running])
    host = far.hosts["a"]
    host.silence()
    far.until(lambda: any("connecting anew" in line for line in far.told))
    with host.link.changed:  # the packets that come now are those of new connections
        for channel in host.link.channels:
            channel._dropped = True
        host.link.silent = False
        host.link.changed.notify_all()
    finish, _ = far.end()
    assert finish.state == "completed_with_failures", far.told
    far.check_once(8)


def test_a_runner_that_is_killed_loses_only_what_ran(make: Callable[..., FarSweep]) -> None:
    """Its tasks are ended and run again, uncharged; what it had recorded stays."""
    far = make(10, PAUSE="0.3")
    far.start(far.begin("far:a:2"))
    far.until(lambda: len(far.ledger()) > 5)
    (about,) = (far.root / "a").glob("home/.hsm/sweeps/*/.hsm/runners/*.json")
    os.kill(json.loads(about.read_text())["pid"], signal.SIGKILL)
    finish, state = far.end()
    assert finish.state == "completed_with_failures", far.told
    assert state.counts[TaskState.COMPLETED] == 9
    starts = [entry[1:] for entry in far.ledger() if entry[0] == "start"]
    assert len(starts) == len(set(starts))
    assert far.left("a") == []


def test_noise_and_garbage_are_reported_and_harm_nothing(make: Callable[..., FarSweep]) -> None:
    """A banner before every answer, and lines of nonsense in the place of some events."""
    far = make(12)
    choice = random.Random(3)

    def spoil(data: bytes) -> bytes:
        if data.startswith(b'{"ev"') and choice.random() < 0.2:
            return b"\xff\x00 what? \n"
        return data

    def weather(name: str, host: DistantHost) -> None:
        host.link.noise = b"Welcome to server1!\nLast login: {never}\n"
        host.link.spoil = spoil

    far.weather = weather
    finish, _ = far.run("far:a:2")
    assert finish.state == "completed_with_failures", far.told
    far.check_once(12)
    assert any("cannot make sense" in note for note in far.notes())


@pytest.mark.parametrize(
    ("options", "words"),
    [({"python": "/no/such/python"}, "there is no /no/such/python"), ({"python": "/bin/false"}, "does not work")],
)
def test_a_python_that_is_not_there_is_told_by_name(
    make: Callable[..., FarSweep], options: Dict[str, str], words: str
) -> None:
    """The source cannot be used, others go on, and the remedy is said."""
    far = make(4, options=options)
    finish, _ = far.run("far:a:2,here:2")
    assert finish.state == "completed", far.told
    assert any(words in line for line in far.told), far.told
