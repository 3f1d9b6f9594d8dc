"""What a person sees while a sweep runs: a live display in a terminal, and elsewhere one plain line a change."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Callable, Iterable, List, Optional, TextIO

from ..contract import TaskState
from ..engine.events import Event
from ..engine.reduce import signature_of, verdict_of
from ..engine.state import SweepState
from ..store.layout import task_id
from ..store.views.facts import Facts, describe
from ..store.views.words import how_it_ended, one_line, span
from .status import next_steps, progress_text
from .tables import is_terminal, make_console

if TYPE_CHECKING:
    from .live import LiveDisplay

__all__ = ["Progress", "conclusion", "counts_text"]

_LIVE_EVERY_S = 0.25
_LINE_EVERY_S = 1.0
_LATER_LINE_EVERY_S = 10.0
_LATER_S = 60.0
_MAX_NAMED = 10
_SHOWN = (TaskState.COMPLETED, TaskState.FAILED, TaskState.TIMEOUT, TaskState.LOST, TaskState.CANCELLED)
_BAD = (TaskState.FAILED, TaskState.TIMEOUT, TaskState.LOST)


class Progress:
    """Follows a sweep from inside its controller, as a sink of its events.

    Make it before the sweep is conducted: `Conduct(sinks=[progress.attach], tell=progress.say)`.

    :param stream: standard error, as a rule: standard output is for results.
    :param clock: seconds, monotonic.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._terminal = is_terminal(stream)
        self._live: Optional[LiveDisplay] = None
        self._state: Optional[SweepState] = None
        self._began = clock()
        self._due = 0.0
        self._last_line = ""
        self._failures = 0
        self._waiting: List[str] = []

    def attach(self, state: SweepState) -> Progress:
        """Follow this sweep. :param state: the controller's own."""
        self._state = state
        return self

    def take(self, events: Iterable[Event]) -> None:
        """Note the failures among the events."""
        for event in events:
            name = event["e"]
            if name == "ended":
                if verdict_of(event["record"]) in _BAD:
                    self._failed(event)
            elif name in ("lost", "unplaceable"):
                self._failed(event)
            elif name == "held":
                self._waiting.append(f"held: {one_line(event['reason'])}")

    def flush(self, now: float, force: bool = False) -> None:
        """Draw, if it is time to. :param force: the sweep is over: draw the last picture and let the terminal go."""
        with contextlib.suppress(OSError):  # nobody looks any more; the sweep goes on
            for line in self._waiting:
                self._print(line)
            self._waiting.clear()
            if self._terminal:
                self._draw()
            else:
                self._write_line(force)
            if force:
                self.close()

    def say(self, line: str) -> None:
        """Print a line, above the live display where there is one."""
        with contextlib.suppress(OSError):
            self._print(line)

    def close(self) -> None:
        """Let the terminal go; harmless twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._terminal = False

    def _print(self, line: str) -> None:
        if self._live is not None:
            self._live.print(line)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def _failed(self, event: Event) -> None:
        self._failures += 1
        if self._failures > _MAX_NAMED:
            if self._failures == _MAX_NAMED + 1:
                self._waiting.append("… further failures are counted, not listed")
            return
        assert self._state is not None
        index, attempt = event["task"]
        record = event.get("record") or {"reason": event["reason"]}
        ended, signature = how_it_ended(record), one_line(signature_of(record))
        verb = verdict_of(record).value if event["e"] == "ended" else {"lost": "lost"}.get(event["e"], "failed")
        why = ended if signature == ended else f"{ended}: {signature}"
        again = f" (attempt {attempt}; it will run again)" if event.get("again") else ""
        self._waiting.append(f"{task_id(index, self._state.total)} {verb}, {why}{again}")

    def _draw(self) -> None:
        state, moment = self._state, self._clock()
        if state is None or moment < self._due:
            return
        self._due = moment + _LIVE_EVERY_S
        if self._live is None:
            # Importing rich takes as long as starting fifty tasks: not before the first of them run.
            if state.first_started_at is None and moment - self._began < 1.0:
                return
            from .live import LiveDisplay

            self._live = LiveDisplay(make_console(self._stream))
        self._live.update(state, moment - self._began)

    def _write_line(self, force: bool) -> None:
        state, moment = self._state, self._clock()
        if state is None or (moment < self._due and not force):
            return
        line = f"{state.finished:,}/{state.total:,} finished: {counts_text(state)}"
        if line == self._last_line:
            return
        self._last_line = line
        self._due = moment + (_LINE_EVERY_S if moment - self._began < _LATER_S else _LATER_LINE_EVERY_S)
        eta = state.eta_s()
        self._print(line + (f", about {span(eta)} left" if eta and state.finished < state.total else ""))


def counts_text(state: SweepState) -> str:
    """`12 completed, 1 failed, 4 running, 10 waiting`: what is not zero."""
    counts = [(state.counts[one], one.value) for one in _SHOWN]
    running = state.counts[TaskState.RUNNING]
    counts += [(running, "running"), (state.total - state.finished - running, "waiting")]
    return ", ".join(f"{count:,} {word}" for count, word in counts if count) or "nothing yet"


def conclusion(state: SweepState, where: str) -> List[str]:
    """How a sweep ended, for the person who ran it: what happened, where the results are, what to type next.

    :param where: the sweep's folder, as a person would type it.
    """
    facts = describe(state)
    lines = [_verdict(facts), f"Results: {where}"]
    steps = next_steps(facts)
    return lines + (["Next:"] + [f"  {step}" for step in steps] if steps else [])


def _verdict(facts: Facts) -> str:
    sweep_id, state, total = facts["sweep_id"], facts["state"], facts["total"]
    counts = ", ".join(f"{facts['counts'][one.value]:,} {one.value}" for one in _SHOWN if facts["counts"][one.value])
    took = span(facts["duration_s"])
    if state == "completed":
        tasks = "its one task" if total == 1 else f"all {total:,} tasks"
        return f"{sweep_id} completed: {tasks} in {took}."
    if state == "completed_with_failures":
        return f"{sweep_id} ended with failures: of {total:,} tasks {counts}, in {took}."
    if state == "cancelled":
        return f"{sweep_id} was cancelled: of {total:,} tasks {counts}, in {took}."
    why = f" ({one_line(facts['reason'])})" if facts["reason"] else ""
    so_far = f"{progress_text(facts)} finished" + (f": {counts}" if counts else "")
    if state == "held":
        return f"{sweep_id} is held{why}. {so_far}."
    return f"{sweep_id} was interrupted{why}. {so_far}; the rest is still to do."
