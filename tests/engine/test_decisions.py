"""Single decisions of the engine that the laws alone would not pin down."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence

import pytest

from hsm_core.contract import (
    Acceptance,
    Assignment,
    Capabilities,
    Observation,
    ObservationKind,
    SourceView,
    SubmitResult,
    TaskAnswer,
    TaskState,
)
from hsm_core.engine.engine import Cancel, Engine, Find, Finish, Instruction, Submit
from hsm_core.engine.events import make
from hsm_core.engine.reduce import reduce, replay, verdict_of
from hsm_core.engine.state import validate

NOW = 1e9


class Never:
    """A strategy that keeps everything back."""

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """Nothing."""
        return []


def engine_of(
    total: int,
    *slots: int,
    retries: int = 0,
    limit: Optional[int] = None,
    expect: bool = False,
    interrupts: bool = False,
) -> Engine:
    """An engine whose sources `k:0`, `k:1` … have joined with so many slots."""
    created = make("created", NOW, sweep_id="s", uid="u", total=total, retries=retries)
    engine = Engine(replay([created, make("opened", NOW, epoch=1, limit=limit)]), Never())
    if expect:
        engine.expect(["k:late"])
    for number, count in enumerate(slots):
        engine.join(f"k:{number}", Capabilities(count, None, shares_files=True, interrupts=interrupts), count, NOW)
    return engine


def submits(instructions: Sequence[Instruction]) -> List[Submit]:
    """The submissions among them."""
    return [instruction for instruction in instructions if isinstance(instruction, Submit)]


def accept(engine: Engine, submit: Submit) -> None:
    """The source takes all of it."""
    answers = [TaskAnswer(attempt, Acceptance.ACCEPTED, {}) for attempt in submit.attempts]
    engine.answered(submit.source, submit.token, submit.attempts, SubmitResult(answers), NOW)


def see(engine: Engine, attempt: Any, kind: ObservationKind, record: Optional[Mapping[str, Any]] = None) -> None:
    """The first source says so."""
    engine.observe("k:0", [Observation(attempt, kind, record)], NOW)
    validate(engine.state)


def test_strategy_that_keeps_everything_back_is_overruled() -> None:
    """While nothing is in flight the engine assigns by itself, so that a run cannot stand still."""
    assert submits(engine_of(3, 2).step(NOW)[1])


def test_limit_holds_while_sources_are_still_expected() -> None:
    """The first source to join may not look ahead beyond the sweep's limit: another may yet share it."""
    engine = engine_of(100, 8, limit=2, expect=True)
    (submit,) = submits(engine.step(NOW)[1])
    assert len(submit.attempts) == 2


def test_refused_everywhere_waits_for_sources_that_may_yet_join() -> None:
    """A task is unplaceable only when no source is left that could take it."""
    engine = engine_of(1, 1, expect=True)
    (submit,) = submits(engine.step(NOW)[1])
    accept(engine, submit)
    see(engine, (0, 1), ObservationKind.REFUSED)
    engine.step(NOW)
    assert engine.state.state_of(0) is TaskState.PENDING
    engine.give_up("k:late")
    engine.step(NOW)
    assert engine.state.state_of(0) is TaskState.FAILED


@pytest.mark.parametrize("kind", [ObservationKind.WITHDRAWN, ObservationKind.REFUSED])
def test_a_start_is_not_undone(kind: ObservationKind) -> None:
    """Once a task was seen to run, "it never started" is an old word: it would run twice."""
    engine = engine_of(1, 1)
    accept(engine, submits(engine.step(NOW)[1])[0])
    see(engine, (0, 1), ObservationKind.STARTED, {"pid": 7, "t": "not a field of ours"})
    see(engine, (0, 1), kind)
    assert engine.state.state_of(0) is TaskState.RUNNING


