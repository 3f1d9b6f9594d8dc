"""Attempts that follow attempts: out of memory is followed by more memory, within bounds, and charges no retry."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_core.contract import Assignment, Attempt, Capabilities, Observation, ObservationKind, SourceView, TaskState
from hsm_core.engine.events import Event
from hsm_core.engine.reduce import reduce
from hsm_core.engine.retries import OnOom, classes_of, decide_again
from hsm_core.engine.state import LiveTask, SweepState, validate
from hsm_core.forecast.virtual import Clock, Fate, Ledger, VirtualSource
from hsm_core.testing.virtual_sweep import VirtualSweep

OOM: Mapping[str, Any] = {"state": "failed", "signal": 9, "oom_killed": True}


class First:
    """A strategy: everything to the first source."""

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """As much as fits."""
        return [(task, sources[0].id) for task in tasks[:limit]]


class Strict(VirtualSource):
    """Ends what needs more memory than it was given.

    :ivar needs: what each task needs.
    """

    needs: Mapping[int, int] = {}
    asks = 0

    def _see(self, attempt: Attempt) -> Observation:
        seen = super()._see(attempt)
        given = self.granted.get(attempt, {}).get("memory_mb", self.asks)
        if seen.kind is ObservationKind.ENDED and self.needs[attempt[0]] > int(str(given)):
            return seen._replace(record={**(seen.record or {}), **OOM})
        return seen


class World:
    """One sweep on a strict source, with its journal."""

    def __init__(self, needs: Sequence[int], asks: int, on_oom: Optional[Mapping[str, Any]], retries: int = 0) -> None:
        clock = Clock()
        self.ledger = Ledger()
        self.source = Strict("k:a", clock, self.ledger, capabilities=Capabilities(4, shares_files=True))
        self.source.needs, self.source.asks = dict(enumerate(needs)), asks
        self.journal = VirtualSweep.declare(len(needs), clock, retries=retries)
        self._made: Dict[str, Any] = {"on_oom": on_oom, "retries": retries}
        self._clock, self._asks = clock, asks

    def controller(self) -> VirtualSweep:
        """One more of them, from what the journal says."""
        kept: List[Event] = json.loads(json.dumps(self.journal))
        self.journal = kept
        return VirtualSweep([self.source], First(), self._clock, kept, validate, lambda index: self._asks, **self._made)

    def given(self, index: int) -> List[int]:
        """The memory of each attempt of a task, in order."""
        attempts = sorted(run.attempt for run in self.ledger.runs if run.attempt[0] == index)
        return [int(str(self.source.granted.get(one, {}).get("memory_mb", self._asks))) for one in attempts]


def test_memory_grows_until_it_is_enough() -> None:
    """Each task is given what it needs, from step to step, and nothing is charged to its retries."""
    world = World([500, 3000, 8000], 1000, {"times": 3, "factor": 2.0, "most_mb": None})
    sweep = world.controller()
    finish = sweep.run()
    assert finish is not None
    assert finish.state == "completed"
    assert [world.given(index) for index in range(3)] == [[1000], [1000, 2000, 4000], [1000, 2000, 4000, 8000]]
    charged = [event["again"]["charged"] for event in world.journal if event.get("again")]
    assert charged == [False] * 5


def test_a_later_controller_gives_what_an_earlier_one_promised() -> None:
    """A crash between the end and the next attempt loses nothing: what is given is in the journal."""
    world = World([3000], 1000, {"times": 3, "factor": 2.0, "most_mb": None})
    finish = None
    while finish is None:
        finish = world.controller().run(until=world._clock.now + 1.0)
    assert finish.state == "completed"
    assert world.given(0) == [1000, 2000, 4000]


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=4),
    st.integers(1, 10**5),
    st.integers(1, 5),
    st.floats(1.01, 10.0),
    st.none() | st.integers(1, 10**6),
    st.integers(0, 2),
)
def test_memory_is_bounded(
    needs: List[int], asks: int, times: int, factor: float, most: Optional[int], retries: int
) -> None:
    """Memory only grows, never beyond the most, and no more often than it may; then its retries count as ever."""
    world = World(needs, asks, {"times": times, "factor": factor, "most_mb": most}, retries)
    finish = world.controller().run()
    assert finish is not None
    for index, need in enumerate(needs):
        given = world.given(index)
        steps = sorted(set(given))
        assert given == sorted(given)
        assert len(steps) - 1 <= times
        assert all(step <= max(asks, most or step) for step in steps)
        if given[-1] < need:  # in vain: all steps were gone, and then all retries
            assert len(given) == len(steps) + retries
        else:
            assert len(given) <= len(steps) + retries
    well = sum(world.given(index)[-1] >= need for index, need in enumerate(needs))
    assert world.controller().engine.state.counts[TaskState.COMPLETED] == well


@pytest.mark.parametrize(
    ("record", "on_oom", "memory_mb"),
    [
        (OOM, None, 1000),
        (OOM, OnOom(), None),
        (OOM, OnOom(most_mb=1000), 1000),
        ({"state": "failed", "exit_code": 1}, OnOom(), 1000),
        ({"state": "timeout", "signal": 15}, OnOom(), 1000),
        ({"state": "completed", "exit_code": 0, "oom_killed": True}, OnOom(), 1000),
    ],
)
def test_anything_else_ends_as_ever(
    record: Mapping[str, Any], on_oom: Optional[OnOom], memory_mb: Optional[int]
) -> None:
    """Without a rule, without a number to begin from, at the most, or for another failure, nothing more is given."""
    assert decide_again(LiveTask(1), record, 0, on_oom, memory_mb) is None


def test_a_task_that_is_to_end_is_given_nothing() -> None:
    """A cancelled task does not come back with more memory."""
    task = LiveTask(1)
    task.cancelling = True
    assert decide_again(task, OOM, 3, OnOom(), 1000) is None


def test_an_old_journal_has_no_rule() -> None:
    """A sweep that was begun before there were rules goes on as it was."""
    state = reduce(SweepState(), {"e": "opened", "t": 1.0, "epoch": 1})
    assert state.on_oom is None


@pytest.mark.parametrize(
    ("record", "classes"),
    [
        (OOM, ["oom"]),
        ({"state": "timeout", "signal": 15}, ["timeout"]),
        ({"state": "failed", "signal": 9}, ["signal_9", "signal"]),
        ({"state": "failed", "exit_code": 75}, ["exit_75", "exit"]),
        ({"state": "failed", "reason": "cannot execute"}, []),
        ({}, []),
    ],
)
def test_classes_come_from_the_exit_record_alone(record: Mapping[str, Any], classes: List[str]) -> None:
    """What an exit record says for certain, the most particular word first."""
    assert classes_of(record) == classes


def test_the_more_particular_rule_comes_first_and_counts_by_itself() -> None:
    """A rule replaces the sweep's retries for its class, and charges none of them; without one they count as ever."""
    rules = {"exit_75": {"times": 2, "back_off_s": 0.0}, "exit": {"times": 0, "back_off_s": 0.0}}
    task = LiveTask(1)
    temporary, bug = {"state": "failed", "exit_code": 75}, {"state": "failed", "exit_code": 1}
    again = decide_again(task, temporary, 0, None, None, rules)
    assert again == {"charged": False, "rule": "exit_75", "reason": "exit code 75"}
    assert decide_again(task, bug, 5, None, None, rules) is None
    timeout = decide_again(task, {"state": "timeout", "signal": 15}, 1, None, None, rules)
    assert timeout == {"charged": True, "reason": "signal 15"}
    task.by_rule = {"exit_75": 2}
    assert decide_again(task, temporary, 5, None, None, rules) is None


