"""When failures of programs hold the sweep, or take a source out of it for a while."""

from __future__ import annotations

from typing import Any, Callable, List, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.contract import (
    Acceptance,
    Assignment,
    Attempt,
    Capabilities,
    Health,
    HealthReport,
    Observation,
    ObservationKind,
    SourceView,
    SubmitResult,
    TaskAnswer,
    TaskState,
)
from hsm_core.engine.engine import Cancel, Engine, Finish, Submit
from hsm_core.engine.events import Event, make
from hsm_core.engine.reduce import reduce, replay
from hsm_core.engine.state import SweepState, validate
from hsm_core.forecast.virtual import Clock, Fate, Ledger, VirtualSource
from hsm_core.testing.virtual_sweep import VirtualSweep

NOW = 1e9


class InTurn:
    """A strategy: the sources in turn, as long as they have room."""

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """One each, round and round."""
        slots = [source.id for turn in range(limit) for source in sources if turn < source.free]
        return list(zip(tasks, slots))[:limit]


class World:
    """A sweep on sources whose programs end as they are told.

    :param fails: source id -> whether an attempt fails there.
    """

    def __init__(self, total: int, slots: int = 1, hold_after: int = 0, retries: int = 0, **opened: Any) -> None:
        self.clock = Clock()
        self.ledger = Ledger()
        self.journal = VirtualSweep.declare(total, self.clock, retries=retries, hold_after=hold_after)
        self._sources: List[VirtualSource] = []
        self._slots, self._opened = slots, {"retries": retries, **opened}
        self.state = SweepState()

    def source(self, id: str, fails: Callable[[Attempt], bool] = lambda attempt: False) -> None:
        """Add one."""
        fate: Callable[[Attempt], Fate] = lambda attempt: Fate("failed" if fails(attempt) else "completed")  # noqa: E731
        capabilities = Capabilities(self._slots, 0, shares_files=True)
        self._sources.append(VirtualSource(id, self.clock, self.ledger, fate, capabilities))

    def run(self) -> Finish:
        """Let a new controller run it to the end."""
        sweep = VirtualSweep(self._sources, InTurn(), self.clock, self.journal, validate, **self._opened)
        finish = sweep.run(until=self.clock.now + 1e5)
        assert finish is not None
        self.state = sweep.engine.state
        return finish

    def ran(self, id: str) -> int:
        """How many attempts ran at a source."""
        return sum(run.source == id for run in self.ledger.runs)

    def events(self, name: str) -> List[Event]:
        """The journal's events of one name."""
        return [event for event in self.journal if event["e"] == name]


def engine_of(total: int) -> Engine:
    """An engine that no source has joined."""
    created = make("created", NOW, sweep_id="s", uid="u", total=total)
    return Engine(replay([created, make("opened", NOW, epoch=1)]), InTurn())


def test_failing_alike_holds_a_sweep_that_once_went_well() -> None:
    """Ten successes, then nothing but the same failure: held after as many as `hold_after`, and it says so."""
    world = World(100, hold_after=5)
    world.source("k:a", lambda attempt: attempt[0] >= 10)
    finish = world.run()
    assert finish.state == "held"
    assert finish.reason.startswith("5 tasks failed alike and none succeeded since the last success: exit code 1")
    assert world.state.counts[TaskState.COMPLETED] == 10
    assert world.ran("k:a") == 15


def test_a_success_in_between_begins_the_count_anew() -> None:
    """Failures that are alike and far from alone hold nothing."""
    world = World(60, hold_after=5)
    world.source("k:a", lambda attempt: attempt[0] % 5 != 0)
    assert world.run().reason == "finished"


@given(st.integers(1, 6), st.integers(1, 30), st.integers(1, 4), st.booleans())
def test_max_failures_holds_at_that_number(most: int, total: int, slots: int, keep_going: bool) -> None:
    """No more than that many fail, but for those that run at that moment; the next controller counts anew."""
    world = World(total, slots, max_failures=most, keep_going=keep_going)
    world.source("k:a", lambda attempt: True)
    finish = world.run()
    assert world.ran("k:a") < most + slots
    if world.state.finished < total:
        assert finish.state == "held"
        assert f"max_failures is {most}" in finish.reason
        before = world.ran("k:a")
        world.run()
        assert min(total, before + most) <= world.ran("k:a") < before + most + slots


def test_a_canary_goes_first_and_alone() -> None:
    """Each source gets one task; once that has completed, as many as it has slots."""
    world = World(20, slots=4, canary=True)
    world.source("k:a")
    world.source("k:b")
    assert world.run().reason == "finished"
    first = min(run.ended or 0.0 for run in world.ledger.runs)
    assert sum(run.began < first for run in world.ledger.runs) == 2
    assert max(sum(run.began <= at < (run.ended or at) for run in world.ledger.runs) for at in [first + 0.5]) > 2


