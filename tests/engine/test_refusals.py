"""A source that takes nothing is asked later and later, and costs the journal little, however many tasks wait."""

from __future__ import annotations

from typing import List, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_core.contract import (
    Acceptance,
    Assignment,
    Attempt,
    Capabilities,
    SourceView,
    SubmitResult,
    TaskAnswer,
    TaskState,
)
from hsm_core.engine.events import Event
from hsm_core.engine.refusals import LEAST_OFFER, Refusals
from hsm_core.engine.state import validate
from hsm_core.forecast.virtual import Clock, Fate, Ledger, VirtualSource
from hsm_core.testing.virtual_sweep import VirtualSweep

SHORTEST_S, LONGEST_S = 5.0, 300.0


class First:
    """A strategy: everything to the first source."""

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """As much as fits."""
        return [(task, sources[0].id) for task in tasks[:limit]]


class OutOfOrder(VirtualSource):
    """Takes nothing before a certain time, and says so in one way or another."""

    well_at = 0.0
    how = Acceptance.RETRY

    def submit(self, token: str, attempts: Sequence[Attempt]) -> SubmitResult:
        """All or nothing."""
        if self._clock.now >= self.well_at:
            return super().submit(token, attempts)
        return SubmitResult([TaskAnswer(attempt, self.how, None, "out of order") for attempt in attempts])


class Full(VirtualSource):
    """Has room in its queue for so many tasks."""

    room = 1
    submissions = 0

    def submit(self, token: str, attempts: Sequence[Attempt]) -> SubmitResult:
        """As many as fit."""
        self.submissions += 1
        self.advance()
        free = max(0, self.room - sum(job.over is None for job in self._jobs.values()))
        answers = [self._take(token, attempt) for attempt in attempts[:free]]
        answers += [TaskAnswer(attempt, Acceptance.LIMIT, None, "full") for attempt in attempts[free:]]
        return SubmitResult(answers)


def mentions(journal: Sequence[Event]) -> int:
    """How many tasks are named in all that was offered and refused."""
    return sum(len(event["tasks"]) for event in journal if event["e"] in ("assigned", "refused"))


def refused_at(journal: Sequence[Event]) -> List[float]:
    """When the source refused."""
    return [event["t"] for event in journal if event["e"] == "refused"]


@given(st.lists(st.sampled_from(["retry", "limit", "accepted", "ended"]), max_size=60))
def test_pauses_grow_and_success_ends_them(story: List[str]) -> None:
    """Whatever happens, a pause is from 5 s to 5 minutes, never shorter than the one before it without a success, and
    the shortest after one.
    """
    refusals, before, now = Refusals(), 0.0, 1e9
    last = ""
    for word in story:
        if word in ("retry", "limit"):
            pause = refusals.pause_s(word)
            assert SHORTEST_S <= pause <= LONGEST_S
            assert pause >= (before if word == last else SHORTEST_S)
            assert pause == SHORTEST_S or word == last
            refusals.refused(word, "no", now + pause, 1)
            assert refusals.not_before >= now + pause
            before, last = pause, word
        elif word == "accepted":
            refusals.accepted()
            assert refusals.not_before == 0.0
            assert not refusals.reason
            before, last = 0.0, ""
        else:
            refusals.task_ended(now)
            if refusals.kind == "limit" and last == "limit":
                assert refusals.not_before <= now + SHORTEST_S
                before = 0.0
        now += 1.0


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 3000),
    st.floats(0.0, 20_000.0),
    st.sampled_from([Acceptance.RETRY, Acceptance.LIMIT, Acceptance.INDETERMINATE]),
)
def test_a_source_that_is_out_of_order_costs_little(total: int, down_s: float, how: Acceptance) -> None:
    """However many tasks wait: each is offered once, then a few at a time; when the source is well again it has
    all of them within one pause, and each runs once.
    """
    clock, ledger = Clock(), Ledger()
    began = clock.now
    source = OutOfOrder(
        "k:a", clock, ledger, lambda attempt: Fate(duration_s=0.0), Capabilities(64, 10_000, shares_files=True)
    )
    source.well_at, source.how = began + down_s, how
    journal = VirtualSweep.declare(total, clock)
    sweep = VirtualSweep([source], First(), clock, journal)
    finish = sweep.run(until=began + down_s + 2 * LONGEST_S)
    assert finish is not None
    assert finish.state == "completed"
    assert len(ledger.runs) == total
    refusals = refused_at(journal)
    assert len(refusals) <= 8 + down_s / LONGEST_S
    assert mentions(journal) <= 3 * total + 2 * LEAST_OFFER * len(refusals)
    assert clock.now - began <= down_s + LONGEST_S + 120.0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(1, 50), st.sampled_from([1.0, 30.0, 600.0]))
