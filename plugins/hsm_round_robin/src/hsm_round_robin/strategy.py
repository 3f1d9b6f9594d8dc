"""Whose turn is it: the source that has waited longest among those with a free slot."""

from __future__ import annotations

from typing import Dict, List, Sequence

from hsm_core.contract import Assignment, SourceView

__all__ = ["RoundRobin"]


class RoundRobin:
    """Gives every source with a free slot a task in turn; one that has none misses its turn and does not make it up.

    Only when no slot is free anywhere are tasks given to sources that take some ahead, in turn as well.

    :param seed: not used, nothing here is random.
    """

    def __init__(self, seed: int) -> None:
        self._turn = 0
        self._last_turn: Dict[str, int] = {}

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """As `hsm_core.contract.Strategy` has it; sources that never had a turn go first, in order."""
        room = {source.id: source.free for source in sources if source.free > 0}
        idle = {source.id: source.idle for source in sources}
        chosen: List[Assignment] = []
        for task in tasks[: max(limit, 0)]:
            if not room:
                break
            source = min(room, key=lambda name: (idle[name] <= 0, self._last_turn.get(name, 0)))
            self._turn += 1
            self._last_turn[source] = self._turn
            room[source] -= 1
            idle[source] -= 1
            if room[source] <= 0:
                del room[source]
            chosen.append((task, source))
        return chosen