def test_a_source_whose_canary_fails_gets_no_more_and_says_why() -> None:
    """The others finish the sweep; the next controller tries it again."""
    world = World(20, slots=4, canary=True, retries=1)
    world.source("k:good")
    world.source("k:bad", lambda attempt: True)
    assert world.run().reason == "finished"
    assert world.ran("k:bad") == 1
    assert world.state.counts[TaskState.COMPLETED] == 20, "its canary was tried again, elsewhere"
    (barred,) = world.events("barred")
    assert (barred["source"], barred["until"]) == ("k:bad", None)
    assert barred["reason"] == "its canary failed: exit code 1"


def test_when_every_canary_fails_the_sweep_is_held() -> None:
    """Nothing is left that could be trusted with the rest."""
    world = World(20, slots=4, canary=True)
    world.source("k:a", lambda attempt: True)
    world.source("k:b", lambda attempt: True)
    finish = world.run()
    assert finish.state == "held"
    assert finish.reason.startswith("the canary of every source failed: k:a: its canary failed: exit code 1")
    assert len(world.ledger.runs) == 2


def test_where_everything_fails_and_nothing_does_elsewhere_little_is_lost() -> None:
    """A bad source is given a task now and then, ever more seldom, while the others work."""
    world = World(2000, slots=1)
    world.source("k:good")
    world.source("k:bad", lambda attempt: True)
    assert world.run().reason == "finished"
    assert 6 <= world.ran("k:bad") <= 12
    waits = [event["until"] - event["t"] for event in world.events("barred")]
    assert waits == [60.0 * 2**number for number in range(len(waits))]


def test_what_waits_at_a_barred_source_goes_elsewhere_at_once() -> None:
    """Tasks that were given to it ahead are taken back; those that run there go on."""
    engine = engine_of(4)
    engine.join("k:bad", Capabilities(2, None, shares_files=True), 4, NOW)
    (submit,) = [one for one in engine.step(NOW)[1] if isinstance(one, Submit)]
    answers = [TaskAnswer(attempt, Acceptance.ACCEPTED, {}) for attempt in submit.attempts]
    engine.answered(submit.source, submit.token, submit.attempts, SubmitResult(answers), NOW)
    engine.observe("k:bad", [Observation((0, 1), ObservationKind.STARTED, {})], NOW)
    engine.join("k:good", Capabilities(4, 0, shares_files=True), 4, NOW)
    reduce(engine.state, make("barred", NOW, source="k:bad", reason="by test", until=NOW + 60.0))
    (cancel,) = engine.step(NOW)[1]
    assert isinstance(cancel, Cancel)
    assert set(cancel.handles) == {(1, 1), (2, 1), (3, 1)}
    engine.observe("k:bad", [Observation((index, 1), ObservationKind.WITHDRAWN) for index in (1, 2, 3)], NOW)
    (again,) = engine.step(NOW)[1]
    assert isinstance(again, Submit)
    assert (again.source, len(again.attempts)) == ("k:good", 3)


def test_what_a_source_says_of_its_machine_decides_nothing() -> None:
    """Facts are journalled as they are; health and its age change only when the health does."""
    engine = engine_of(1)
    engine.join("k:a", Capabilities(1, shares_files=True), 1, NOW)
    well = HealthReport(Health.HEALTHY, facts={"disk_free_mb": 7})
    assert [event["e"] for event in engine.reported("k:a", well, NOW + 60.0)] == ["measured"]
    known = engine.state.sources["k:a"]
    assert (known.facts, known.facts_at, known.since) == ({"disk_free_mb": 7}, NOW + 60.0, NOW)
    full = HealthReport(Health.DEGRADED, "disk full", {"disk_free_mb": 0})
    assert [event["e"] for event in engine.reported("k:a", full, NOW + 120.0)] == ["measured", "source"]
    assert (known.health, known.since) == ("degraded", NOW + 120.0)
    assert [event["e"] for event in engine.reported("k:a", full, NOW + 180.0)] == ["measured"]
    assert known.since == NOW + 120.0


def test_a_bad_source_that_has_been_mended_works_again() -> None:
    """One task that completes there ends the suspicion at once."""
    world = World(1000, slots=1)
    begin = world.clock.now
    world.source("k:good")
    world.source("k:bad", lambda attempt: world.clock.now < begin + 30.0)
    assert world.run().reason == "finished"
    assert len(world.events("barred")) == 1
    assert world.ran("k:bad") > 300
    assert not world.state.sources["k:bad"].barred


@pytest.mark.parametrize("share", [3, 5])
def test_failures_that_come_from_parameters_count_against_no_source(share: int) -> None:
    """Where tasks fail everywhere, no source is left out."""
    world = World(200, slots=2)
    world.source("k:a", lambda attempt: attempt[0] % share == 0)
    world.source("k:b", lambda attempt: attempt[0] % share == 0)
    assert world.run().reason == "finished"
    assert not world.events("barred")


def test_a_source_that_drew_the_failing_half_is_cleared_again() -> None:
    """Dealt out in turn, every other task fails, and all at one source: suspicion costs it a pause, and no task."""
    world = World(400, slots=2)
    world.source("k:a", lambda attempt: attempt[0] % 2 == 0)
    world.source("k:b", lambda attempt: attempt[0] % 2 == 0)
    assert world.run().reason == "finished"
    assert world.events("barred")
    assert len(world.ledger.runs) == 400
    assert world.state.counts[TaskState.COMPLETED] == 200
