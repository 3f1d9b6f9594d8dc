"""How events change the state of a sweep: `reduce(state, event)`, and nothing else does.

Pure: no I/O, no clock. The live controller and a later reader of the journal reduce the same events and get the same
state. It is changed in place, because it is reduced thousands of times a second.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Mapping

from ..contract import TaskState
from .events import Event
from .outcomes import Outcome
from .refusals import Refusals
from .state import UNSTARTED, LiveTask, SourceState, SweepState

__all__ = ["reduce", "replay", "signature_of", "verdict_of"]

_RATE_WINDOW_S = 0.1
_MAX_RECENT = 20
_RECENT_ENDS = 200


def _created(state: SweepState, event: Event) -> None:
    state.sweep_id = event["sweep_id"]
    state.uid = event.get("uid", "")
    state.total = event["total"]
    state.digest = event.get("digest", "")
    state.retries = event.get("retries", 0)
    state.hold_after = event.get("hold_after", 0)
    state.seed = event.get("seed", 0)
    state.created_at = event["t"]
    state.counts[TaskState.PENDING] = state.total


def _opened(state: SweepState, event: Event) -> None:
    state.epoch = event["epoch"]
    state.limit = event.get("limit")
    state.keep_going = event.get("keep_going", False)
    state.max_failures = event.get("max_failures")
    state.canary = event.get("canary", False)
    state.failed_lately = 0
    state.retries = event.get("retries", state.retries)
    state.on_oom = event.get("on_oom")
    state.retry_rules = event.get("retry_rules") or {}
    state.back_off_s = event.get("back_off_s", 0.0)
    state.controller = {"host": event.get("host"), "pid": event.get("pid")}
    state.opened_at = event["t"]
    state.closed = None
    state.closed_reason = ""
    state.held = None
    state.cancelling = False
    state.alike.clear()
    state.ends.clear()
    for task in state.live.values():
        task.behind = True  # how long it waited while no controller looked, nobody knows
    for known in state.sources.values():
        known.open = False
        known.window_start = 0.0
        known.rate = 0.0


def _joined(state: SweepState, event: Event) -> None:
    source = _source(state, event["source"])
    source.open = True
    source.slots = event["slots"]
    source.refusals = Refusals()
    source.health, source.reason, source.since = "healthy", "", event["t"]
    source.barred, source.bars, source.failing = "", 0, 0
    source.on_trial = state.canary and not source.completed
    for task in state.live.values():
        task.banned.discard(source.id)  # it may have been configured anew since it said so


def _source(state: SweepState, id: str) -> SourceState:
    source = state.sources.get(id)
    if source is None:
        source = state.sources[id] = SourceState(id, len(state.sources))
    return source


def _assigned(state: SweepState, event: Event) -> None:
    source = _source(state, event["source"])
    token = event["token"]
    unanswered = state.unanswered.setdefault(token, set())
    if state.first_assigned_at is None:
        state.first_assigned_at = event["t"]
    for index, attempt in event["tasks"]:
        task = state.touch(index)
        task.attempt = attempt
        task.source = source.id
        task.token = token
        task.given_at = event["t"]
        task.behind = source.busy >= source.slots
        unanswered.add(index)
        state.enter(index, task, TaskState.ASSIGNED)


def _accepted(state: SweepState, event: Event) -> None:
    _source(state, event["source"]).refusals.accepted()
    handles = event.get("handles")
    shared = event.get("handle")
    for position, (index, attempt) in enumerate(event["tasks"]):
        task = state.live.get(index)
        if task is None or task.attempt != attempt or task.source != event["source"]:
            continue
        task.handle = shared if handles is None else handles[position]
        if task.state is TaskState.ASSIGNED:  # and not seen running before the answer came
            state.enter(index, task, TaskState.SUBMITTED)


def _refused(state: SweepState, event: Event) -> None:
    source = _source(state, event["source"])
    if event["acceptance"] != "rejected":
        source.refusals.refused(event["acceptance"], event["reason"], event.get("not_before", 0.0), event.get("window"))
    for index, attempt in event["tasks"]:
        task = state.live.get(index)
        if task is None or task.attempt != attempt or task.source != source.id or task.state not in UNSTARTED:
            continue
        if event["acceptance"] == "rejected":
            task.banned.add(source.id)
        task.observed = event["reason"]
        task.attempt -= 1  # it was certainly not taken: the number is free again
        _wait_again(state, index, task)


def _wait_again(state: SweepState, index: int, task: LiveTask) -> None:
    """Back to those that wait, unless a person asked for its end meanwhile."""
    if task.cancelling:
        state.finish(index, task, TaskState.CANCELLED, {})
    else:
        state.enter(index, task, TaskState.PENDING)


def _started(state: SweepState, event: Event) -> None:
    task = state.current(event)
    if task is None or task.state is TaskState.COLLECTING:
        return
    task.facts = event
    if state.first_started_at is None:
        state.first_started_at = event["t"]
    if task.state is not TaskState.RUNNING and not task.behind:
        source = state.sources[task.source]
        source.starts += 1
        source.waited_s += event["t"] - task.given_at
    state.enter(event["task"][0], task, TaskState.RUNNING)


def _ended(state: SweepState, event: Event) -> None:
    task = state.current(event)
    if task is None or task.state is TaskState.COLLECTING:
        return
    index = event["task"][0]
    verdict = verdict_of(event["record"])
    _count_end(state, task, event, verdict)
    _count_trial(state, state.sources[task.source], event, verdict)
    if verdict is TaskState.COMPLETED:
        state.alike.clear()
    elif verdict in (TaskState.FAILED, TaskState.TIMEOUT):
        _note_failure(state, index, event)
    if event.get("collect"):
        task.facts = event
        state.enter(index, task, TaskState.COLLECTING)
    else:
        _settle(state, index, task, event)


def _settle(state: SweepState, index: int, task: LiveTask, event: Event) -> None:
    """End the task for good, or send it back to wait for its next attempt, as the event says."""
    again = event.get("again")
    if again is None or task.cancelling:
        state.finish(index, task, verdict_of(event["record"]), event["record"])
        return
    task.charged += bool(again.get("charged"))
    if "rule" in again:
        task.by_rule = {**task.by_rule, again["rule"]: task.by_rule.get(again["rule"], 0) + 1}
    task.not_before = again.get("not_before", 0.0)
    task.observed = again.get("reason", "")
    if again.get("resources"):
        task.resources = {**task.resources, **again["resources"]}
        task.escalations += 1
    state.enter(index, task, TaskState.PENDING)


def _count_end(state: SweepState, task: LiveTask, event: Event, verdict: TaskState) -> None:
    source = state.sources[task.source]
    t = event["t"]
    source.ended += 1
    if source.refusals.count:
        source.refusals.task_ended(t)
    source.completed += verdict is TaskState.COMPLETED
    source.failed += verdict in (TaskState.FAILED, TaskState.TIMEOUT)
    if verdict is TaskState.COMPLETED:
        source.seconds += event["record"].get("duration_s") or 0.0
    if source.window_start == 0.0:
        source.window_start, source.window_ended = t, 0
    source.window_ended += 1
    if t - source.window_start >= _RATE_WINDOW_S:
        source.rate = source.window_ended / (t - source.window_start)
        source.window_start, source.window_ended = t, 0
    state.ends.append(t)
    if len(state.ends) > 2 * _RECENT_ENDS:
        del state.ends[:_RECENT_ENDS]


def _count_trial(state: SweepState, source: SourceState, event: Event, verdict: TaskState) -> None:
    """What an end says of its source: one success there clears it of every suspicion."""
    if verdict is TaskState.COMPLETED:
        if source.barred:
            source.since = event["t"]
        source.barred, source.bars, source.failing, source.on_trial = "", 0, 0, False
    elif verdict in (TaskState.FAILED, TaskState.TIMEOUT) and not source.is_barred(event["t"]):
        source.last_words = signature_of(event["record"])
        if not source.failing:
            source.elsewhere = state.ends_elsewhere(source)
        source.failing += 1


def _barred(state: SweepState, event: Event) -> None:
    source = _source(state, event["source"])
    source.barred, source.barred_until, source.since = event["reason"], event.get("until"), event["t"]
    source.bars += 1
    source.failing = 0
    source.on_trial = True


def _note_failure(state: SweepState, index: int, event: Event) -> None:
    signature = signature_of(event["record"])
    state.failures[signature] += 1
    state.alike.setdefault(signature, set()).add(index)
    state.recent_failures.append(event)
    del state.recent_failures[:-_MAX_RECENT]


def verdict_of(record: Mapping[str, Any]) -> TaskState:
    """The state that an exit record stands for. A record that says anything strange is a failure, never a success."""
    word = record.get("state")
    if word == "completed":
        well = not record.get("exit_code") and not record.get("signal")
        return TaskState.COMPLETED if well else TaskState.FAILED
    if word == "timeout":
        return TaskState.TIMEOUT
    if word in ("cancelled", "preempted"):  # ended from outside: its program did not fail
        return TaskState.CANCELLED
    return TaskState.FAILED


def signature_of(record: Mapping[str, Any]) -> str:
    """What failures that are alike have in common: the last words of the program, masked, or how it ended."""
    for key in ("signature", "reason"):
        if record.get(key):
            return str(record[key])
    if record.get("signal"):
        return f"signal {record['signal']}"
    code = record.get("exit_code")
    return "failed without a word" if code is None else f"exit code {code}"


def _collected(state: SweepState, event: Event) -> None:
    for index, attempt in event["tasks"]:
        task = state.live.get(index)
        if task is not None and task.attempt == attempt and task.state is TaskState.COLLECTING:
            _settle(state, index, task, dict(task.facts))


def _withdrawn(state: SweepState, event: Event) -> None:
    task = state.current(event)
    if task is not None and task.state in UNSTARTED:
        task.observed = event["reason"]
        _wait_again(state, event["task"][0], task)


def _lost(state: SweepState, event: Event) -> None:
    task = state.current(event)
    if task is None or task.state is TaskState.COLLECTING:
        return
    index = event["task"][0]
    task.lost += 1
    task.observed = event["reason"]
    if task.cancelling or event.get("again"):
        _wait_again(state, index, task)
    else:
        state.finish(index, task, TaskState.LOST, {})


def _unplaceable(state: SweepState, event: Event) -> None:
    index = event["task"][0]
    task = state.live.get(index)
    if task is not None and task.state is TaskState.PENDING:
        _note_failure(state, index, {**event, "record": {"state": "failed", "reason": event["reason"]}})
        state.finish(index, task, TaskState.FAILED, {})


def _observed(state: SweepState, event: Event) -> None:
    task = state.current(event)
    if task is None:
        return
    task.observed = event["reason"] or event["kind"]
    if event["kind"] == "held" and task.state is TaskState.SUBMITTED:
        state.enter(event["task"][0], task, TaskState.HELD)
    elif event["kind"] == "queued" and task.state is TaskState.HELD:
        state.enter(event["task"][0], task, TaskState.SUBMITTED)


def _cancelling(state: SweepState, event: Event) -> None:
    """Note who is to end, and end at once whoever waits."""
    wanted = event["tasks"]
    if wanted is None:
        state.cancelling = True
        wanted = list(state.live)
        untouched = state.total - state.cursor - _outcomes_from(state, state.cursor)
        if untouched and not state.rest_cancelled:
            state.rest_cancelled = True
            state.move(TaskState.PENDING, TaskState.CANCELLED, untouched)
    for index in wanted:
        task = state.live.get(index)
        if task is not None and task.state is not TaskState.PENDING:
            state.ending += not task.cancelling
            task.cancelling = True
        elif task is not None:
            state.finish(index, task, TaskState.CANCELLED, {})
        elif state.cursor <= index < state.total and index not in state.outcomes and not state.rest_cancelled:
            state.move(TaskState.PENDING, TaskState.CANCELLED)
            state.outcomes.set(index, Outcome(TaskState.CANCELLED, 0))


def _outcomes_from(state: SweepState, start: int) -> int:
    """How many tasks that the cursor has not reached have an outcome (a person cancelled them one by one)."""
    return state.outcomes.count_from(start)


def _restored(state: SweepState, event: Event) -> None:
    """Tasks that ended in one of these states wait again, as if new."""
    states = {TaskState(name) for name in event["states"]}
    if state.rest_cancelled and TaskState.CANCELLED in states:
        untouched = state.total - state.cursor - _outcomes_from(state, state.cursor)
        state.rest_cancelled = False
        state.move(TaskState.CANCELLED, TaskState.PENDING, untouched)
    for index in [index for index in state.outcomes.indices() if state.outcomes.state(index) in states]:
        outcome = state.outcomes.pop(index)
        assert outcome is not None
        state.move(outcome.state, TaskState.PENDING)
        if index < state.cursor:
            state.live[index] = LiveTask(outcome.attempt)
            state.waiting[index] = None


def _source_changed(state: SweepState, event: Event) -> None:
    source = _source(state, event["source"])
    if source.health != event["health"]:
        source.since = event["t"]
    source.health, source.reason = event["health"], event["reason"]


def _measured(state: SweepState, event: Event) -> None:
    source = _source(state, event["source"])
    source.facts, source.facts_at = event["facts"], event["t"]


def _held(state: SweepState, event: Event) -> None:
    state.held = event["reason"]


def _released(state: SweepState, event: Event) -> None:
    state.held = None
    state.alike.clear()
    state.failed_lately = 0


def _paused(state: SweepState, event: Event) -> None:
    state.paused = event["reason"]


def _resumed(state: SweepState, event: Event) -> None:
    state.paused = None


def _note(state: SweepState, event: Event) -> None:
    """Changes nothing; `hsm explain` and the logs show it."""


def _closed(state: SweepState, event: Event) -> None:
    state.closed = event["state"]
    state.closed_reason = event["reason"]


_REDUCERS: Dict[str, Callable[[SweepState, Event], None]] = {
    "created": _created,
    "opened": _opened,
    "joined": _joined,
    "assigned": _assigned,
    "accepted": _accepted,
    "refused": _refused,
    "started": _started,
    "ended": _ended,
    "collected": _collected,
    "withdrawn": _withdrawn,
    "lost": _lost,
    "unplaceable": _unplaceable,
    "observed": _observed,
    "cancelling": _cancelling,
    "restored": _restored,
    "source": _source_changed,
    "measured": _measured,
    "barred": _barred,
    "held": _held,
    "released": _released,
    "paused": _paused,
    "resumed": _resumed,
    "note": _note,
    "closed": _closed,
}


def reduce(state: SweepState, event: Event) -> SweepState:
    """Take an event into the state, in place. Unknown events, of a newer minor version, change nothing."""
    reducer = _REDUCERS.get(event["e"])
    if reducer is not None:
        reducer(state, event)
        state.last_event_at = event["t"]
    return state


def replay(events: Iterable[Event]) -> SweepState:
    """The state after these events."""
    state = SweepState()
    for event in events:
        reduce(state, event)
    return state
