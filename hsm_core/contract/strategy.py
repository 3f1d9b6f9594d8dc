"""Distribution strategies: which source takes which task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional, Protocol, Sequence, Tuple

__all__ = ["Assignment", "SourceView", "Strategy", "StrategyType"]

Assignment = Tuple[int, str]
"""(task index, source id)."""


@dataclass(frozen=True)
class SourceView:
    """What a strategy may know of a source at the moment of a decision.

    :param id: canonical id, `kind:name`.
    :param free: how many more tasks it can take now; at least 1, sources that are full are not shown.
    :param slots: how many tasks it may run at once.
    :param active: how many tasks it has been given that have not ended.
    :param mean_duration_s: mean run time observed there, None before the first task ended.
    """

    id: str
    free: int
    slots: int
    active: int
    mean_duration_s: Optional[float] = None


class Strategy(Protocol):
    """Assigns tasks to sources. Pure but for its own memory: no I/O, no clock, randomness only from its seed."""

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """Choose sources for some of `tasks`.

        :param tasks: indices that wait, in order of preference.
        :param sources: sources with room, in the order of `--sources`.
        :param limit: how many assignments may be made at most.
        :returns: at most `limit` pairs, no task twice, no source beyond its `free`. Fewer than possible is legal:
            a strategy may keep a task back for a better source. The core drops what breaks these rules.
        """


@dataclass(frozen=True)
class StrategyType:
    """A strategy that a plugin offers by the hook `hsm_strategies`.

    :param name: the word after `--strategy`.
    :param factory: `(seed) -> Strategy`.
    :param summary: one line for `hsm plugins`.
    """

    name: str
    factory: Callable[[int], Strategy]
    summary: str = ""
    api: Tuple[int, int] = (1, 0)
