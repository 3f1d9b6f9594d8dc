"""Distribution strategies: which source takes which task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional, Protocol, Sequence, Tuple, runtime_checkable

__all__ = ["Assignment", "Outlook", "Planner", "SourceView", "Strategy", "StrategyType"]

Assignment = Tuple[int, str]
"""(task index, source id)."""


@dataclass(frozen=True)
class SourceView:
    """What a strategy may know of a source at the moment of a decision. All times are seconds by the core's clock.

    :param id: canonical id, `kind:name`.
    :param free: how many more tasks it can take now, those included that would wait there for a slot; at least 1 in
        `Strategy.assign`, where sources that are full are not shown.
    :param slots: how many tasks it may run at once.
    :param active: how many tasks it has been given that have not ended.
    :param mean_duration_s: mean run time of the tasks that completed there, None before the first did. Those that
        failed do not count: a machine on which everything fails at once is not a fast one.
    :param mean_wait_s: mean time from the decision to give it a task until that was seen to start; None before any was.
        Tasks that were given ahead, to wait behind others, do not count.
    :param running_s: for how long each task that runs there has been seen to run, the longest first.
    :param waiting_s: for how long each task has been waiting to start, without those given ahead, the longest first.

    The last two are filled in for a `Planner` only.
    """

    id: str
    free: int
    slots: int
    active: int
    mean_duration_s: Optional[float] = None
    mean_wait_s: Optional[float] = None
    running_s: Sequence[float] = ()
    waiting_s: Sequence[float] = ()

    @property
    def idle(self) -> int:
        """How many tasks it can take that would not wait there behind another: its free slots."""
        return max(0, min(self.free, self.slots - self.active))


class Strategy(Protocol):
    """Assigns tasks to sources. Pure but for its own memory: no I/O, no clock, randomness only from its seed."""

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """Choose sources for some of `tasks`.

        :param tasks: indices that wait, in order of preference.
        :param sources: sources with room, in the order in which the sweep met them.
        :param limit: how many assignments may be made at most.
        :returns: at most `limit` pairs, no task twice, no source beyond its `free`. Fewer than possible is legal:
            a strategy may keep a task back for a better source. The core drops what breaks these rules.
        """


@dataclass(frozen=True)
class Outlook:
    """What a `Planner` may know of the sweep at the moment of a decision.

    :param tasks: indices that wait, in order of preference: as many as could be given out now.
    :param sources: all that can be spoken to, in the order in which the sweep met them; `free` is 0 where there is no
        room.
    :param limit: how many assignments may be made at most.
    :param waiting: how many tasks wait in all, `tasks` included.
    :param longest_s: the longest that a task may run (`--timeout`, or the walltime it asks for), seconds; None: nobody
        said.
    """

    tasks: Sequence[int]
    sources: Sequence[SourceView]
    limit: int
    waiting: int
    longest_s: Optional[float] = None


@runtime_checkable
class Planner(Protocol):
    """What a strategy has besides `Strategy` if it looks further than to the next slot. The core then calls only this.

    It is called when tasks wait and some source has room: whenever something has happened, and now and then though
    nothing has.
    """

    def plan(self, outlook: Outlook) -> Sequence[Assignment]:
        """As `Strategy.assign`, knowing more. Keeping everything back is overruled while nothing is in flight."""


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
