"""When files of ended tasks are brought home: those of failures at once, the others together, now and then. Pure."""

from __future__ import annotations

from typing import Callable, Dict, Iterable, List

from ..contract import Attempt, TaskState
from .instructions import Collect
from .reduce import verdict_of
from .state import SweepState

__all__ = ["Collections"]


class _Waiting:
    """What waits at one source."""

    def __init__(self, since: float) -> None:
        self.since = since
        """When files were last asked for, or the first began to wait."""
        self.attempts: Dict[Attempt, None] = {}
        self.urgent: Dict[Attempt, None] = {}


class Collections:
    """Which files are to be asked for, and when. A step costs nothing while nothing is due, however much waits.

    :param interval_s: how long the files of tasks that ended well may wait.
    """

    def __init__(self, state: SweepState, interval_s: float) -> None:
        self._state = state
        self._interval_s = interval_s
        self._waiting: Dict[str, _Waiting] = {}
        self.put_back((index, state.live[index].attempt) for index in state.collecting)

    def add(self, attempt: Attempt, now: float) -> None:
        """The attempt has ended, and its files are at its source."""
        task = self._state.live[attempt[0]]
        waiting = self._waiting.setdefault(task.source, _Waiting(now))
        ended_well = verdict_of(task.facts.get("record", {})) is TaskState.COMPLETED
        (waiting.attempts if ended_well else waiting.urgent)[attempt] = None

    def put_back(self, attempts: Iterable[Attempt]) -> None:
        """Files that were asked for did not come: they have waited long enough."""
        for attempt in attempts:
            task = self._state.live.get(attempt[0])
            if task is not None and task.attempt == attempt[1] and task.state is TaskState.COLLECTING:
                self._waiting.setdefault(task.source, _Waiting(0.0)).urgent[attempt] = None

    def due(self, now: float, speaks: Callable[[str, float], bool], ending: bool) -> List[Collect]:
        """What to ask for now.

        :param speaks: `(source, now)`: whether a source may be asked anything.
        :param ending: the sweep waits for nothing else.
        """
        instructions = []
        for source, waiting in self._waiting.items():
            whole = bool(waiting.attempts) and (ending or now - waiting.since >= self._interval_s)
            if not (whole or waiting.urgent) or not speaks(source, now):
                continue
            attempts = list(waiting.urgent)
            waiting.urgent = {}
            if whole:
                attempts += waiting.attempts
                waiting.attempts = {}
                waiting.since = now
            live = self._state.live
            handles = {a: live[a[0]].handle or {} for a in attempts if a[0] in self._state.collecting}
            instructions.append(Collect(source, handles))
        return instructions
