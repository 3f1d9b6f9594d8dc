"""The time that no strategy can beat: checked against all schedules of small sweeps, and against known answers."""

from __future__ import annotations

import itertools
from typing import List, Sequence, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_core.contract import Capabilities
from hsm_core.forecast.bound import WorkTally, lower_bound_s
from hsm_core.forecast.model import SourceModel
from hsm_core.forecast.spread import exactly


def sources_of(*slots: Tuple[int, float, float]) -> List[SourceModel]:
    """Sources of (slots, speed, queue wait)."""
    return [
        SourceModel(f"test:{number}", Capabilities(count), speed, exactly(wait))
        for number, (count, speed, wait) in enumerate(slots)
    ]


def best_of_all(works: Sequence[float], sources: Sequence[SourceModel]) -> float:
    """The shortest of all schedules, found by trying them; a slot waits in the queue once."""
    slots = [source for source in sources for _ in range(source.capabilities.slots)]
    best = float("inf")
    for choice in itertools.product(range(len(slots)), repeat=len(works)):
        ends = [0.0] * len(slots)
        for work, slot in zip(works, choice):
            ends[slot] += work / slots[slot].speed
        best = min(best, max(end + slots[slot].queue_wait.shortest() for slot, end in enumerate(ends) if end))
    return best


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.5, 20.0), min_size=1, max_size=5),
    st.lists(
        st.tuples(st.integers(1, 2), st.sampled_from([0.3, 1.0, 2.5]), st.sampled_from([0.0, 4.0])),
        min_size=1,
        max_size=2,
    ),
)
def test_no_schedule_is_shorter(works: List[float], slots: List[Tuple[int, float, float]]) -> None:
    """Of every way to share out a few tasks, the best takes at least as long."""
    sources = sources_of(*slots)
    assert lower_bound_s(WorkTally(works), sources) <= best_of_all(works, sources) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("works", "slots", "expected"),
    [
        ([10.0] * 8, [(4, 1.0, 0.0)], 20.0),
        ([10.0] * 9, [(4, 1.0, 0.0)], 30.0),
        ([10.0] * 9, [(4, 1.0, 0.0), (1, 2.0, 0.0)], 20.0),
        ([10.0, 1.0], [(8, 1.0, 0.0)], 10.0),
        ([10.0] * 4, [(4, 1.0, 60.0)], 70.0),
        ([10.0] * 4, [(4, 1.0, 60.0), (1, 1.0, 0.0)], 40.0),
    ],
)
def test_equal_tasks_have_an_exact_answer(
    works: List[float], slots: List[Tuple[int, float, float]], expected: float
) -> None:
    """Whole tasks are counted, not only seconds."""
    assert lower_bound_s(WorkTally(works), sources_of(*slots)) == pytest.approx(expected, rel=1e-4)


def test_no_work_takes_no_time() -> None:
    """Nothing, or tasks that end at once."""
    assert lower_bound_s(WorkTally(), sources_of((1, 1.0, 0.0))) == pytest.approx(0.0, abs=1e-3)
    assert lower_bound_s(WorkTally([0.0] * 5), sources_of((1, 1.0, 0.0))) == pytest.approx(0.0, abs=1e-3)
