"""The controller and its workers, with sources that hang, raise and come back."""

from __future__ import annotations

import threading
import time
import types
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import pytest

from hsm_core.api import Conduct, Project, RunOptions, Sweep
from hsm_core.contract import (
    Acceptance,
    Assignment,
    Attempt,
    Capabilities,
    Handle,
    Health,
    HealthReport,
    Observation,
    ObservationKind,
    PollResult,
    SourceContext,
    SourceSpec,
    SourceType,
    SourceView,
    StrategyType,
    SubmitRequest,
    SubmitResult,
    TaskAnswer,
    TaskState,
)
from hsm_core.engine.engine import Finish
from hsm_core.engine.state import SweepState, validate
from hsm_core.errors import NoSourceError
from hsm_core.hookspecs import hookimpl
from hsm_core.plugins import Plugins, from_modules
from hsm_core.store.journal import read

DEADLINE_S = 30.0


class Fake:
    """A source whose tasks have ended well when they are looked at. Each call does first what its test says."""

    def __init__(self, spec: SourceSpec) -> None:
        self.spec = spec
        self.calls: Dict[str, Callable[[], None]] = {}
        self.tasks: List[Attempt] = []
        self.interrupts = False

    def _do(self, call: str) -> None:
        self.calls.get(call, lambda: None)()

    def open(self, context: SourceContext) -> None:
        self._wake = context.wake
        self._do("open")

    def capabilities(self) -> Capabilities:
        return Capabilities(slots=2, poll_interval_s=0.05, shares_files=True, outlives_host=False)

    def health(self) -> HealthReport:
        self._do("health")
        return HealthReport(Health.HEALTHY)

    def submit(self, request: SubmitRequest) -> SubmitResult:
        self._do("submit")
        attempts = [(task.index, task.attempt) for task in request.tasks]
        self.tasks += attempts
        self._wake()
        return SubmitResult([TaskAnswer(attempt, Acceptance.ACCEPTED, {}) for attempt in attempts])

    def poll(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        self._do("poll")
        record = {"state": "completed", "exit_code": 0, "duration_s": 0.1}
        ended, self.tasks = self.tasks, []
        return PollResult([Observation(attempt, ObservationKind.ENDED, record) for attempt in ended])

    def find(self, token: str, attempts: Sequence[Attempt]) -> Mapping[Attempt, Handle]:
        self._do("find")
        return {attempt: {} for attempt in attempts if attempt in self.tasks}

    def cancel(self, handles: Mapping[Attempt, Handle], grace_s: float) -> None:
        self._do("cancel")

    def collect(self, attempts: Mapping[Attempt, Handle], into: str) -> None:
        self._do("collect")

    def host(self) -> None:
        return None

    def close(self) -> None:
        self._do("close")


class InTurn:
    """Gives the sources tasks in turn."""

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> List[Assignment]:
        rounds = range(max(view.free for view in sources))
        return list(zip(tasks, [view.id for round in rounds for view in sources if round < view.free]))


class Stage:
    """A project of twenty tasks, with fake sources `a` and `b`."""

    def __init__(self, root: Path) -> None:
        self.sources: Dict[str, Fake] = {}
        root.mkdir()
        (root / "hsm_config.yaml").write_text("project: {command: [program, '{args}']}\ncompute: {strategy: in_turn}\n")
        (root / "sweeps").mkdir()
        (root / "sweeps" / "sweep_config.yaml").write_text(f"grid: {{n: {list(range(20))}}}\n")
        self.plugins = self._plugins()
        project = Project(root)
        options = RunOptions(sources="fake:a,fake:b", verify_sync=False)
        self.sweep: Sweep = project.begin(project.prepare(None, options, self.plugins), self.plugins)
        self.told: List[str] = []
        self.ended: Optional[Tuple[Finish, SweepState]] = None
        self._thread: Optional[threading.Thread] = None

    def __getitem__(self, name: str) -> Fake:
        return self.sources.setdefault(name, Fake(SourceSpec("fake", name)))

    def _plugins(self) -> Plugins:
        module: Any = types.ModuleType("stage")
        module.hsm_source_types = hookimpl(lambda: [SourceType("fake", lambda spec: self[spec.name])])
        module.hsm_strategies = hookimpl(lambda: [StrategyType("in_turn", lambda seed: InTurn())])
        plugins = from_modules({"stage": module})
        assert not plugins.infos[0].error
        return plugins

    def start(self) -> None:
        """Be the controller, in a thread."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.ended = self.sweep.run(Conduct(tell=self.told.append))

    def end(self) -> Tuple[Finish, SweepState]:
        """How it ended."""
        assert self._thread is not None
        self._thread.join(DEADLINE_S)
        assert self.ended is not None, self.told
        validate(self.ended[1])
        return self.ended

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait until the controller and its workers have brought something about."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, (self.told, self.sweep.state().counts)
            time.sleep(0.005)

    def count(self, state: TaskState) -> int:
        """Tasks in a state, by the journal."""
        return self.sweep.state().counts[state]

    def events(self, name: str) -> List[Dict[str, Any]]:
        """The journal's events of one name."""
        return [event for event in read(self.sweep.layout.journal) if event["e"] == name]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A project and its sweep, not yet begun."""
    return Stage(tmp_path / "project")


def test_a_sweep_runs_on_several_sources(stage: Stage) -> None:
    """Both get tasks, all end, and the journal says so to whoever reads it later."""
    stage.start()
    finish, state = stage.end()
    assert finish.state == "completed"
    assert state.counts[TaskState.COMPLETED] == 20
    assert {source.id for source in state.sources.values() if source.ended} == {"fake:a", "fake:b"}
    replayed = stage.sweep.state()
    validate(replayed)
    assert replayed.counts == state.counts
    assert replayed.closed == "completed"


def _wait(released: threading.Event) -> None:
    released.wait(DEADLINE_S)


@pytest.mark.parametrize("call", ["open", "submit", "poll"])
def test_a_source_that_hangs_stops_nobody_else(stage: Stage, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one does the work; past its deadline the hanging one is disabled; when it returns, all ends well."""
    late = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: time.monotonic() + late[0], time=time.time)
    monkeypatch.setattr("hsm_core.run.worker.time", clock)
    released = threading.Event()
    stage["b"].calls[call] = lambda: _wait(released)
    stage.start()
    try:
        stage.until(lambda: stage.count(TaskState.COMPLETED) >= 20 - (0 if call == "open" else 2))
        if call != "open":
            late[0] = 1000.0
            stage.until(lambda: any(e["health"] == "disabled" for e in stage.events("source")))
            assert "has not answered" in stage.events("source")[-1]["reason"]
    finally:
        released.set()
    finish, state = stage.end()
    assert finish.state == "completed"
    assert state.counts[TaskState.COMPLETED] == 20


