"""Who will be done first: load times the run time that was measured there."""

from __future__ import annotations

from typing import Dict, List, Sequence

from hsm_core.contract import Assignment, SourceView

__all__ = ["LeastLoaded"]


class LeastLoaded:
    """Gives each task to the source that, with it, would have the least work a slot, in seconds.

    A source that has finished nothing yet is taken to be as fast as the mean of the others.

    :param seed: not used, nothing here is random.
    """

    def __init__(self, seed: int) -> None:
        pass

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """As `hsm_core.contract.Strategy` has it; of two sources that are equal the first is taken."""
        measured = [source.mean_duration_s for source in sources if source.mean_duration_s is not None]
        usual = sum(measured) / len(measured) if measured else 1.0
        room = {source.id: source for source in sources if source.free > 0}
        given: Dict[str, int] = dict.fromkeys(room, 0)

        def work(name: str) -> float:
            source = room[name]
            duration = usual if source.mean_duration_s is None else source.mean_duration_s
            return (source.active + given[name] + 1) / max(source.slots, 1) * duration

        chosen: List[Assignment] = []
        for task in tasks[: max(limit, 0)]:
            if not room:
                break
            source = min(room, key=work)
            given[source] += 1
            if given[source] >= room[source].free:
                del room[source]
            chosen.append((task, source))
        return chosen
