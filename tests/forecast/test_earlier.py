"""What an earlier sweep tells: run times at speed 1, speeds beside each other, shares of failures."""

from __future__ import annotations

from typing import List

import pytest

from hsm_core.engine.events import Event, make
from hsm_core.engine.reduce import replay
from hsm_core.engine.state import SweepState
from hsm_core.forecast.earlier import look_back


def sweep(*runs: tuple[str, float, str]) -> SweepState:
    """A sweep of one task for each (source, seconds, state), all at once."""
    events: List[Event] = [make("created", 0.0, sweep_id="s", total=len(runs)), make("opened", 0.0, epoch=1)]
    events += [make("joined", 0.0, source=id, slots=9) for id in dict.fromkeys(id for id, _, _ in runs)]
    for index, (id, seconds, state) in enumerate(runs):
        events.append(make("assigned", 1.0, source=id, token=f"t{index}", tasks=[[index, 1]]))
        record = {"state": state, "exit_code": int(state == "failed"), "started_at": 1.0, "duration_s": seconds}
        events.append(make("ended", 1.0 + seconds, task=[index, 1], record=record))
    return replay(events)


def test_speeds_are_beside_the_mean() -> None:
    """Where tasks took half as long, speed is twice that of where they took as long again; work is the same."""
    earlier = look_back(sweep(*[("k:slow", 20.0, "completed")] * 5, *[("k:fast", 10.0, "completed")] * 5))
    assert earlier is not None
    assert earlier.speeds["k:fast"] == pytest.approx(2 * earlier.speeds["k:slow"])
    assert earlier.run_time.mean() == pytest.approx(15.0)
    assert earlier.run_time.shortest() == pytest.approx(15.0)
    assert earlier.tasks == 10


def test_failures_are_shares_and_no_run_times() -> None:
    """What failed at once says nothing of how long a task runs."""
    runs = [*[("k:a", 10.0, "completed")] * 6, *[("k:a", 0.1, "failed")] * 2]
    earlier = look_back(sweep(*runs))
    assert earlier is not None
    assert earlier.failures["k:a"] == pytest.approx(0.25)
    assert earlier.run_time.mean() == pytest.approx(10.0)


def test_too_little_tells_nothing() -> None:
    """Two tasks are no measurement, nor is nothing."""
    assert look_back(sweep()) is None
    assert look_back(sweep(*[("k:a", 10.0, "completed")] * 2, *[("k:a", 1.0, "failed")] * 9)) is None


def test_one_task_tells_more_of_a_source_than_none() -> None:
    """Where a single task took as long as ten elsewhere, it is not taken to be as fast as the others."""
    earlier = look_back(sweep(*[("k:a", 10.0, "completed")] * 9, ("k:b", 99.0, "completed")))
    assert earlier is not None
    assert earlier.speeds["k:a"] == pytest.approx(9.9 * earlier.speeds["k:b"])
