"""A virtual controller with a journal, which another can take over after a crash: a year of a sweep in a second."""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence

from ..contract import Strategy
from ..engine.engine import Engine
from ..engine.events import Event, make
from ..engine.reduce import replay
from ..engine.state import SweepState
from ..forecast.controller import VirtualController
from ..forecast.virtual import Clock, VirtualSource

__all__ = ["VirtualSweep"]


class VirtualSweep(VirtualController):
    """The controller of a sweep whose journal is a list.

    :param journal: events of earlier controllers; whatever happens is appended.
    :param watch: is shown the state after each group of events.
    """

    def __init__(
        self,
        sources: Sequence[VirtualSource],
        strategy: Strategy,
        clock: Clock,
        journal: List[Event],
        watch: Callable[[SweepState], None] = lambda state: None,
        memory_mb: Callable[[int], Optional[int]] = lambda index: None,
        collect_interval_s: float = 0.0,
        **opened: object,
    ) -> None:
        self.journal = journal
        self.acted_upon = len(journal)
        """How much of the journal has led to something: what a crash cannot take back."""
        self._watch = watch
        journal.append(make("opened", clock.now, epoch=replay(journal).epoch + 1, **opened))
        super().__init__(
            Engine(replay(journal), strategy, collect_interval_s, memory_mb=memory_mb), sources, clock, self._write
        )

    @classmethod
    def declare(cls, total: int, clock: Clock, **created: object) -> List[Event]:
        """The journal of a sweep that nobody has run yet."""
        return [make("created", clock.now, sweep_id="virtual", uid="0", total=total, **created)]

    def _write(self, events: List[Event]) -> None:
        self.journal += events
        if events:
            self._watch(self.engine.state)

    def _act(self) -> None:
        self.acted_upon = len(self.journal)