@given(st.integers(0, 6), st.sampled_from([0.0, 1.0, 45.0, 3000.0]), st.booleans())
def test_a_task_waits_twice_as_long_each_time(times: int, back_off_s: float, by_rule: bool) -> None:
    """By rule or by `retries`: so many further attempts, each after its back-off, never more than an hour; journalled,
    so that a later controller waits as long.
    """
    clock, ledger = Clock(), Ledger()
    source = VirtualSource("k:a", clock, ledger, lambda attempt: Fate("failed"), Capabilities(1, shares_files=True))
    rules = {"exit": {"times": times, "back_off_s": back_off_s}} if by_rule else {}
    made: Dict[str, Any] = {"retry_rules": rules, "retries": 0 if by_rule else times, "back_off_s": back_off_s}
    journal = VirtualSweep.declare(1, clock)
    finish = None
    while finish is None:
        finish = VirtualSweep([source], First(), clock, journal, validate, **made).run(until=clock.now + 1000.0)
    assert len(ledger.runs) == times + 1
    for number, (before, after) in enumerate(zip(ledger.runs, ledger.runs[1:])):
        assert before.ended is not None
        waited = after.began - before.ended
        assert waited >= min(3600.0, back_off_s * 2**number)
        assert waited <= min(3600.0, back_off_s * 2**number) + 120.0
