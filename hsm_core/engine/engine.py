"""Decisions: what to do next, from the state of the sweep, the strategy and the sources' capabilities. Pure.

`Engine` is told what was seen and answers with events, which its caller journals; `step` then says what to do. It reads
no clock (`now` is an argument) and does no I/O, so a test runs a year of a sweep in a second.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

from ..contract import Attempt, Capabilities, Handle, Observation, SourceView, Strategy, SubmitResult, TaskState
from .events import Event, make
from .interpret import interpret_answers, interpret_found, interpret_observation
from .reduce import reduce
from .state import IN_FLIGHT, SourceState, SweepState

__all__ = ["Cancel", "Collect", "Engine", "Find", "Finish", "Instruction", "Submit"]

_LOOKAHEAD_S = 0.15
"""A source that looks ahead is given what it will start within this time, by its measured rate."""
_MAX_LOOKAHEAD = 1024
_MAX_BATCH = 2048
_DISABLE_AFTER = 3
"""Consecutive failed calls after which a source is given nothing more."""


class Submit(NamedTuple):
    """Submit these attempts under this token; the intention has been journalled."""

    source: str
    token: str
    attempts: Sequence[Attempt]


class Find(NamedTuple):
    """Look whether these attempts were taken under this token."""

    source: str
    token: str
    attempts: Sequence[Attempt]


class Cancel(NamedTuple):
    """End these attempts."""

    source: str
    handles: Mapping[Attempt, Handle]


class Collect(NamedTuple):
    """Bring home the files of these ended attempts."""

    source: str
    handles: Mapping[Attempt, Handle]


class Finish(NamedTuple):
    """The controller has nothing more to do."""

    state: str
    reason: str


Instruction = Union[Submit, Find, Cancel, Collect, Finish]


class Engine:
    """Runs one sweep for one controller.

    :param state: as replayed from the journal, the `opened` event of this controller included.
    :param capabilities: of every source that is open, by id; one that is there for adoption only has 0 slots.
    """

    def __init__(self, state: SweepState, strategy: Strategy, capabilities: Mapping[str, Capabilities]) -> None:
        self.state = state
        self._strategy = strategy
        self._capabilities = capabilities
        self._tokens = 0
        self._to_find: Dict[str, Set[int]] = {token: set(tasks) for token, tasks in state.unanswered.items()}
        self._told_to_end: Set[Attempt] = set()
        self._collecting: Set[Attempt] = set()
        self._troubles: Dict[str, int] = {}
        self._interrupted: Optional[str] = None

    # --- what was seen; each returns events that are already in the state and must be journalled

    def observe(self, source: str, observations: Iterable[Observation], now: float) -> List[Event]:
        """Take in what a source reported."""
        collect = not self._capabilities[source].shares_files
        events: List[Event] = []
        for seen in observations:
            event = interpret_observation(self.state, source, seen, now, collect)
            if event is not None:
                events.append(event)
                reduce(self.state, event)
        return events

    def answered(
        self, source: str, token: str, asked: Sequence[Attempt], result: SubmitResult, now: float
    ) -> List[Event]:
        """Take in the answers to a submission."""
        events, open_questions = interpret_answers(source, asked, result, now)
        if open_questions:
            self._to_find.setdefault(token, set()).update(index for index, _ in open_questions)
        return self._take(events)

    def unanswered(self, token: str, asked: Sequence[Attempt]) -> None:
        """A submission, or a search, raised or overran its deadline: nobody knows; look before anything else."""
        self._to_find.setdefault(token, set()).update(index for index, _ in asked)

    def found(self, source: str, asked: Sequence[Attempt], found: Mapping[Attempt, Handle], now: float) -> List[Event]:
        """Take in what `find` found."""
        return self._take(interpret_found(source, asked, found, now))

    def collected(self, attempts: Sequence[Attempt], now: float) -> List[Event]:
        """The files of these attempts are home."""
        self._collecting.difference_update(attempts)
        return self._take([make("collected", now, tasks=list(attempts))])

    def not_collected(self, attempts: Sequence[Attempt]) -> None:
        """Their files did not come; try again."""
        self._collecting.difference_update(attempts)

    def trouble(self, source: str, reason: str, now: float) -> List[Event]:
        """A call of this source failed or hangs."""
        self._troubles[source] = count = self._troubles.get(source, 0) + 1
        health = "disabled" if count >= _DISABLE_AFTER else "degraded"
        return self._health(source, health, reason, now)

    def well(self, source: str, now: float) -> List[Event]:
        """A call of this source succeeded."""
        self._troubles.pop(source, None)
        return self._health(source, "healthy", "", now)

    def _health(self, source: str, health: str, reason: str, now: float) -> List[Event]:
        known = self.state.sources[source]
        if (known.health, known.reason) == (health, reason):
            return []
        return self._take([make("source", now, source=source, health=health, reason=reason)])

    def cancel(self, tasks: Optional[Sequence[int]], now: float) -> List[Event]:
        """A person asked to end these tasks, or all."""
        return self._take([make("cancelling", now, tasks=None if tasks is None else list(tasks))])

    def interrupt(self, reason: str) -> None:
        """Start nothing more; end what runs on sources that say so; then finish."""
        self._interrupted = self._interrupted or reason

    def _take(self, events: List[Event]) -> List[Event]:
        for event in events:
            reduce(self.state, event)
        return events

    # --- what to do

    def step(self, now: float) -> Tuple[List[Event], List[Instruction]]:
        """Events to journal first, then instructions to carry out."""
        events: List[Event] = []
        instructions: List[Instruction] = []
        self._hold_if_hopeless(events, now)
        if not (self._interrupted or self.state.held or self.state.cancelling):
            self._assign(events, instructions, now)
        if self._to_find:
            self._find(instructions)
        if self._interrupted or self.state.cancelling or any(t.cancelling for t in self.state.live.values()):
            self._end(instructions)
        self._collect(instructions)
        finish = self._finish()
        if finish is not None:
            instructions.append(finish)
        return events, instructions

    def _hold_if_hopeless(self, events: List[Event], now: float) -> None:
        """Nothing has succeeded and many failed alike: stop burning hours, and say why."""
        state = self.state
        if not state.alike or state.held or not state.hold_after or state.keep_going:
            return
        if state.counts[TaskState.COMPLETED]:
            return
        for signature, tasks in state.alike.items():
            if len(tasks) >= state.hold_after:
                reason = f"{len(tasks)} tasks failed alike and none succeeded: {signature}"
                events += self._take([make("held", now, reason=reason)])
                return

    # assigning

    def _assign(self, events: List[Event], instructions: List[Instruction], now: float) -> None:
        views = [view for view in map(self._view, self._usable(now)) if view is not None]
        if not views:
            return
        limit = min(sum(view.free for view in views), _MAX_BATCH)
        if self.state.limit is not None:
            limit = min(limit, self._sweep_room())
        tasks = self._candidates(limit, events, now)
        if not tasks:
            return
        for source, indices in self._ask_strategy(tasks, views, limit).items():
            self._tokens += 1
            token = f"hsm-{self.state.uid}-{self.state.epoch}-{self._tokens}"
            attempts = [(index, self._next_attempt(index)) for index in indices]
            events += self._take([make("assigned", now, source=source, token=token, tasks=attempts)])
            instructions.append(Submit(source, token, attempts))

    def _usable(self, now: float) -> List[SourceState]:
        return [
            source
            for source in self.state.sources.values()
            if source.open and source.slots and source.health != "disabled" and source.not_before <= now
        ]

    def _sweep_room(self) -> int:
        """How many more tasks the sweep's own limit allows, all sources together.

        With one source the limit is its number of slots already, and what it holds beyond them does not run.
        """
        assert self.state.limit is not None
        if self._one_source():
            return _MAX_BATCH
        return max(0, self.state.limit - self.state.in_flight)

    def _one_source(self) -> bool:
        holders = [s for s in self.state.sources.values() if s.in_flight or (s.open and s.slots)]
        return len(holders) == 1

    def _view(self, source: SourceState) -> Optional[SourceView]:
        """What the strategy may know of a source, or None when it has no room worth a submission."""
        slots = source.slots
        ahead = self._capabilities[source.id].lookahead
        if self.state.limit is not None:
            slots = min(slots, self.state.limit)
            if not self._one_source():
                ahead = 0
        if ahead is None:
            ahead = min(max(slots, int(source.rate * _LOOKAHEAD_S)), _MAX_LOOKAHEAD)
        free = slots + ahead - source.in_flight
        # A quarter at a time: a submission a task would cost more than the tasks.
        if free <= 0 or (free < ahead // 4 and source.in_flight > slots):
            return None
        return SourceView(source.id, free, slots, source.in_flight, source.mean_duration_s)

    def _candidates(self, limit: int, events: List[Event], now: float) -> List[int]:
        """The next tasks: those that came back first, then untouched ones by index."""
        state = self.state
        tasks: List[int] = []
        hopeless: List[int] = []
        open_sources = {source.id for source in state.sources.values() if source.open and source.slots}
        for index in state.waiting:
            if len(tasks) >= limit:
                break
            task = state.live[index]
            if task.banned and task.banned >= open_sources:
                hopeless.append(index)
            elif task.not_before <= now:
                tasks.append(index)
        for index in hopeless:
            task = state.live[index]
            events += self._take([make("unplaceable", now, task=(index, task.attempt), reason=task.observed)])
        index = state.cursor
        while len(tasks) < limit and index < state.total and not state.rest_cancelled:
            if index not in state.outcomes:
                tasks.append(index)
            index += 1
        return tasks

    def _next_attempt(self, index: int) -> int:
        task = self.state.live.get(index)
        return 1 if task is None else task.attempt + 1

    def _ask_strategy(self, tasks: Sequence[int], views: Sequence[SourceView], limit: int) -> Dict[str, List[int]]:
        """The strategy's choice, less whatever breaks its contract."""
        free = {view.id: view.free for view in views}
        left = dict.fromkeys(tasks)
        chosen: Dict[str, List[int]] = {}
        for index, source in self._strategy.assign(tasks, views, limit):
            if index not in left or free.get(source, 0) <= 0:
                continue
            task = self.state.live.get(index)
            if task is not None and source in task.banned:
                source = next((view.id for view in views if view.id not in task.banned and free[view.id] > 0), "")
                if not source:
                    continue
            del left[index]
            free[source] -= 1
            chosen.setdefault(source, []).append(index)
        return chosen

    # everything else

    def _find(self, instructions: List[Instruction]) -> None:
        """Ask about tasks whose submission has no answer. Answered ones have left the assigned state meanwhile."""
        for token, indices in self._to_find.items():
            by_source: Dict[str, List[Attempt]] = {}
            for index in sorted(indices):
                task = self.state.live.get(index)
                if task is not None and task.state is TaskState.ASSIGNED and task.token == token and task.source:
                    by_source.setdefault(task.source, []).append((index, task.attempt))
            for source, attempts in by_source.items():
                if source in self._capabilities:
                    instructions.append(Find(source, token, attempts))
        self._to_find.clear()

    def _end(self, instructions: List[Instruction]) -> None:
        """Tell sources to end what is to end, each attempt once."""
        by_source: Dict[str, Dict[Attempt, Handle]] = {}
        for index, task in self.state.live.items():
            if task.state not in IN_FLIGHT or task.state is TaskState.COLLECTING or task.handle is None:
                continue
            attempt = (index, task.attempt)
            if attempt in self._told_to_end or task.source not in self._capabilities:
                continue
            if task.cancelling or (self._interrupted and self._capabilities[task.source].interrupts):
                self._told_to_end.add(attempt)
                by_source.setdefault(task.source, {})[attempt] = task.handle
        instructions.extend(Cancel(source, handles) for source, handles in by_source.items())

    def _collect(self, instructions: List[Instruction]) -> None:
        if not self.state.counts[TaskState.COLLECTING]:
            return
        by_source: Dict[str, Dict[Attempt, Handle]] = {}
        for index, task in self.state.live.items():
            attempt = (index, task.attempt)
            if task.state is TaskState.COLLECTING and attempt not in self._collecting and task.source:
                self._collecting.add(attempt)
                by_source.setdefault(task.source, {})[attempt] = task.handle or {}
        instructions.extend(Collect(s, handles) for s, handles in by_source.items() if s in self._capabilities)

    def _finish(self) -> Optional[Finish]:
        state = self.state
        if state.finished == state.total:
            return Finish(state.sweep_state(), "finished")
        if self._interrupted:
            return None if self._to_wait_for() else Finish("interrupted", self._interrupted)
        if state.in_flight:
            return None
        if state.held:
            return Finish("held", state.held)
        usable = [source for source in state.sources.values() if source.open and source.slots]
        if usable and all(source.health == "disabled" for source in usable):
            reasons = "; ".join(f"{source.id}: {source.reason}" for source in usable)
            return Finish("interrupted", f"no source works any more: {reasons}")
        return None

    def _to_wait_for(self) -> bool:
        """An interrupted controller waits for the ends of what it told to end, and for files on their way."""
        return any(
            task.state in IN_FLIGHT
            and task.source in self._capabilities
            and (self._capabilities[task.source].interrupts or task.state is TaskState.COLLECTING)
            and self.state.sources[task.source].health != "disabled"
            for task in self.state.live.values()
        )