def test_a_limit_is_worked_along(total: int, room: int, duration_s: float) -> None:
    """A queue that is full most of the time is kept nearly full, and what is offered in vain is little."""
    clock, ledger = Clock(), Ledger()
    began = clock.now
    source = Full(
        "k:a", clock, ledger, lambda attempt: Fate(duration_s=duration_s), Capabilities(1000, 10_000, shares_files=True)
    )
    source.room = room
    journal = VirtualSweep.declare(total, clock)
    finish = VirtualSweep([source], First(), clock, journal, validate).run()
    assert finish is not None
    assert finish.state == "completed"
    assert len(ledger.runs) == total
    rounds = -(-total // room)
    assert clock.now - began <= rounds * (duration_s + 8 * SHORTEST_S) + LONGEST_S
    refused = sum(len(event["tasks"]) for event in journal if event["e"] == "refused")
    assert refused <= total + 8 * (total + LEAST_OFFER * source.submissions)


def test_what_was_said_in_doubt_is_the_reason() -> None:
    """An answer that nobody understood is told to the person who waits, when it turns out that nothing was taken."""
    clock, ledger = Clock(), Ledger()
    source = OutOfOrder("k:a", clock, ledger)
    source.well_at, source.how = float("inf"), Acceptance.INDETERMINATE
    journal = VirtualSweep.declare(3, clock)
    sweep = VirtualSweep([source], First(), clock, journal)
    sweep.run(until=clock.now + 2 * SHORTEST_S)
    refused, *_ = [event for event in journal if event["e"] == "refused"]
    assert refused["reason"] == "the submission never reached the source: out of order"
    assert sweep.engine.state.sources["k:a"].refusals.reason == refused["reason"]


def test_a_search_in_vain_counts_like_a_refusal() -> None:
    """A permanent error that nobody understands is asked about ever more seldom."""
    clock, ledger = Clock(), Ledger()
    source = OutOfOrder("k:a", clock, ledger)
    source.well_at, source.how = float("inf"), Acceptance.INDETERMINATE
    journal = VirtualSweep.declare(2048, clock)
    VirtualSweep([source], First(), clock, journal).run(until=clock.now + 86_400.0)
    assert len(refused_at(journal)) <= 8 + 86_400.0 / LONGEST_S
    assert mentions(journal) <= 2 * LEAST_OFFER * (1 + len(refused_at(journal)))


@pytest.mark.parametrize("window", [1, 3])
def test_a_window_counts_what_has_no_answer_yet(window: int) -> None:
    """While a small offer is unanswered, no second one is made."""
    clock, ledger = Clock(), Ledger()
    source = OutOfOrder("k:a", clock, ledger, capabilities=Capabilities(64, 100, shares_files=True))
    journal = VirtualSweep.declare(100, clock)
    sweep = VirtualSweep([source], First(), clock, journal)
    sweep.engine.state.sources["k:a"].refusals.refused("limit", "full", 0.0, window)
    _, (submit,) = sweep.engine.step(clock.now)
    assert len(submit.attempts) == window  # type: ignore[union-attr]
    assert sweep.engine.step(clock.now) == ([], [])
    assert sweep.engine.state.counts[TaskState.ASSIGNED] == window
