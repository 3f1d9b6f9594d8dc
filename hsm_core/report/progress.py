"""What a person sees while a sweep runs: a live display in a terminal, and elsewhere one plain line a change."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Iterable, List, Mapping, Optional, Set, TextIO, Tuple

from ..contract import TaskState
from ..engine.events import Event
from ..engine.instructions import Finish
from ..engine.reduce import signature_of, verdict_of
from ..engine.state import SweepState
from ..store.layout import SweepLayout, task_id
from ..store.views.facts import Facts, by_name, describe
from ..store.views.words import how_it_ended, one_line, span
from .status import ENDINGS, counts_text, next_steps, progress_text
from .tables import is_terminal, make_console

if TYPE_CHECKING:
    from .live import LiveDisplay

__all__ = ["Progress", "conclusion", "failure_text"]

_LIVE_EVERY_S = 0.25
_LINE_EVERY_S = 1.0
_LATER_LINE_EVERY_S = 10.0
_LATER_S = 60.0
_MAX_NAMED = 10
_MORE = "… further failures are counted, not listed"
_OF_THE_SWEEP = ("held", "paused", "resumed")
_BAD = (TaskState.FAILED, TaskState.TIMEOUT, TaskState.LOST)


class Progress:
    """Follows a sweep from inside its controller: `update` now and then, `stop`, and `close` with the last word.

    :param stream: for the progress; standard error by default, because standard output is for results.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self, layout: SweepLayout, stream: Optional[TextIO] = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._layout = layout
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._terminal = is_terminal(self._stream)
        self._live: Optional[LiveDisplay] = None
        self._state: Optional[SweepState] = None
        self._began = clock()
        self._due = 0.0
        self._last_counts = ""
        self._failures = self._named = 0
        self._news: List[Event] = []
        self._refusals: Set[Tuple[str, str]] = set()

    def take(self, events: Iterable[Event]) -> None:
        """Note what is worth a line of its own: failures, the first few by name, holds, sources that take nothing."""
        for event in events:
            name = event["e"]
            if name in _OF_THE_SWEEP or name == "barred":
                self._news.append(event)
            elif name == "refused" and event["acceptance"] != "rejected":
                # Once for each reason: it may be tried, and refused, for hours.
                words = (event["source"], event["reason"])
                if words not in self._refusals and len(self._refusals) < _MAX_NAMED:
                    self._refusals.add(words)
                    self._news.append(event)
            elif name in ("lost", "unplaceable") or (name == "ended" and _is_news(event["record"])):
                self._failures += 1
                if self._failures <= _MAX_NAMED + 1:
                    self._news.append(event)

    def update(self, state: SweepState, now: float) -> None:
        """Show how the sweep stands, if there is something new and it is time to. :param now: Unix seconds."""
        self._state = state
        moment = self._clock()
        if moment < self._due and not self._news:
            return
        with contextlib.suppress(OSError, ValueError):  # nobody looks any more; the sweep goes on
            self._tell_news(state)
            if moment < self._due:
                return
            if self._terminal:
                self._draw(state, moment)
            else:
                self._write_line(state, moment)

    def say(self, line: str) -> None:
        """Print a line, above the live display where there is one."""
        with contextlib.suppress(OSError, ValueError):
            if self._live is not None:
                self._live.print(line)
            else:
                self._stream.write(line + "\n")
                self._stream.flush()

    def stop(self) -> None:
        """Let the terminal go, the last picture on it; harmless twice."""
        if self._live is not None:
            with contextlib.suppress(OSError, ValueError):
                if self._state is not None:
                    self._live.update(self._state, self._clock() - self._began)
                self._live.stop()
            self._live = None
        self._terminal = False

    def close(self, state: SweepState, finish: Finish) -> None:
        """Say how it ended, where the results are, and what to type next, on standard output."""
        self.stop()
        self._tell_news(state)
        # The state may have all that the sweep needs and the controller still let go for another reason.
        lines = conclusion({**describe(state), "state": finish.state, "reason": finish.reason}, self._where())
        if is_terminal(sys.stdout):
            lines.insert(0, "")
        sys.stdout.write("\n".join(lines) + "\n")

    def _where(self) -> str:
        """The sweep's folder, as short as it can be typed here."""
        path = os.path.relpath(self._layout.root)
        return path if not path.startswith("..") else str(self._layout.root)

    def _tell_news(self, state: SweepState) -> None:
        news, self._news = self._news, []
        for event in news:
            if event["e"] in _OF_THE_SWEEP:
                self.say(f"{event['e']}: {one_line(event['reason'])}")
                continue
            if event["e"] == "barred":
                self.say(f"{event['source']} is given nothing more: {one_line(event['reason'])}")
                continue
            if event["e"] == "refused":
                self.say(f"{event['source']} takes no tasks now, and is asked again: {one_line(event['reason'])}")
                continue
            self._named += 1
            self.say(failure_text(event, state.total) if self._named <= _MAX_NAMED else _MORE)

    def _draw(self, state: SweepState, moment: float) -> None:
        self._due = moment + _LIVE_EVERY_S
        if self._live is None:
            # Importing rich takes as long as starting fifty tasks: not before the first of them run.
            if state.first_started_at is None and moment - self._began < 1.0:
                return
            from .live import LiveDisplay

            self._live = LiveDisplay(make_console(self._stream))
        self._live.update(state, moment - self._began)

    def _write_line(self, state: SweepState, moment: float) -> None:
        counts = f"{state.finished:,}/{state.total:,} finished: {counts_text(by_name(state))}"
        if counts == self._last_counts or state.first_started_at is None:
            return
        self._last_counts = counts
        self._due = moment + (_LINE_EVERY_S if moment - self._began < _LATER_S else _LATER_LINE_EVERY_S)
        eta = state.eta_s()
        self.say(counts + (f", about {span(eta)} left" if eta and state.finished < state.total else ""))


