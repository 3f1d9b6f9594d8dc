"""The time that no strategy can beat: what the slots could do at best, if all were known beforehand."""

from __future__ import annotations

import math
from typing import Dict, Iterable, List, Sequence, Tuple

from .model import SourceModel

__all__ = ["WorkTally", "lower_bound_s"]

_CLASSES_AN_OCTAVE = 8


class WorkTally:
    """The run times of any number of tasks, in a few classes: their number, sum, and the shortest in each."""

    def __init__(self, works: Iterable[float] = ()) -> None:
        self._classes: Dict[int, Tuple[int, float]] = {}
        self.sum = 0.0
        for work in works:
            self.add(work)

    def add(self, work: float) -> None:
        """One more task, of so many seconds."""
        self.sum += work
        key = math.floor(math.log2(work) * _CLASSES_AN_OCTAVE) if work > 0 else -(10**6)
        count, shortest = self._classes.get(key, (0, work))
        self._classes[key] = (count + 1, min(shortest, work))

    def thresholds(self) -> List[Tuple[float, int]]:
        """(run time, how many tasks run at least as long), the longest first."""
        result, count = [], 0
        for key in sorted(self._classes, reverse=True):
            more, shortest = self._classes[key]
            count += more
            result.append((shortest, count))
        return result


def lower_bound_s(works: WorkTally, sources: Sequence[SourceModel]) -> float:
    """Seconds that tasks of these run times need at least on these sources.

    The larger of two bounds: all slots busy until the end; and for each run time, every slot taking as many tasks of at
    least that length as fit into the time whole. Queue waits count once for each slot, at their shortest.
    """
    low, high = 0.0, 1.0
    while not _enough(high, works, sources):
        low, high = high, high * 2
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        if _enough(middle, works, sources):
            high = middle
        else:
            low = middle
    return low


def _enough(time_s: float, works: WorkTally, sources: Sequence[SourceModel]) -> bool:
    """Whether neither bound says that the time is too short."""
    capacity = [
        (source.capabilities.slots, source.speed * max(0.0, time_s - source.queue_wait.shortest()))
        for source in sources
    ]
    if sum(slots * work for slots, work in capacity) < works.sum:
        return False
    return all(
        shortest == 0 or sum(slots * math.floor(work / shortest * (1 + 1e-9)) for slots, work in capacity) >= count
        for shortest, count in works.thresholds()
    )
