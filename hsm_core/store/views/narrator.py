"""From events to lines of the logs. The same events give the same lines, whoever tells them and in whatever groups.

What a line needs and its event does not say (which source had the task) is kept for tasks in flight only.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

from ...contract import TaskState
from ...engine.events import Event
from ...engine.reduce import signature_of, verdict_of
from ...engine.state import IN_FLIGHT, SweepState
from ..layout import SweepLayout, task_id
from .words import how_it_ended, one_line, span, stamp

__all__ = ["Narrator"]

_SAMPLE_EVERY_S = 10.0
_PROGRESS_PARTS = 50
_MIN_PROGRESS = 10
_MAX_NAMED = 5


class _Tally:
    """What the logs say of a source."""

    __slots__ = ("ended", "given", "log", "name", "running", "slots")

    def __init__(self, name: str, log: str) -> None:
        self.name = name
        self.log = log
        self.slots = 0
        self.given = 0
        self.running = 0
        self.ended = 0


class Narrator:
    """Tells a sweep's events to its logs.

    :param layout: names the logs; nothing is written here.
    :param state: where the sweep stood before the events to be told.
    :param say: called with a line and the paths of the logs that it belongs to.
    """

    def __init__(self, layout: SweepLayout, state: SweepState, say: Callable[[str, Tuple[str, ...]], None]) -> None:
        self._layout = layout
        self._say = say
        self._sweep = str(layout.sweep_log)
        self._aggregated = str(layout.aggregated_log)
        self._assignments = str(layout.assignments_log)
        self._utilization = str(layout.utilization_log)
        self._health = str(layout.health_log)
        self._total = state.total
        self._sources: Dict[str, _Tally] = {}
        self._logs: Set[str] = set()
        self._flight: Dict[int, _Tally] = {}
        self._running: Set[int] = set()
        self._ends: Dict[TaskState, int] = {}
        self._ended = 0
        self._sampled_at = 0.0
        self._second = -1
        self._clock = ""
        self._seed(state)

    def _seed(self, state: SweepState) -> None:
        for known in state.sources.values():
            source = self._source(known.id)
            source.slots, source.ended = known.slots, known.ended
        for index, task in state.live.items():
            if task.source and task.state in IN_FLIGHT and task.state is not TaskState.COLLECTING:
                self._give(index, self._source(task.source))
                if task.state is TaskState.RUNNING:
                    self._runs(index)

    def tell(self, event: Event) -> None:
        """Say what there is to say about an event."""
        teller = _TELLERS.get(event["e"])
        if teller is not None:
            teller(self, event, self._now(event["t"]))
        if event["t"] - self._sampled_at >= _SAMPLE_EVERY_S and self._sources:
            self._sample(event)

    # --- lines

    def _now(self, t: float) -> str:
        second, fraction = divmod(int(t * 1000), 1000)
        if second != self._second:
            self._second, self._clock = second, stamp(second)[:-4]
        return f"{self._clock}{fraction:03d}Z"

    def _main(self, now: str, text: str, *logs: str) -> None:
        """A happening of the sweep as a whole."""
        self._say(f"{now} [sweep] {text}\n", (self._sweep, self._aggregated, *logs))

    def _of(self, source: _Tally, now: str, text: str, *logs: str) -> None:
        """A happening at a source."""
        self._say(f"{now} [{source.name}] {text}\n", (source.log, self._aggregated, *logs))

    def _task(self, event: Event) -> str:
        index, attempt = event["task"]
        name = task_id(index, self._total)
        return name if attempt < 2 else f"{name} attempt {attempt}"

    def _tasks(self, pairs: List[Any]) -> str:
        named = [task_id(index, self._total) for index, _ in pairs[:_MAX_NAMED]]
        more = len(pairs) - len(named)
        return ", ".join(named) + (f" and {more} more" if more else "")

    def _sample(self, event: Event) -> None:
        self._sampled_at = event["t"]
        now = self._now(event["t"])
        for source in self._sources.values():
            text = f"{source.running} of {source.slots} slots in use, {source.given} tasks given, {source.ended} ended"
            self._say(f"{now} [{source.name}] {text}\n", (self._utilization, self._aggregated))

    # --- what is kept

    def _source(self, id: str) -> _Tally:
        source = self._sources.get(id)
        if source is None:
            kind, _, name = id.partition(":")
            # The first of two sources with one name has it; logs cannot be renamed when the second turns up.
            path = str(self._layout.source_log(name or kind))
            if path in self._logs:
                name, path = id, str(self._layout.source_log(id))
            self._logs.add(path)
            source = self._sources[id] = _Tally(name or kind, path)
        return source

    def _give(self, index: int, source: _Tally) -> None:
        self._take_back(index)
        self._flight[index] = source
        source.given += 1

    def _runs(self, index: int) -> None:
        source = self._flight.get(index)
        if source is not None and index not in self._running:
            self._running.add(index)
            source.running += 1

    def _take_back(self, index: int) -> Optional[_Tally]:
        source = self._flight.pop(index, None)
        if source is not None:
            source.given -= 1
            if index in self._running:
                self._running.discard(index)
                source.running -= 1
        return source

    # --- one method an event

    def _created(self, event: Event, now: str) -> None:
        self._total = event["total"]
        self._main(now, f"{event['sweep_id']} declared: {self._total} tasks")

    def _opened(self, event: Event, now: str) -> None:
        self._ends.clear()
        self._ended = 0
        self._sampled_at = event["t"]
        who = f"process {event.get('pid')} on {event.get('host')}"
        self._main(now, f"opened by controller {event['epoch']}, {who}")

    def _joined(self, event: Event, now: str) -> None:
        source = self._source(event["source"])
        source.slots = event["slots"]
        self._of(source, now, f"ready, {source.slots} slots", self._sweep, self._health)

    def _assigned(self, event: Event, now: str) -> None:
        source = self._source(event["source"])
        logs = (self._assignments, self._aggregated)
        head = f"{now} [{source.name}] "
        tail = f" assigned ({event['token']})\n"
        for index, attempt in event["tasks"]:
            self._give(index, source)
            self._say(f"{head}{task_id(index, self._total)} attempt {attempt}{tail}", logs)

    def _accepted(self, event: Event, now: str) -> None:
        self._of(self._source(event["source"]), now, f"accepted {self._tasks(event['tasks'])}")

    def _refused(self, event: Event, now: str) -> None:
        for index, _ in event["tasks"]:
            self._take_back(index)
        text = f"refused ({event['acceptance']}) {self._tasks(event['tasks'])}: {one_line(event['reason'])}"
        logs = (self._sweep,) if event["acceptance"] == "rejected" else ()
        self._of(self._source(event["source"]), now, text, *logs)

    def _started(self, event: Event, now: str) -> None:
        index = event["task"][0]
        self._runs(index)
        source = self._flight.get(index)
        if source is not None:
            self._of(source, now, f"{self._task(event)} started, pid {event.get('pid')}, slot {event.get('slot')}")

    def _ended_(self, event: Event, now: str) -> None:
        record: Mapping[str, Any] = event["record"]
        source = self._take_back(event["task"][0])
        verdict = verdict_of(record)
        again = event.get("again")
        if source is not None:
            source.ended += 1
            took = span(record.get("duration_s"))
            if verdict is TaskState.COMPLETED:
                self._of(source, now, f"{self._task(event)} completed in {took}")
            else:
                how, words = how_it_ended(record), one_line(signature_of(record))
                why = f"{how} after {took}" + ("" if words == how else f": {words}")
                then = "; it will run again" if again else ""
                self._of(source, now, f"{self._task(event)} {verdict.value}, {why}{then}", self._sweep)
        if again is None:
            self._count(verdict, now)

    def _count(self, verdict: TaskState, now: str) -> None:
        self._ends[verdict] = self._ends.get(verdict, 0) + 1
        self._ended += 1
        if self._ended % max(_MIN_PROGRESS, self._total // _PROGRESS_PARTS) == 0:
            counts = ", ".join(f"{count} {state.value}" for state, count in self._ends.items())
            self._main(now, f"{self._ended} tasks ended under this controller: {counts}")

    def _withdrawn(self, event: Event, now: str) -> None:
        self._back(event, now, "never started, and waits again")

    def _lost(self, event: Event, now: str) -> None:
        again = event.get("again")
        self._back(event, now, "lost; it will run again" if again else "lost", self._sweep)
        if not again:
            self._count(TaskState.LOST, now)

    def _back(self, event: Event, now: str, text: str, *logs: str) -> None:
        source = self._take_back(event["task"][0])
        if source is not None:
            self._of(source, now, f"{self._task(event)} {text}: {one_line(event['reason'])}", *logs)

    def _unplaceable(self, event: Event, now: str) -> None:
        self._main(now, f"{self._task(event)} failed, no source can run it: {one_line(event['reason'])}")
        self._count(TaskState.FAILED, now)

    def _observed(self, event: Event, now: str) -> None:
        source = self._flight.get(event["task"][0])
        if source is not None:
            self._of(source, now, f"{self._task(event)} {event['kind']}: {one_line(event['reason'])}")

    def _cancelling(self, event: Event, now: str) -> None:
        tasks = event["tasks"]
        what = "the whole sweep" if tasks is None else self._tasks([(index, 1) for index in tasks])
        self._main(now, f"asked to cancel {what}")

    def _restored(self, event: Event, now: str) -> None:
        self._main(now, f"tasks that were {', '.join(event['states'])} wait again ({one_line(event['reason'])})")

    def _source_health(self, event: Event, now: str) -> None:
        reason = one_line(event["reason"])
        text = event["health"] + (f": {reason}" if reason else "")
        self._of(self._source(event["source"]), now, text, self._sweep, self._health)

    def _measured(self, event: Event, now: str) -> None:
        facts = ", ".join(f"{name} {value}" for name, value in event["facts"].items())
        self._say(f"{now} [{self._source(event['source']).name}] {one_line(facts)}\n", (self._health,))

    def _barred(self, event: Event, now: str) -> None:
        until = event.get("until")
        when = "" if until is None else f"; it is tried again in {span(until - event['t'])}"
        text = f"given nothing more: {one_line(event['reason'])}{when}"
        self._of(self._source(event["source"]), now, text, self._sweep, self._health)

    def _held(self, event: Event, now: str) -> None:
        self._main(now, f"held: {one_line(event['reason'])}")

    def _released(self, event: Event, now: str) -> None:
        self._main(now, f"released: {one_line(event['reason'])}")

    def _paused(self, event: Event, now: str) -> None:
        self._main(now, f"paused: {one_line(event['reason'])}")

    def _resumed(self, event: Event, now: str) -> None:
        self._main(now, f"resumed: {one_line(event['reason'])}")

    def _note(self, event: Event, now: str) -> None:
        text = one_line(event["text"])
        if "source" in event:
            self._of(self._source(event["source"]), now, text)
        else:
            self._main(now, text)

    def _closed(self, event: Event, now: str) -> None:
        self._sample(event)
        self._main(now, f"closed, {event['state']}: {one_line(event['reason'])}")


_TELLERS: Dict[str, Callable[[Narrator, Event, str], None]] = {
    "created": Narrator._created,
    "opened": Narrator._opened,
    "joined": Narrator._joined,
    "assigned": Narrator._assigned,
    "accepted": Narrator._accepted,
    "refused": Narrator._refused,
    "started": Narrator._started,
    "ended": Narrator._ended_,
    "withdrawn": Narrator._withdrawn,
    "lost": Narrator._lost,
    "unplaceable": Narrator._unplaceable,
    "observed": Narrator._observed,
    "cancelling": Narrator._cancelling,
    "restored": Narrator._restored,
    "source": Narrator._source_health,
    "measured": Narrator._measured,
    "barred": Narrator._barred,
    "held": Narrator._held,
    "released": Narrator._released,
    "paused": Narrator._paused,
    "resumed": Narrator._resumed,
    "note": Narrator._note,
    "closed": Narrator._closed,
}
"""`collected` says nothing that `ended` has not said."""
