"""What an earlier sweep tells of the next one: run times, how fast its sources are beside each other, what fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional

from ..contract import TaskState
from ..engine.state import SweepState
from .spread import Spread, measured

__all__ = ["LEAST", "Earlier", "look_back"]

LEAST = 3
"""Fewer run times tell nothing of a sweep."""
_MOST_SAMPLES = 10_000


@dataclass(frozen=True)
class Earlier:
    """What was measured.

    :param run_time: of a task at a source of speed 1, which is the mean of them all.
    :param speeds: source id -> its speed, of sources where any task completed.
    :param failures: source id -> the share of attempts whose program failed there.
    :param tasks: how many run times this rests on.
    """

    run_time: Spread
    speeds: Mapping[str, float]
    failures: Mapping[str, float]
    tasks: int


def look_back(state: SweepState) -> Optional[Earlier]:
    """What is to be learned from a sweep, over or not; None where too few tasks completed."""
    names = {source.number: source.id for source in state.sources.values()}
    step = max(1, len(state.outcomes) // _MOST_SAMPLES)
    times: Dict[str, List[float]] = {}
    for position, index in enumerate(state.outcomes.indices()):
        outcome = state.outcomes.get(index) if position % step == 0 else None
        if outcome is not None and outcome.state is TaskState.COMPLETED and outcome.source in names:
            times.setdefault(names[outcome.source], []).append(outcome.duration_s)
    count, seconds = sum(map(len, times.values())), sum(map(sum, times.values()))
    if count < LEAST or not seconds:
        return None
    mean = seconds / count
    speeds = {id: mean * len(here) / sum(here) for id, here in times.items() if sum(here) > 0}
    works = [duration * speeds.get(id, 1.0) for id, here in times.items() for duration in here]
    failures = {source.id: source.failed / source.ended for source in state.sources.values() if source.ended}
    return Earlier(measured(works), speeds, failures, count)
