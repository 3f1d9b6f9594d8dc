"""What can be expected of a source: when its slots fall free, and how many tasks it will have ended by when."""

from __future__ import annotations

import heapq
import math
from typing import List, Optional, Sequence, Tuple

from hsm_core.contract import Outlook, SourceView

__all__ = ["Pace", "paces"]

_SHORTEST_S = 1e-6


class Pace:
    """The expectations of one source; all times are seconds from now.

    Whatever has taken longer than expected is expected to take as much longer again: of a task that should have ended a
    minute ago nothing better is known.

    :param run_s: how long a task is expected to run there.
    :param offers: how many tasks it could be given now.
    :param longest_s: no task runs longer.
    """

    def __init__(self, view: SourceView, run_s: float, offers: int, longest_s: float) -> None:
        self.id = view.id
        self.slots = max(view.slots, 1)
        self._run_s = run_s
        self._wait_s = max(view.mean_wait_s or 0.0, *view.waiting_s[:1], 0.0)
        self._offers = offers
        self._idle = view.idle
        self._ready = self._ready_times(view, longest_s)
        self.cycle_s = max(self._run_s, self._wait_s)
        """From one end in a slot to the next: one task waits in the source's queue while another runs."""
        idle_ends = self._wait_s + self._run_s
        self._firsts: List[Tuple[float, int]] = [(max(r, self._wait_s) + self._run_s, 1) for r in self._ready]
        if self._idle:
            self._firsts.append((idle_ends, self._idle))

    def _ready_times(self, view: SourceView, longest_s: float) -> List[float]:
        """When each slot that is taken falls free, what is given ahead being done first; the earliest first."""
        ready = [min(abs(self._run_s - age), max(longest_s - age, 0.0)) for age in view.running_s]
        ready += [abs(self._wait_s - age) + self._run_s for age in view.waiting_s]
        ready += [self._run_s] * (min(view.active, self.slots) - len(ready))  # nobody says how far these are
        heapq.heapify(ready)
        for _ in range(view.active - len(ready)):
            heapq.heapreplace(ready, ready[0] + self._run_s)
        return sorted(ready)

    def ends_of_offers(self) -> Sequence[float]:
        """When the tasks would end that it could be given now: first those with a free slot, then those ahead."""
        idle = min(self._offers, self._idle)
        ends = [self._wait_s + self._run_s] * idle
        if self._offers > idle:
            ready = sorted([*self._ready, *ends])
            for _ in range(self._offers - idle):
                end = max(ready[0], self._wait_s) + self._run_s
                heapq.heapreplace(ready, end)
                ends.append(end)
        return ends

    def ends_before(self, moment: float) -> int:
        """How many of the tasks that wait now it can have ended before a moment, if it is given all it can take."""
        return sum(
            count * math.ceil((moment - first) / self.cycle_s) for first, count in self._firsts if first < moment
        )


def paces(outlook: Outlook) -> List[Pace]:
    """The expectations of every source.

    Where nothing has completed yet, a task is taken to run as long as elsewhere on average, but at least as long again
    as the oldest has been running.
    """
    measured = [view.mean_duration_s for view in outlook.sources if view.mean_duration_s is not None]
    longest_s = float("inf") if outlook.longest_s is None else outlook.longest_s
    usual_s = sum(measured) / len(measured) if measured else outlook.longest_s or 1.0
    result = []
    for view in outlook.sources:
        run_s, offers = view.mean_duration_s, view.free
        if run_s is None:
            run_s = max([usual_s, *(2 * age for age in view.running_s[:1])])
            if len(outlook.sources) > 1:
                offers = _to_try(view, outlook.waiting // len(outlook.sources) + 1, usual_s if measured else None)
        result.append(Pace(view, max(min(run_s, longest_s), _SHORTEST_S), offers, longest_s))
    return result


def _to_try(view: SourceView, share: int, usual_s: Optional[float]) -> int:
    """How many tasks a source may be given whose speed nobody knows, where others could take them.

    One for each slot, and more ahead only where tasks have been queueing for longer than they run elsewhere. Where
    nothing has even started, no more than an even share: its slots may be a wish, as a cluster's queue takes any number
    of tasks.
    """
    queued_s = max([view.mean_wait_s or 0.0, *view.waiting_s[:1]])
    offers = view.free if usual_s is not None and queued_s > usual_s else view.idle
    return offers if view.mean_wait_s is not None else min(offers, share)
