"""Would the others have done everything by then? Then a slot is better left free than given a task.

A slot that is free now would end its task at some moment. If all slots together are expected to have ended as many
tasks as wait before that moment, this one would only be what everybody waits for at the end: it is kept for a faster
slot.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

from hsm_core.contract import Assignment, Outlook, SourceView

from .pace import Pace, paces

__all__ = ["Fastest"]


class Fastest:
    """Gives tasks to the slots that will have ended them first, and none to a slot that the rest can do without.

    :param seed: not used, nothing here is random.
    """

    def __init__(self, seed: int) -> None:
        pass

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """As `hsm_core.contract.Strategy` has it: the same, as if there were no more than is shown."""
        return self.plan(Outlook(tasks, sources, limit, len(tasks)))

    def plan(self, outlook: Outlook) -> Sequence[Assignment]:
        """As `hsm_core.contract.Planner` has it; of two slots that are equal that of the first source is taken."""
        known = paces(outlook)
        offers: List[Tuple[float, int]] = []
        for number, pace in enumerate(known):
            offers += [(end, number) for end in pace.ends_of_offers()]
        offers.sort()
        del offers[max(0, min(outlook.limit, len(outlook.tasks))) :]
        needed = _needed(offers, known, outlook.waiting)
        return [(task, known[number].id) for task, (_, number) in zip(outlook.tasks, offers[:needed])]


def _needed(offers: Sequence[Tuple[float, int]], known: Sequence[Pace], waiting: int) -> int:
    """How many of the offers, the earliest end first, are for tasks that would not be done sooner without them."""
    if not offers:
        return 0
    # Far from the end, which is most of the time, a bound from above decides: no slot ends more than its pace says.
    if offers[-1][0] * sum(pace.slots / pace.cycle_s for pace in known) < waiting:
        return len(offers)
    before = alike = 0
    last = -1.0
    for taken, (end, _) in enumerate(offers):
        if end > last:
            before, alike, last = sum(pace.ends_before(end) for pace in known), 0, end
        if before + alike >= waiting:
            return taken
        alike += 1
    return len(offers)
