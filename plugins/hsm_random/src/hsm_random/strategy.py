"""A lottery with a ticket for every free slot; when there is none, for every task that a source takes ahead."""

from __future__ import annotations

import random
from typing import List, Sequence

from hsm_core.contract import Assignment, SourceView

__all__ = ["RandomChoice"]


class RandomChoice:
    """Gives each task to a source at random, one with twice the free slots being twice as likely.

    :param seed: the same seed and the same calls give the same choices.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """As `hsm_core.contract.Strategy` has it."""
        idle = {source.id: source.idle for source in sources if source.idle > 0}
        ahead = {source.id: source.free - source.idle for source in sources if source.free > source.idle}
        chosen: List[Assignment] = []
        for task in tasks[: max(limit, 0)]:
            tickets = idle or ahead
            if not tickets:
                break
            (source,) = self._random.choices(list(tickets), weights=list(tickets.values()))
            tickets[source] -= 1
            if not tickets[source]:
                del tickets[source]
            chosen.append((task, source))
        return chosen
