"""Decisions: what to do next, from the state of the sweep, the strategy and the sources' capabilities. Pure.

`Engine` is told what was seen and answers with events, which its caller journals; `step` then says what to do. It reads
no clock (`now` is an argument) and does no I/O, so a test runs a year of a sweep in a second.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from ..contract import (
    Acceptance,
    Attempt,
    Capabilities,
    Handle,
    Health,
    HealthReport,
    Observation,
    Strategy,
    SubmitResult,
    TaskState,
)
from .assign import Assigner
from .collections import Collections
from .events import Event, make
from .instructions import Cancel, Collect, Find, Finish, Instruction, Submit
from .interpret import interpret_answers, interpret_found, interpret_observation
from .reduce import reduce
from .state import IN_FLIGHT, UNSTARTED, LiveTask, SourceState, SweepState
from .stops import bars, hold_reason
from .troubles import Troubles

__all__ = ["Cancel", "Collect", "Engine", "Find", "Finish", "Instruction", "Submit"]

_AT_ONCE_S = 1.0
"""How long a controller that must go at once waits to see the tasks end that it killed, so that it can say so."""
_GIVE_UP_S = 900.0
"""How long a sweep waits for its last tasks at sources of which nothing can be learned."""


class Engine:
    """Runs one sweep for one controller.

    :param state: as replayed from the journal, the `opened` event of this controller included.
    :param collect_interval_s: how long files of tasks that ended well may wait before they are brought home.
    :param memory_mb: what a task asks for, by its index; None where nobody said.
    :param longest_s: the longest that a task may run, for strategies that plan; None where nobody said.
    """

    def __init__(
        self,
        state: SweepState,
        strategy: Strategy,
        collect_interval_s: float = 0.0,
        memory_mb: Callable[[int], Optional[int]] = lambda index: None,
        longest_s: Optional[float] = None,
    ) -> None:
        self.state = state
        self._memory_mb = memory_mb
        self._collections = Collections(state, collect_interval_s)
        self._capabilities: Dict[str, Capabilities] = {}
        self._to_find: Dict[str, Set[int]] = {token: set(tasks) for token, tasks in state.unanswered.items()}
        self._doubts: Dict[str, str] = {}
        """What was said about submissions of which nobody knows what became."""
        self._told_to_end: Set[Attempt] = set()
        self._troubles: Dict[str, Troubles] = {}
        self._expected: Set[str] = set()
        self._assigner = Assigner(state, strategy, self._capabilities, self._expected, self._speaks, longest_s)
        self._resting: Optional[str] = None
        self._interrupted: Optional[str] = None
        self._at_once = False
        self._leave_by: Optional[float] = None

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
            event = interpret_observation(self.state, source, seen, now, collect, self._memory_mb)
            if event is not None:
                events.append(event)
                reduce(self.state, event)
                if event.get("collect"):
                    self._collections.add(seen.attempt, now)
        return events

    def answered(
        self, source: str, token: str, asked: Sequence[Attempt], result: SubmitResult, now: float
    ) -> List[Event]:
        """Take in the answers to a submission."""
        events, open_questions = interpret_answers(self.state, source, asked, result, now)
        if open_questions:
            doubts = [a.reason for a in result.answers if a.acceptance is Acceptance.INDETERMINATE and a.reason]
            self._doubts[token] = doubts[0] if doubts else ""
            self._to_find.setdefault(token, set()).update(index for index, _ in open_questions)
        return self._take(events)

    def unanswered(self, token: str, asked: Sequence[Attempt]) -> None:
        """A submission, or a search, raised or overran its deadline: nobody knows; look before anything else."""
        self._to_find.setdefault(token, set()).update(index for index, _ in asked)

    def found(self, source: str, asked: Sequence[Attempt], found: Mapping[Attempt, Handle], now: float) -> List[Event]:
        """Take in what `find` found."""
        tokens = {self.state.live[index].token for index, _ in asked if index in self.state.live}
        doubt = next(filter(None, (self._doubts.pop(token, "") for token in tokens)), "")
        return self._take(interpret_found(self.state, source, asked, found, now, doubt))

    def collected(self, attempts: Sequence[Attempt], now: float) -> List[Event]:
        """The files of these attempts are home."""
        return self._take([make("collected", now, tasks=list(attempts))])

    def not_collected(self, attempts: Sequence[Attempt]) -> None:
        """Their files did not come; try again."""
        self._collections.put_back(attempts)

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

    def trouble(self, source: str, reason: str, now: float, hangs: bool = False, call: str = "") -> List[Event]:
        """A call of this source failed, or hangs: leave it alone for a while, longer each time.

        :param call: submit, find, poll, collect, cancel or health; empty for one that hangs.
        """
        troubles = self._troubles.setdefault(source, Troubles())
        troubles.failed(call, now, hangs)
        return self._health(source, "disabled" if troubles.disabled else "degraded", reason, now)

    def well(self, source: str, now: float, call: str = "") -> List[Event]:
        """A call of this source succeeded."""
        troubles = self._troubles.get(source)
        if troubles:
            troubles.succeeded(call)
            if not troubles:
                return self._health(source, Health.HEALTHY.value, "", now)
        return []

    def reported(self, source: str, report: HealthReport, now: float) -> List[Event]:
        """The source says how it is. What its calls did weighs more, but a disabled source gets one more try."""
        troubles = self._troubles.setdefault(source, Troubles())
        troubles.spoke()
        measured = self._measured(source, report, now)
        if not troubles:
            return measured + self._health(source, report.health.value, report.detail, now)
        if report.health in (Health.HEALTHY, Health.DEGRADED) and troubles.disabled and self._speaks(source, now):
            troubles.one_more_try()
            return measured + self._health(source, Health.DEGRADED.value, self.state.sources[source].reason, now)
        return measured

    def _measured(self, source: str, report: HealthReport, now: float) -> List[Event]:
        if not report.facts or source not in self.state.sources:
            return []
        return self._take([make("measured", now, source=source, facts=dict(report.facts))])

    def _health(self, source: str, health: str, reason: str, now: float) -> List[Event]:
        known = self.state.sources.get(source)
        if known is None or (known.health, known.reason) == (health, reason):
            return []
        return self._take([make("source", now, source=source, health=health, reason=reason)])

    def _speaks(self, source: str, now: float) -> bool:
        """The source is ready, and is not being left alone after a trouble."""
        troubles = self._troubles.get(source)
        return source in self._capabilities and (troubles is None or troubles.quiet_until <= now)

    def cancel(self, tasks: Optional[Sequence[int]], now: float) -> List[Event]:
        """A person asked to end these tasks, or all."""
        return self._take([make("cancelling", now, tasks=None if tasks is None else list(tasks))])

    def pause(self, reason: str, now: float) -> List[Event]:
        """Start nothing more, take back what waits at sources, and let run what runs, until `resume`."""
        return self._take([make("paused", now, reason=reason)]) if self.state.paused is None else []

    def resume(self, reason: str, now: float) -> List[Event]:
        """Go on where `pause` stopped."""
        return self._take([make("resumed", now, reason=reason)]) if self.state.paused is not None else []

    def interrupt(self, reason: str, at_once: bool = False) -> None:
        """Start nothing more; end what runs on sources that say so; then finish, or finish at once."""
        self._interrupted = self._interrupted or reason
        if at_once and not self._at_once:
            self._at_once = True
            self._told_to_end.clear()

    def rest(self, reason: str) -> None:
        """Start nothing, leave alone what runs, and finish when all that is to end, or is taken back, has ended."""
        self._resting = reason

    def _take(self, events: List[Event]) -> List[Event]:
        for event in events:
            reduce(self.state, event)
        return events

    # --- what to do

    def step(self, now: float) -> Tuple[List[Event], List[Instruction]]:
        """Events to journal first, then instructions to carry out."""
        events: List[Event] = []
        instructions: List[Instruction] = []
        events += self._take(bars(self.state, now))
        reason = None if self.state.held else hold_reason(self.state, bool(self._expected))
        if reason is not None:
            events += self._take([make("held", now, reason=reason)])
        stopped = self._interrupted or self._resting or self._takes_back or self.state.cancelling
        if not stopped:
            assigned, submissions = self._assigner.assign(now)
            events += assigned
            instructions += submissions
        if self._to_find:
            self._find(instructions, now)
        barred = any(source.is_barred(now) and source.in_flight for source in self.state.sources.values())
        if self._interrupted or self._takes_back or self.state.ending or barred:
            self._end(instructions, now)
        instructions += self._collections.due(now, self._speaks, self._is_ending())
        finish = self._finish(now)
        if finish is not None:
            instructions.append(finish)
        return events, instructions

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
            interrupted = self._interrupted and self._capabilities[task.source].interrupts
            left_behind = task.state in UNSTARTED and self.state.sources[task.source].is_barred(now)
            if interrupted or left_behind or self._is_to_end(task):
                self._told_to_end.add(attempt)
                by_source.setdefault(task.source, {})[attempt] = task.handle
        instructions.extend(Cancel(source, handles) for source, handles in by_source.items())

    @property
    def _takes_back(self) -> bool:
        """A hold or a pause takes back what waits at a source, and lets run what runs."""
        return self.state.held is not None or self.state.paused is not None

    def _is_to_end(self, task: LiveTask) -> bool:
        return task.cancelling or (self._takes_back and task.state in UNSTARTED)

    def not_ended(self, attempts: Iterable[Attempt]) -> None:
        """The source could not be told to end these; tell it again."""
        self._told_to_end.difference_update(attempts)

    def _is_ending(self) -> bool:
        """Nothing is left to do, or is to be done, but to bring files home."""
        state = self.state
        left = state.total - state.finished
        return bool(self._interrupted or self._resting or state.held or left == len(state.collecting))

    def _finish(self, now: float) -> Optional[Finish]:
        state = self.state
        if state.finished == state.total:
            return Finish(state.sweep_state(), "finished")
        if self._interrupted:
            if self._at_once and self._leave_by is None:
                self._leave_by = now + _AT_ONCE_S
            waits = self._to_wait_for() and (self._leave_by is None or now < self._leave_by)
            return None if waits else Finish("interrupted", self._interrupted)
        if self._resting:
            waits = any(self._is_to_end(task) and self._is_heard_of(task) for task in state.live.values())
            return None if waits else Finish("interrupted", self._resting)
        if self._expected or (state.paused is not None and not state.held):
            return None
        within_reach = [source for source in state.sources.values() if source.id in self._capabilities]
        holders = [source for source in within_reach if source.in_flight]
        if not all(self._given_up(source, now) for source in holders):
            return None
        takers = [] if state.held else self._takers(within_reach)
        if any(source.health != "disabled" for source in takers):
            return None
        if state.held:
            return Finish("held", state.held)
        return Finish("interrupted", self._why_stuck(holders, takers))

    def _given_up(self, source: SourceState, now: float) -> bool:
        """Nothing could be learned for long of the tasks that it has."""
        held = [self.state.live[index].source for index in self.state.collecting]
        gone = self._gone_since(source.id, collecting=held.count(source.id) == source.in_flight)
        return gone is not None and now - gone >= _GIVE_UP_S

    def _gone_since(self, source: str, collecting: bool) -> Optional[float]:
        troubles = self._troubles.get(source)
        return troubles.gone_since(collecting) if troubles else None

    def _takers(self, sources: Sequence[SourceState]) -> List[SourceState]:
        """Those of the sources that some waiting task may yet go to, when nothing that is in flight will end."""
        state = self.state
        if state.limit is not None and state.busy >= state.limit:
            return []
        untouched = state.pending > len(state.waiting)
        return [
            source
            for source in sources
            if source.slots and not (source.barred and source.barred_until is None)
            if untouched or any(source.id not in state.live[i].banned for i in state.waiting)
        ]

    def _why_stuck(self, holders: Sequence[SourceState], takers: Sequence[SourceState]) -> str:
        """Nothing can be done, and tasks are left: say where they are."""
        broken = {source.id: source.reason for source in (*holders, *takers)}
        broken.update((source.id, source.barred) for source in self.state.sources.values() if source.barred)
        words = [f"{id}: {reason}" for id, reason in broken.items()]
        lost_touch = [s for s in self.state.sources.values() if s.in_flight and s.id not in self._capabilities]
        words += [f"{s.id} has {s.in_flight} tasks and cannot be reached" for s in lost_touch]
        return "no source works any more: " + ("; ".join(words) or "none could be opened")

    def _to_wait_for(self) -> bool:
        """An interrupted controller waits for the ends of what it told to end, and for files on their way."""
        return any(
            task.state is TaskState.COLLECTING or self._capabilities[task.source].interrupts
            for task in self.state.live.values()
            if task.state in IN_FLIGHT and task.source in self._capabilities and self._is_heard_of(task)
        )

    def _is_heard_of(self, task: LiveTask) -> bool:
        """Its source is there, or may yet be, and answers."""
        there = task.source in self._capabilities or task.source in self._expected
        return there and self._gone_since(task.source, task.state is TaskState.COLLECTING) is None