def test_cancelled_task_never_waits_again() -> None:
    """A task that is to end and turns out never to have started is cancelled, not tried again."""
    engine = engine_of(1, 1)
    (submit,) = submits(engine.step(NOW)[1])
    engine.cancel([0], NOW)
    answer = TaskAnswer((0, 1), Acceptance.RETRY, None, "busy")
    engine.answered("k:0", submit.token, submit.attempts, SubmitResult([answer]), NOW)
    assert engine.state.state_of(0) is TaskState.CANCELLED


def test_a_sweep_is_cancelled_when_it_was_as_a_whole() -> None:
    """Cancelling single tasks leaves a sweep to its others; where nothing completed, it was cancelled all the same."""
    engine = engine_of(2, 2)
    accept(engine, submits(engine.step(NOW)[1])[0])
    see(engine, (0, 1), ObservationKind.ENDED, {"state": "completed", "exit_code": 0})
    engine.cancel([1], NOW)
    see(engine, (1, 1), ObservationKind.ENDED, {"state": "cancelled"})
    assert engine.state.sweep_state() == "completed_with_failures"
    engine.cancel(None, NOW)
    assert engine.state.sweep_state() == "cancelled"
    engine = engine_of(2, 2)
    engine.cancel([0, 1], NOW)
    assert engine.state.sweep_state() == "cancelled"


def test_submission_that_always_fails_disables_though_polls_succeed() -> None:
    """Each call has its own troubles: a scheduler that lists jobs but takes none ends the run, and says why."""
    engine, now = engine_of(1, 1), NOW
    for _ in range(100):
        _, instructions = engine.step(now)
        for instruction in instructions:
            if isinstance(instruction, Finish):
                assert "sbatch is broken" in instruction.reason
                return
            if isinstance(instruction, Submit):
                engine.unanswered(instruction.token, instruction.attempts)
                engine.trouble("k:0", "sbatch is broken", now, call="submit")
            if isinstance(instruction, Find):
                engine.found("k:0", instruction.attempts, {}, now)
                engine.well("k:0", now, "find")
        engine.well("k:0", now, "poll")
        now += 5.0
    raise AssertionError("the run never ended")


@pytest.mark.parametrize(
    ("record", "state"),
    [
        ({"state": "completed", "exit_code": 0}, TaskState.COMPLETED),
        ({"state": "completed", "exit_code": 3}, TaskState.FAILED),
        ({"state": "completed", "signal": 9}, TaskState.FAILED),
        ({"state": "lost"}, TaskState.FAILED),
        ({"state": ["completed"]}, TaskState.FAILED),
        ({}, TaskState.FAILED),
        ({"state": "preempted"}, TaskState.CANCELLED),
        ({"state": "timeout", "signal": 15}, TaskState.TIMEOUT),
    ],
)
def test_strange_records_are_never_success(record: Mapping[str, Any], state: TaskState) -> None:
    """A record counts as success only when nothing in it says otherwise."""
    assert verdict_of(record) is state


@pytest.mark.parametrize("junk", ["7", [1], float("nan"), float("inf"), 10**40, True])
def test_numbers_that_are_none_do_no_harm(junk: Any) -> None:
    """Exit records come from files: what is no number is left out, and the task still ends."""
    engine = engine_of(1, 1)
    accept(engine, submits(engine.step(NOW)[1])[0])
    fields = ("exit_code", "signal", "started_at", "duration_s", "max_rss_mb", "cpu_s")
    see(engine, (0, 1), ObservationKind.ENDED, {"state": "failed", **dict.fromkeys(fields, junk)})
    outcome = engine.state.outcomes.get(0)
    assert outcome is not None
    assert (outcome.state, outcome.exit, outcome.duration_s) == (TaskState.FAILED, None, 0.0)


def test_refused_attempt_gives_its_number_back() -> None:
    """What was certainly not taken is submitted again under the same number, whose folder only one can make."""
    engine = engine_of(1, 1)
    (submit,) = submits(engine.step(NOW)[1])
    answer = TaskAnswer((0, 1), Acceptance.RETRY, None, "busy")
    engine.answered("k:0", submit.token, submit.attempts, SubmitResult([answer]), NOW)
    (again,) = submits(engine.step(NOW + 60.0)[1])
    assert again.attempts == [(0, 1)]
    assert again.token != submit.token


