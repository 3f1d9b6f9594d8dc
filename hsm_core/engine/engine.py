"""Decisions: what to do next, from the state of the sweep, the strategy and the sources' capabilities. Pure.

`Engine` is told what was seen and answers with events, which its caller journals; `step` then says what to do. It reads
no clock (`now` is an argument) and does no I/O, so a test runs a year of a sweep in a second.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

from ..contract import (
    Attempt,
    Capabilities,
    Handle,
    HealthReport,
    Observation,
    SourceView,
    Strategy,
    SubmitResult,
    TaskState,
)
from .events import Event, make
from .interpret import interpret_answers, interpret_found, interpret_observation
from .reduce import reduce
from .state import IN_FLIGHT, SourceState, SweepState

__all__ = ["Cancel", "Collect", "Engine", "Find", "Finish", "Instruction", "Submit"]

_LOOKAHEAD_S = 0.15
"""A source that looks ahead is given what it will start within this time, by its measured rate."""
_MAX_LOOKAHEAD = 1024
_MAX_BATCH = 2048
_MAX_QUIET_S = 60.0
_GIVE_UP_S = 900.0
"""How long a sweep waits for a disabled source that holds its last tasks."""
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
    """

    def __init__(self, state: SweepState, strategy: Strategy) -> None:
        self.state = state
        self._strategy = strategy
        self._capabilities: Dict[str, Capabilities] = {}
        self._tokens = 0
        self._to_find: Dict[str, Set[int]] = {token: set(tasks) for token, tasks in state.unanswered.items()}
        self._told_to_end: Set[Attempt] = set()
        self._collecting: Set[Attempt] = set()
        self._troubles: Dict[str, int] = {}
        self._quiet_until: Dict[str, float] = {}
        self._expected: Set[str] = set()
        self._disabled_since: Dict[str, float] = {}
        self._interrupted: Optional[str] = None
        self._at_once = False

    @property
    def joined(self) -> Mapping[str, Capabilities]:
        """The sources that are ready, by id."""
        return self._capabilities

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

    def expect(self, sources: Iterable[str]) -> None:
        """These may yet `join`; until each has, or is given up, the sweep is not given up for want of sources."""
        self._expected.update(sources)

    def give_up(self, source: str) -> None:
        """This one will not join."""
        self._expected.discard(source)

    def join(self, source: str, capabilities: Capabilities, slots: int, now: float) -> List[Event]:
        """A source is ready; with 0 slots it is there only for the tasks that it has already."""
        self._capabilities[source] = capabilities
        self._expected.discard(source)
        return self._take([make("joined", now, source=source, slots=slots)])

    def trouble(self, source: str, reason: str, now: float, hangs: bool = False) -> List[Event]:
        """A call of this source failed, or hangs: leave it alone for a while, longer each time."""
        self._troubles[source] = count = self._troubles.get(source, 0) + 1
        self._quiet_until[source] = now + min(_MAX_QUIET_S, 2.0 ** min(count, 10))
        if source not in self.state.sources:
            return []
        return self._health(source, "disabled" if hangs or count >= _DISABLE_AFTER else "degraded", reason, now)

    def well(self, source: str, now: float) -> List[Event]:
        """A call of this source succeeded."""
        if source not in self._troubles:
            return []
        del self._troubles[source]
        self._quiet_until.pop(source, None)
        return self._health(source, "healthy", "", now)

    def reported(self, source: str, report: HealthReport, now: float) -> List[Event]:
        """The source says how it is; what its calls did weighs more."""
        return [] if source in self._troubles else self._health(source, report.health.value, report.detail, now)

    def _health(self, source: str, health: str, reason: str, now: float) -> List[Event]:
        known = self.state.sources[source]
        if (known.health, known.reason) == (health, reason):
            return []
        if health != "disabled":
            self._disabled_since.pop(source, None)
        else:
            self._disabled_since.setdefault(source, now)
        return self._take([make("source", now, source=source, health=health, reason=reason)])

    def cancel(self, tasks: Optional[Sequence[int]], now: float) -> List[Event]:
        """A person asked to end these tasks, or all."""
        return self._take([make("cancelling", now, tasks=None if tasks is None else list(tasks))])

    def interrupt(self, reason: str, at_once: bool = False) -> None:
        """Start nothing more; end what runs on sources that say so; then finish, or finish at once."""
        self._interrupted = self._interrupted or reason
        if at_once and not self._at_once:
            self._at_once = True
            self._told_to_end.clear()

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
            self._find(instructions, now)
        if self._interrupted or self.state.cancelling or any(t.cancelling for t in self.state.live.values()):
            self._end(instructions, now)
        self._collect(instructions, now)
        finish = self._finish(now)
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
            if source.open and source.slots and source.health != "disabled"
            if source.not_before <= now and self._speaks(source.id, now)
        ]

    def _speaks(self, source: str, now: float) -> bool:
        """The source is ready, and is not being left alone after a trouble."""
        return source in self._capabilities and self._quiet_until.get(source, 0.0) <= now

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

    def _find(self, instructions: List[Instruction], now: float) -> None:
        """Ask about tasks whose submission has no answer. Answered ones have left the assigned state meanwhile."""
        for token, indices in list(self._to_find.items()):
            by_source: Dict[str, List[Attempt]] = {}
            for index in sorted(indices):
                task = self.state.live.get(index)
                if task is not None and task.state is TaskState.ASSIGNED and task.token == token:
                    by_source.setdefault(task.source, []).append((index, task.attempt))
            if all(self._speaks(source, now) for source in by_source):
                del self._to_find[token]
                instructions.extend(Find(source, token, attempts) for source, attempts in by_source.items())

    def _end(self, instructions: List[Instruction], now: float) -> None:
        """Tell sources to end what is to end, each attempt once."""
        by_source: Dict[str, Dict[Attempt, Handle]] = {}
        for index, task in self.state.live.items():
            if task.state not in IN_FLIGHT or task.state is TaskState.COLLECTING or task.handle is None:
                continue
            attempt = (index, task.attempt)
            if attempt in self._told_to_end or not self._speaks(task.source, now):
                continue
            if task.cancelling or (self._interrupted and self._capabilities[task.source].interrupts):
                self._told_to_end.add(attempt)
                by_source.setdefault(task.source, {})[attempt] = task.handle
        instructions.extend(Cancel(source, handles) for source, handles in by_source.items())

    def not_ended(self, attempts: Iterable[Attempt]) -> None:
        """The source could not be told to end these; tell it again."""
        self._told_to_end.difference_update(attempts)

    def _collect(self, instructions: List[Instruction], now: float) -> None:
        if not self.state.counts[TaskState.COLLECTING]:
            return
        by_source: Dict[str, Dict[Attempt, Handle]] = {}
        for index, task in self.state.live.items():
            attempt = (index, task.attempt)
            if task.state is not TaskState.COLLECTING or attempt in self._collecting:
                continue
            if self._speaks(task.source, now):
                self._collecting.add(attempt)
                by_source.setdefault(task.source, {})[attempt] = task.handle or {}
        instructions.extend(Collect(source, handles) for source, handles in by_source.items())

    def _finish(self, now: float) -> Optional[Finish]:
        state = self.state
        if state.finished == state.total:
            return Finish(state.sweep_state(), "finished")
        if self._interrupted:
            waits = self._to_wait_for() and not self._at_once
            return None if waits else Finish("interrupted", self._interrupted)
        if self._expected:
            return None
        within_reach = [source for source in state.sources.values() if source.id in self._capabilities]
        holders = [source for source in within_reach if source.in_flight]
        if state.held:
            return None if holders else Finish("held", state.held)
        takers = [source for source in within_reach if source.slots] if state.pending else []
        if any(source.health != "disabled" for source in (*holders, *takers)):
            return None
        if any(now - self._disabled_since.get(source.id, now) < _GIVE_UP_S for source in holders):
            return None
        return Finish("interrupted", self._why_stuck(holders, takers))

    def _why_stuck(self, holders: Sequence[SourceState], takers: Sequence[SourceState]) -> str:
        """Nothing can be done, and tasks are left: say where they are."""
        broken = {source.id: source.reason for source in (*holders, *takers)}
        words = [f"{id}: {reason}" for id, reason in broken.items()]
        lost_touch = [s for s in self.state.sources.values() if s.in_flight and s.id not in self._capabilities]
        words += [f"{s.id} has {s.in_flight} tasks and cannot be reached" for s in lost_touch]
        return "no source works any more: " + ("; ".join(words) or "none could be opened")

    def _to_wait_for(self) -> bool:
        """An interrupted controller waits for the ends of what it told to end, and for files on their way."""
        return any(
            task.state in IN_FLIGHT
            and task.source in self._capabilities
            and (self._capabilities[task.source].interrupts or task.state is TaskState.COLLECTING)
            and self.state.sources[task.source].health != "disabled"
            for task in self.state.live.values()
        )
