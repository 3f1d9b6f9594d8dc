"""Whose turn is it: the source that has waited longest among those with room."""

from __future__ import annotations

from typing import Dict, List, Sequence

from hsm_core.contract import Assignment, SourceView

__all__ = ["RoundRobin"]


class RoundRobin:
    """Gives every source a task in turn; a source that is full misses its turn and does not make it up.

    :param seed: not used, nothing here is random.
    """

    def __init__(self, seed: int) -> None:
        self._turn = 0
        self._last_turn: Dict[str, int] = {}

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """As `hsm_core.contract.Strategy` has it; sources that never had a turn go first, in order."""
        room = {source.id: source.free for source in sources if source.free > 0}
        chosen: List[Assignment] = []
        for task in tasks[: max(limit, 0)]:
            if not room:
                break
            source = min(room, key=lambda name: self._last_turn.get(name, 0))
            self._turn += 1
            self._last_turn[source] = self._turn
            room[source] -= 1
            if room[source] <= 0:
                del room[source]
            chosen.append((task, source))
        return chosen
