"""A lottery with a ticket for every free slot."""

from __future__ import annotations

import random
from typing import List, Sequence

from hsm_core.contract import Assignment, SourceView

__all__ = ["RandomChoice"]


class RandomChoice:
    """Gives each task to a source at random, a source with twice the room being twice as likely.

    :param seed: the same seed and the same calls give the same choices.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """As `hsm_core.contract.Strategy` has it."""
        room = {source.id: source.free for source in sources if source.free > 0}
        chosen: List[Assignment] = []
        for task in tasks[: max(limit, 0)]:
            if not any(room.values()):
                break
            (source,) = self._random.choices(list(room), weights=list(room.values()))
            room[source] -= 1
            chosen.append((task, source))
        return chosen