def test_a_hold_takes_back_what_waits_and_lets_run_what_runs() -> None:
    """A held sweep stops burning hours at once, also those of tasks that a source has queued already."""
    engine = engine_of(4, 4)
    (submit,) = submits(engine.step(NOW)[1])
    accept(engine, submit)
    see(engine, (0, 1), ObservationKind.STARTED, {"pid": 7})
    reduce(engine.state, make("held", NOW, reason="everything fails"))
    (cancel,) = [one for one in engine.step(NOW)[1] if isinstance(one, Cancel)]
    assert set(cancel.handles) == {(1, 1), (2, 1), (3, 1)}
    for index in (1, 2, 3):
        see(engine, (index, 1), ObservationKind.WITHDRAWN)
    assert not [one for one in engine.step(NOW)[1] if isinstance(one, Finish)]
    see(engine, (0, 1), ObservationKind.ENDED, {"state": "completed", "exit_code": 0})
    assert engine.step(NOW)[1] == [Finish("held", "everything fails")]
    assert engine.state.pending == 3


def test_a_pause_takes_back_what_waits_and_outlives_its_controller() -> None:
    """Paused, what runs goes on, what waits at a source comes back, and the next controller starts nothing either."""
    engine = engine_of(4, 4)
    (submit,) = submits(engine.step(NOW)[1])
    accept(engine, submit)
    see(engine, (0, 1), ObservationKind.STARTED, {"pid": 7})
    journal = engine.pause("by test", NOW)
    assert engine.pause("again", NOW) == []
    (cancel,) = [one for one in engine.step(NOW)[1] if isinstance(one, Cancel)]
    assert set(cancel.handles) == {(1, 1), (2, 1), (3, 1)}
    for index in (1, 2, 3):
        see(engine, (index, 1), ObservationKind.WITHDRAWN)
    see(engine, (0, 1), ObservationKind.ENDED, {"state": "completed", "exit_code": 0})
    assert engine.step(NOW + 1e6)[1] == [], "it waits for `resume`, however long"
    assert engine.state.sweep_state() == "paused"
    created = make("created", NOW, sweep_id="s", uid="u", total=3)
    heir = Engine(replay([created, *journal, make("opened", NOW, epoch=2)]), Never())
    heir.join("k:0", Capabilities(2, None, shares_files=True), 2, NOW)
    assert heir.step(NOW)[1] == []
    assert [event["e"] for event in heir.resume("by test", NOW)] == ["resumed"]
    assert submits(heir.step(NOW)[1])


def test_one_who_comes_only_to_pause_waits_for_what_it_takes_back() -> None:
    """Without a controller `hsm pause` is one for a moment: it leaves when the queue is empty, and what runs, runs."""
    engine = engine_of(2, 2)
    accept(engine, submits(engine.step(NOW)[1])[0])
    see(engine, (0, 1), ObservationKind.STARTED, {"pid": 7})
    engine.rest("paused")
    engine.pause("by test", NOW)
    (cancel,) = engine.step(NOW)[1]
    assert isinstance(cancel, Cancel)
    assert engine.step(NOW)[1] == []
    see(engine, (1, 1), ObservationKind.WITHDRAWN)
    assert engine.step(NOW)[1] == [Finish("interrupted", "paused")]


def test_going_at_once_waits_a_moment_to_see_the_ends() -> None:
    """Ctrl-C twice kills; the tables should say so, but nobody waits for a runner that does not answer."""
    engine = engine_of(1, 1, interrupts=True)
    accept(engine, submits(engine.step(NOW)[1])[0])
    engine.interrupt("SIGINT")
    engine.interrupt("SIGINT", at_once=True)
    assert not [one for one in engine.step(NOW)[1] if isinstance(one, Finish)]
    assert not [one for one in engine.step(NOW + 0.9)[1] if isinstance(one, Finish)]
    assert engine.step(NOW + 1.1)[1][-1] == Finish("interrupted", "SIGINT")
