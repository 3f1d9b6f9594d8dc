"""Cost grows with what runs, not with what was declared: counted in live records, not in seconds."""

from __future__ import annotations

import tracemalloc
from typing import Sequence

import pytest

from hsm_core.contract import Assignment, Capabilities, SourceView, TaskState
from hsm_core.engine.events import Event, make
from hsm_core.engine.reduce import replay
from hsm_core.engine.state import validate
from hsm_core.forecast.virtual import Clock, Ledger, VirtualSource
from hsm_core.testing.virtual_sweep import VirtualSweep


class First:
    """Always the first source with room."""

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """As many as fit."""
        return [(task, sources[0].id) for task in tasks[: sources[0].free]]


def sweep_of(total: int, lookahead: int = 0) -> VirtualSweep:
    """A sweep with one source of two slots."""
    clock = Clock()
    offered = Capabilities(2, lookahead, shares_files=True)
    return VirtualSweep(
        [VirtualSource("kind:one", clock, Ledger(), capabilities=offered)],
        First(),
        clock,
        VirtualSweep.declare(total, clock),
    )


def test_trillion_tasks_start_at_once() -> None:
    """A sweep of 10^12 tasks starts, runs and knows every task's state with a handful of records."""
    tracemalloc.start()
    sweep = sweep_of(10**12)
    sweep.run(until=sweep.clock.now + 10.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    state = sweep.engine.state
    assert peak < 2_000_000
    assert state.counts[TaskState.COMPLETED] >= 18
    assert len(state.live) <= 2
    assert state.state_of(10**12 - 1) is TaskState.PENDING
    validate(state)


def test_million_cancelled_at_once() -> None:
    """Cancelling 10^6 tasks after some have finished is one event and makes no record for any of them."""
    sweep = sweep_of(10**6)
    sweep.run(until=sweep.clock.now + 10.0)
    done = sweep.engine.state.counts[TaskState.COMPLETED]
    sweep.journal += sweep.engine.cancel(None, sweep.clock.now)
    finish = sweep.run()
    state = sweep.engine.state
    assert finish is not None
    assert finish.state == "cancelled"
    assert state.counts[TaskState.CANCELLED] >= 10**6 - done - 2
    assert len(state.outcomes) < 100
    assert not state.live


def test_restored_after_cancelling_goes_on_where_it_was() -> None:
    """What was cancelled before it was ever touched is pending again, and costs nothing while it waits."""
    sweep = sweep_of(10**6)
    sweep.run(until=sweep.clock.now + 3.0)
    journal = [*sweep.journal, *sweep.engine.cancel([5, 999_999], sweep.clock.now)]
    journal += sweep.engine.cancel(None, sweep.clock.now)
    journal.append(make("restored", sweep.clock.now, states=["cancelled"], reason="test"))
    state = replay(journal)
    validate(state)
    assert state.counts[TaskState.CANCELLED] == 0
    assert len(state.live) < 20


@pytest.mark.parametrize("tasks", [[-1], [10], [3, 3], [9, 10**9]])
def test_cancelling_strange_tasks_keeps_the_counts(tasks: Sequence[int]) -> None:
    """Indices that the sweep does not have, or that are named twice, change no count but their own."""
    events: Sequence[Event] = [
        make("created", 0.0, sweep_id="s", total=10),
        make("cancelling", 1.0, tasks=list(tasks)),
    ]
    state = replay(events)
    validate(state)
    assert state.counts[TaskState.CANCELLED] == len({index for index in tasks if 0 <= index < 10})
