"""A controller without threads, on a virtual clock: a year of a sweep in a second."""

from __future__ import annotations

from collections import deque
from typing import Callable, Collection, Deque, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set

from ..contract import Attempt, Handle
from ..engine.engine import Collect, Engine, Find, Finish, Instruction, Submit
from ..engine.events import Event
from .virtual import Clock, VirtualSource

__all__ = ["VirtualController"]

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


class VirtualController:
    """A controller without threads: it notes events, then acts, and lets each source answer one call at a time.

    :param engine: which no source has joined yet.
    :param note: takes events that are in the engine's state.
    :param look_again_s: how soon the engine is asked again though nothing has happened, while tasks wait and slots are
        free: a strategy may have kept them back, and think better of it as time goes by.
    """

    def __init__(
        self,
        engine: Engine,
        sources: Sequence[VirtualSource],
        clock: Clock,
        note: Callable[[List[Event]], None] = lambda events: None,
        look_again_s: float = 60.0,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self._sources = {source.id: source for source in sources}
        self._note = note
        self._look_again_s = look_again_s
        self._inbox: Dict[str, Deque[Callable[[], _Answer]]] = {id: deque() for id in self._sources}
        self._answers: Dict[str, _Outstanding] = {}
        self._overdue: Set[str] = set()
        self._next_health = clock.now + _HEALTH_S
        for source in sources:
            self._note(self.engine.join(source.id, source.offered, source.offered.slots, clock.now))

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
            self._act()
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

    def _act(self) -> None:
        """What was noted so far leads to something now."""

    def _poll(self, source: VirtualSource) -> None:
        handles = self._to_ask(source.id, source.news())
        if not handles:
            return

        def call() -> _Answer:
            try:
                result = source.poll(handles)
            except OSError as error:
                return self._trouble(source.id, "poll", error)
            return lambda: self._well(source.id, "poll", self.engine.observe(source.id, result.observations, self._t))

        self._ask(source.id, call)

    def _to_ask(self, id: str, news: Optional[Collection[Attempt]]) -> Mapping[Attempt, Handle]:
        """Handles of the attempts at a source that run or wait there; of those alone that have news, where it says."""
        state = self.engine.state
        wanted = state.live if news is None else [index for index, _ in news if index in state.live]
        handles: Dict[Attempt, Handle] = {}
        for index in wanted:
            task = state.live[index]
            if task.source == id and task.handle is not None and index not in state.collecting:
                handles[index, task.attempt] = task.handle
        return handles

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

    def _next(self) -> float:
        """When to look again: at the next change, and soon while something is undecided."""
        now, state = self.clock.now, self.engine.state
        times = [at for at in (source.next_change() for source in self._sources.values()) if at is not None]
        times += [outstanding.due for outstanding in self._answers.values()]
        undecided = any(
            source.health != "healthy" or source.refusals.not_before > now for source in state.sources.values()
        )
        if self._answers or not times or undecided:
            times.append(now + _PATIENCE_S)
        elif state.pending and any(source.busy < source.slots for source in state.sources.values()):
            times.append(now + self._look_again_s)
        return max(min(times), now + 1e-3)
