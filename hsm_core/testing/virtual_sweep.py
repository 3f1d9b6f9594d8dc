"""A controller without threads, on a virtual clock: a year of a sweep in a second."""

from __future__ import annotations

from collections import deque
from typing import Callable, Deque, Dict, List, NamedTuple, Optional, Sequence, Set

from ..contract import Strategy
from ..engine.engine import Collect, Engine, Find, Finish, Instruction, Submit
from ..engine.events import Event, make
from ..engine.reduce import replay
from ..engine.state import SweepState
from .virtual import Clock, VirtualSource

__all__ = ["VirtualSweep"]

_PATIENCE_S = 5.0
"""How far the clock may jump while something is undecided, seconds."""
_DEADLINE_S = 60.0
_HEALTH_S = 60.0

_Answer = Callable[[], List[Event]]
"""Lets the engine take in what a call brought."""


class _Outstanding(NamedTuple):
    asked: float
    due: float
    answer: _Answer


class VirtualSweep:
    """A controller without threads: it journals, then acts, and lets each source answer one call at a time.

    :param journal: events of earlier controllers; whatever happens is appended.
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
        self.clock = clock
        self.journal = journal
        self.acted_upon = len(journal)
        """How much of the journal has led to something: what a crash cannot take back."""
        self._sources = {source.id: source for source in sources}
        self._watch = watch
        journal.append(make("opened", clock.now, epoch=replay(journal).epoch + 1, **opened))
        self.engine = Engine(replay(journal), strategy, collect_interval_s, memory_mb=memory_mb)
        self._inbox: Dict[str, Deque[Callable[[], _Answer]]] = {id: deque() for id in self._sources}
        self._answers: Dict[str, _Outstanding] = {}
        self._overdue: Set[str] = set()
        self._next_health = clock.now + _HEALTH_S
        for source in sources:
            self._note(self.engine.join(source.id, source.offered, source.offered.slots, clock.now))

    @classmethod
    def declare(cls, total: int, clock: Clock, **created: object) -> List[Event]:
        """The journal of a sweep that nobody has run yet."""
        return [make("created", clock.now, sweep_id="virtual", uid="0", total=total, **created)]

    def run(self, until: float = float("inf")) -> Optional[Finish]:
        """Run to the end, or until the clock is there."""
        finish: Optional[Finish] = None
        while finish is None and self.clock.now < until:
            finish = self.turn()
            if finish is None:
                self.clock.now = min(self._next(), until)
        return finish

    def turn(self) -> Optional[Finish]:
        """Take in what has come, decide, act."""
        now = self.clock.now
        for source in self._sources.values():
            source.advance()
        for id, (asked, due, answer) in list(self._answers.items()):
            if due <= now:
                del self._answers[id]
                self._overdue.discard(id)
                self._note(answer())
            elif now - asked > _DEADLINE_S and id not in self._overdue:
                self._overdue.add(id)
                self._note(self.engine.trouble(id, "does not answer", now, hangs=True))
        for id, source in self._sources.items():
            if not self._inbox[id] and id not in self._answers:
                self._poll(source)
                if now >= self._next_health and id not in self._answers:
                    self._look_at_health(source)
        if now >= self._next_health:
            self._next_health = now + _HEALTH_S
        events, instructions = self.engine.step(now)
        self._note(events)
        finish: Optional[Finish] = None
        for instruction in instructions:
            self.acted_upon = len(self.journal)
            if isinstance(instruction, Finish):
                finish = instruction
            else:
                self._inbox[instruction.source].append(self._call(instruction))
        for id, inbox in self._inbox.items():
            while inbox and id not in self._answers:
                self._ask(id, inbox.popleft())
        return finish

    def _ask(self, id: str, call: Callable[[], _Answer]) -> None:
        """Make the call now; its answer comes when the source has taken its time."""
        latency = self._sources[id].latency_s()
        answer = call()
        if latency:
            self._answers[id] = _Outstanding(self.clock.now, self.clock.now + latency, answer)
        else:
            self._note(answer())

    def _poll(self, source: VirtualSource) -> None:
        handles = {
            (index, task.attempt): task.handle
            for index, task in self.engine.state.live.items()
            if task.source == source.id and task.handle is not None and index not in self.engine.state.collecting
        }
        if not handles:
            return

        def call() -> _Answer:
            try:
                result = source.poll(handles)
            except OSError as error:
                return self._trouble(source.id, "poll", error)
            return lambda: self._well(source.id, "poll", self.engine.observe(source.id, result.observations, self._t))

        self._ask(source.id, call)

    def _look_at_health(self, source: VirtualSource) -> None:
        def call() -> _Answer:
            try:
                report = source.health()
            except OSError as error:
                return self._trouble(source.id, "health", error)
            return lambda: self.engine.reported(source.id, report, self._t)

        self._ask(source.id, call)

    def _call(self, instruction: Instruction) -> Callable[[], _Answer]:
        engine = self.engine

        def call() -> _Answer:
            assert not isinstance(instruction, Finish)
            id = instruction.source
            source = self._sources[id]
            try:
                if isinstance(instruction, Submit):
                    _, token, asked, resources = instruction
                    source.granted.update(resources)
                    result = source.submit(token, asked)
                    return lambda: self._well(id, "submit", engine.answered(id, token, asked, result, self._t))
                if isinstance(instruction, Find):
                    _, token, asked = instruction
                    found = source.find(token, asked)
                    return lambda: self._well(id, "find", engine.found(id, asked, found, self._t))
                if isinstance(instruction, Collect):
                    source.collect(instruction.handles)
                    home = list(instruction.handles)
                    return lambda: self._well(id, "collect", engine.collected(home, self._t))
                source.cancel(instruction.handles)
                return list
            except OSError as error:
                return self._failed(instruction, error)

        return call

    def _failed(self, instruction: Instruction, error: OSError) -> _Answer:
        engine = self.engine

        def answer() -> List[Event]:
            assert not isinstance(instruction, Finish)
            if isinstance(instruction, (Submit, Find)):
                engine.unanswered(instruction.token, instruction.attempts)
            elif isinstance(instruction, Collect):
                engine.not_collected(list(instruction.handles))
            else:
                engine.not_ended(list(instruction.handles))
            return self._trouble(instruction.source, type(instruction).__name__.lower(), error)()

        return answer

    def _trouble(self, id: str, call: str, error: OSError) -> _Answer:
        return lambda: self.engine.trouble(id, str(error), self._t, call=call)

    def _well(self, id: str, call: str, events: List[Event]) -> List[Event]:
        return events + self.engine.well(id, self._t, call)

    @property
    def _t(self) -> float:
        return self.clock.now

    def _note(self, events: List[Event]) -> None:
        self.journal += events
        if events:
            self._watch(self.engine.state)

    def _next(self) -> float:
        """When to look again: at the next change, and soon while something is undecided."""
        now = self.clock.now
        times = [at for at in (source.next_change() for source in self._sources.values()) if at is not None]
        times += [outstanding.due for outstanding in self._answers.values()]
        if (
            self._answers
            or not times
            or any(s.health != "healthy" or s.refusals.not_before > now for s in self.engine.state.sources.values())
        ):
            times.append(now + _PATIENCE_S)
        return max(min(times), now + 1e-3)