def _is_news(record: Mapping[str, Any]) -> bool:
    return verdict_of(record) in _BAD or record.get("state") == "preempted"


def failure_text(event: Event, total: int) -> str:
    """A failure in a line: `task_003 failed, exit code 1: ValueError: …`."""
    index, attempt = event["task"]
    record = event.get("record") or {"state": "failed", "reason": event["reason"]}
    ended, signature = how_it_ended(record), one_line(signature_of(record))
    why = ended if signature == ended else f"{ended}: {signature}"
    if event["e"] == "lost" or record.get("state") != "preempted":
        why = f"{'lost' if event['e'] == 'lost' else verdict_of(record).value}, {why}"
    again = f" (attempt {attempt}; it will run again)" if event.get("again") else ""
    return f"{task_id(index, total)} {why}{again}"


def conclusion(facts: Facts, where: str) -> List[str]:
    """How a sweep ended, for the person who ran it: what happened, where the results are, what to type next.

    :param where: the sweep's folder, as a person would type it.
    """
    lines = [_verdict(facts), f"Results: {where}"]
    steps = next_steps(facts)
    return lines + (["Next:"] + [f"  {step}" for step in steps] if steps else [])


def _verdict(facts: Facts) -> str:
    sweep_id, state, total = facts["sweep_id"], facts["state"], facts["total"]
    counts = ", ".join(f"{facts['counts'][one]:,} {one}" for one in ENDINGS if facts["counts"][one])
    took = "" if facts["duration_s"] is None else f" in {span(facts['duration_s'])}"
    if state == "completed":
        tasks = "its one task" if total == 1 else f"all {total:,} tasks"
        return f"{sweep_id} completed: {tasks}{took}."
    if state == "completed_with_failures":
        return f"{sweep_id} ended with failures: of {total:,} tasks {counts}{took and ','}{took}."
    if state == "cancelled":
        return f"{sweep_id} was cancelled: of {total:,} tasks {counts}{took and ','}{took}."
    why = f": {one_line(facts['reason'])}" if facts["reason"] else ""
    so_far = f"{progress_text(facts)} finished" + (f", {counts}" if counts else "")
    if state == "held":
        return f"{sweep_id} is held{why}. {so_far}."
    return f"{sweep_id} has stopped early{why}. {so_far}; the rest is still to do."