@pytest.mark.parametrize("call", ["submit", "poll", "health", "close"])
def test_a_source_that_raises_once_costs_nothing(stage: Stage, call: str) -> None:
    """Whatever comes out of a plugin is told in one line and never stops the sweep."""
    left = [1]

    def raise_once() -> None:
        if left[0]:
            left[0] -= 1
            raise ZeroDivisionError("plugin bug")

    stage["b"].calls[call] = raise_once
    stage.start()
    finish, _ = stage.end()
    assert finish.state == "completed"
    if call in ("submit", "poll"):
        assert f"fake:b: {call}: ZeroDivisionError: plugin bug" in stage.told


def test_a_source_that_cannot_be_opened_leaves_the_work_to_the_other(stage: Stage) -> None:
    """It is named with its error, and the sweep completes without it."""

    def fail() -> None:
        raise OSError("no route to host")

    stage["b"].calls["open"] = fail
    stage.start()
    finish, state = stage.end()
    assert finish.state == "completed"
    assert state.sources["fake:a"].completed == 20
    assert any("no route to host" in line for line in stage.told)


def test_without_any_source_the_sweep_says_why(stage: Stage) -> None:
    """No source could be opened: exit code 4's error, and the sweep waits for `hsm complete`."""

    def fail() -> None:
        raise OSError("no route to host")

    stage["a"].calls["open"] = stage["b"].calls["open"] = fail
    with pytest.raises(NoSourceError, match="no source works"):
        stage.sweep.run(Conduct(tell=stage.told.append))
    state = stage.sweep.state()
    assert state.sweep_state() == "interrupted"
    assert state.counts[TaskState.PENDING] == 20


def test_a_broken_strategy_is_replaced_even_while_a_source_hangs(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks go to whoever has room; the failure is noted once."""

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("strategy bug")

    monkeypatch.setattr(InTurn, "assign", fail)
    released = threading.Event()
    stage["b"].calls["submit"] = lambda: _wait(released)
    stage.start()
    try:
        stage.until(lambda: stage.count(TaskState.COMPLETED) >= 18)
    finally:
        released.set()
    finish, _ = stage.end()
    assert finish.state == "completed"
    notes = [event["text"] for event in stage.events("note") if "strategy" in event["text"]]
    assert notes == ["the strategy failed: ZeroDivisionError: strategy bug"]
