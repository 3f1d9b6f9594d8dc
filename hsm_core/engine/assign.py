"""Which waiting tasks go where, by the room of the sources, the sweep's limit and the strategy's choice. Pure."""

from __future__ import annotations

import math
from typing import AbstractSet, Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ..contract import Assignment, Attempt, Capabilities, Outlook, Planner, SourceView, Strategy, TaskState
from .events import Event, make
from .instructions import Submit
from .reduce import reduce
from .state import UNSTARTED, SourceState, SweepState

__all__ = ["Assigner"]

_LOOKAHEAD_S = 0.15
"""A source that looks ahead is given what it will start within this time, by its measured rate …"""
_MAY_IDLE = 0.05
"""… but for this share of its slots: slots of long tasks may as well be idle for a moment, and keep the choice open."""
_MAX_LOOKAHEAD = 1024
_MAX_BATCH = 2048


class Assigner:
    """Gives waiting tasks to sources.

    :param capabilities: of the sources that have joined, as they are at any moment.
    :param expected: sources that may yet join, as they are at any moment.
    :param speaks: `(source, now)`: whether a source may be asked anything.
    :param longest_s: the longest that a task may run, where that is known.
    """

    def __init__(
        self,
        state: SweepState,
        strategy: Strategy,
        capabilities: Mapping[str, Capabilities],
        expected: AbstractSet[str],
        speaks: Callable[[str, float], bool],
        longest_s: Optional[float] = None,
    ) -> None:
        self._state = state
        self._strategy = strategy
        self._planner = strategy if isinstance(strategy, Planner) else None
        self._capabilities = capabilities
        self._expected = expected
        self._speaks = speaks
        self._longest_s = longest_s
        self._tokens = 0
        self._strategy_failed = ""

    def assign(self, now: float) -> Tuple[List[Event], List[Submit]]:
        """Assign as many waiting tasks as there is room for. The events are already in the state."""
        events: List[Event] = []
        submissions: List[Submit] = []
        if not self._state.pending:
            return events, submissions
        rooms = [(source, self._room(source)) for source in self._usable(now)]
        views = [self._view(source, room) for source, room in rooms if room]
        if not views:
            return events, submissions
        limit = min(sum(view.free for view in views), _MAX_BATCH)
        if self._state.limit is not None:
            limit = min(limit, self._sweep_room())
        tasks = self._candidates({view.id for view in views}, limit, events, now)
        if not tasks:
            return events, submissions
        for source, indices in self._choose(tasks, views, limit, events, now).items():
            self._tokens += 1
            token = f"hsm-{self._state.uid}-{self._state.epoch}-{self._tokens}"
            attempts = [(index, self._next_attempt(index)) for index in indices]
            self._add(events, make("assigned", now, source=source, token=token, tasks=attempts))
            submissions.append(Submit(source, token, attempts, self._given(attempts)))
        return events, submissions

    def _add(self, events: List[Event], event: Event) -> None:
        reduce(self._state, event)
        events.append(event)

    def _usable(self, now: float) -> List[SourceState]:
        return [
            source
            for source in self._state.sources.values()
            if source.open and source.slots and source.health != "disabled"
            if source.refusals.not_before <= now and not source.is_barred(now) and self._speaks(source.id, now)
        ]

    def _sweep_room(self) -> int:
        """How many more tasks the sweep's own limit allows, all sources together."""
        assert self._state.limit is not None
        return _MAX_BATCH if self._limits_itself() else max(0, self._state.limit - self._state.busy)

    def _limits_itself(self) -> bool:
        """There is one source, and its slots are within the sweep's limit: what it holds beyond them does not run."""
        only = self._only_source()
        return only is not None and only.slots <= (self._state.limit or 0)

    def _only_source(self) -> Optional[SourceState]:
        """The source that has, or may be given, whatever is left of the sweep; None where several share it."""
        holders = [
            source for source in self._state.sources.values() if source.in_flight or (source.open and source.slots)
        ]
        return holders[0] if len(holders) == 1 and not self._expected else None

    def _room(self, source: SourceState) -> int:
        """How many more tasks a source can take now; 0 when that is not worth a submission."""
        if source.on_trial and source.busy:
            return 0
        slots = self._slots(source)
        ahead = self._lookahead(source, slots)
        free = slots + ahead - source.busy
        # A quarter at a time: a submission a task would cost more than the tasks.
        if free < ahead // 4 and source.busy > slots:
            return 0
        if source.refusals.window is not None:
            free = min(free, source.refusals.window - self._state.asked_of(source.id))
        return max(min(free, 1) if source.on_trial else free, 0)

    def _slots(self, source: SourceState) -> int:
        return source.slots if self._state.limit is None else min(source.slots, self._state.limit)

    def _view(
        self, source: SourceState, room: int, running_s: Sequence[float] = (), waiting_s: Sequence[float] = ()
    ) -> SourceView:
        """What a strategy may know of a source."""
        return SourceView(
            source.id,
            room,
            self._slots(source),
            source.busy,
            source.mean_duration_s,
            source.mean_wait_s,
            running_s,
            waiting_s,
        )

    def _lookahead(self, source: SourceState, slots: int) -> int:
        """How many tasks beyond its slots a source may hold. What it holds no other can take."""
        if self._state.limit is not None and not self._limits_itself():
            return 0
        ahead = self._capabilities[source.id].lookahead
        if ahead is None:
            rate = source.rate or (slots / max(source.mean_duration_s, 1e-3) if source.mean_duration_s else 0.0)
            return max(0, min(math.ceil(rate * _LOOKAHEAD_S - slots * _MAY_IDLE), _MAX_LOOKAHEAD))
        if self._only_source() is not None:
            return ahead
        wait_s, run_s = source.mean_wait_s or 0.0, source.mean_duration_s or math.inf
        # By Little's law so many wait while all slots are busy; half as many again, because they are given in portions.
        wanted = math.ceil(1.5 * slots * wait_s / max(run_s, 1e-3))
        # And no more than have completed: what one short task says of the others is not much.
        return min(ahead, slots + min(max(0, wanted - slots), source.completed))

    def _outlook(self, tasks: Sequence[int], views: Sequence[SourceView], limit: int, now: float) -> Outlook:
        """What a planner may know: also of sources that are full, and how long each task has been at it."""
        running: Dict[str, List[float]] = {}
        waiting: Dict[str, List[float]] = {}
        for task in self._state.live.values():
            if task.state is TaskState.RUNNING:
                running.setdefault(task.source, []).append(now - task.facts["t"])
            elif task.state in UNSTARTED and not task.behind:
                waiting.setdefault(task.source, []).append(now - task.given_at)
        rooms = {view.id: view.free for view in views}
        sources = [
            self._view(
                source,
                rooms.get(source.id, 0),
                sorted(running.get(source.id, ()), reverse=True),
                sorted(waiting.get(source.id, ()), reverse=True),
            )
            for source in self._state.sources.values()
            if source.open and source.slots and source.health != "disabled"
            if not source.is_barred(now) and self._speaks(source.id, now)
        ]
        return Outlook(tasks, sources, limit, self._state.pending, self._longest_s)

    def _candidates(self, takers: AbstractSet[str], limit: int, events: List[Event], now: float) -> List[int]:
        """The next tasks for these sources: those that came back first, then untouched ones by index."""
        state = self._state
        tasks: List[int] = []
        hopeless: List[int] = []
        open_sources = {source.id for source in state.sources.values() if source.open and source.slots}
        open_sources |= self._expected
        for index in state.waiting:
            if len(tasks) >= limit:
                break
            task = state.live[index]
            if task.banned and task.banned >= open_sources:
                hopeless.append(index)
            elif task.not_before <= now and not (task.banned and task.banned >= takers):
                tasks.append(index)
        for index in hopeless:
            task = state.live[index]
            self._add(events, make("unplaceable", now, task=(index, task.attempt), reason=task.observed))
        index = state.cursor
        while len(tasks) < limit and index < state.total and not state.rest_cancelled:
            if index not in state.outcomes:
                tasks.append(index)
            index += 1
        return tasks

    def _given(self, attempts: Sequence[Attempt]) -> Dict[Attempt, Mapping[str, Any]]:
        """What earlier ends have brought some of them."""
        live = self._state.live
        return {attempt: live[attempt[0]].resources for attempt in attempts if live[attempt[0]].resources}

    def _next_attempt(self, index: int) -> int:
        task = self._state.live.get(index)
        return 1 if task is None else task.attempt + 1

    def _choose(
        self, tasks: Sequence[int], views: Sequence[SourceView], limit: int, events: List[Event], now: float
    ) -> Dict[str, List[int]]:
        """What the strategy says, unless it fails, or keeps everything back while nothing is in flight."""
        failed = False
        try:
            chosen = self._lawful(self._ask(tasks, views, limit, now), tasks, views)
        except Exception as error:
            # A strategy is somebody else's code: whatever it raises must not stop the sweep.
            chosen, failed = {}, True
            words = f"the strategy failed: {type(error).__name__}: {error}"
            if words != self._strategy_failed:
                self._strategy_failed = words
                self._add(events, make("note", now, text=words))
        if not chosen and (failed or not self._state.in_flight):
            chosen = self._lawful([(index, view.id) for view in views for index in tasks], tasks, views)
        return chosen

    def _ask(self, tasks: Sequence[int], views: Sequence[SourceView], limit: int, now: float) -> Sequence[Assignment]:
        if self._planner is not None:
            return self._planner.plan(self._outlook(tasks, views, limit, now))
        return self._strategy.assign(tasks, views, limit)

    def _lawful(
        self, choice: Iterable[Assignment], tasks: Sequence[int], views: Sequence[SourceView]
    ) -> Dict[str, List[int]]:
        """A choice less whatever breaks the contract of strategies."""
        free = {view.id: view.free for view in views}
        left = dict.fromkeys(tasks)
        chosen: Dict[str, List[int]] = {}
        for index, source in choice:
            if index not in left or free.get(source, 0) <= 0:
                continue
            task = self._state.live.get(index)
            if task is not None and source in task.banned:
                source = next((view.id for view in views if view.id not in task.banned and free[view.id] > 0), "")
                if not source:
                    continue
            del left[index]
            free[source] -= 1
            chosen.setdefault(source, []).append(index)
        return chosen
