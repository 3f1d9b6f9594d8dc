"""From what sources say to events: the rules of evidence, of retries and of lost tasks. Pure."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..contract import Acceptance, Attempt, Handle, Observation, ObservationKind, SubmitResult, TaskState
from .events import Event, make
from .refusals import LEAST_OFFER, Refusals
from .retries import OnOom, decide_again
from .state import UNSTARTED, LiveTask, SweepState

__all__ = ["MAX_LOST", "interpret_answers", "interpret_found", "interpret_observation"]

MAX_LOST = 3
"""A task whose attempts vanished this often without an exit record is lost for good."""

_START_FACTS = ("at", "pid", "slot", "host", "gpus")
_NUMBERS = ("exit_code", "signal", "started_at", "duration_s", "max_rss_mb", "cpu_s")
_LARGEST = {"exit_code": 32767, "signal": 32767}


def interpret_answers(
    state: SweepState, source: str, asked: Sequence[Attempt], result: SubmitResult, now: float
) -> Tuple[List[Event], List[Attempt]]:
    """Events for a source's answers, and the attempts that may or may not have been taken: `find` decides those."""
    open_questions = dict.fromkeys(attempt for attempt in asked if _is_open(state, source, attempt))
    taken: List[Attempt] = []
    handles: List[Handle] = []
    rejected: Dict[str, List[Attempt]] = {}
    refused: Dict[Acceptance, Tuple[str, List[Attempt]]] = {}
    for attempt, acceptance, handle, reason in result.answers:
        if attempt not in open_questions or acceptance is Acceptance.INDETERMINATE:
            continue
        del open_questions[attempt]
        if acceptance is Acceptance.ACCEPTED:
            taken.append(attempt)
            handles.append(handle or {})
        elif _runs(state, attempt):
            continue
        elif acceptance is Acceptance.REJECTED:
            rejected.setdefault(reason, []).append(attempt)
        else:
            refused.setdefault(acceptance, (reason, []))[1].append(attempt)
    events = _accepted(source, taken, handles, now)
    events += [_rejected(source, tasks, reason, now) for reason, tasks in rejected.items()]
    for acceptance, (reason, tasks) in refused.items():
        events.append(_refused(state, source, tasks, acceptance, reason, now, max(LEAST_OFFER, len(taken))))
    return events, list(open_questions)


def interpret_found(
    state: SweepState,
    source: str,
    asked: Sequence[Attempt],
    found: Mapping[Attempt, Handle],
    now: float,
    doubt: str = "",
) -> List[Event]:
    """Events for what `find` found: what is not there was never taken, and waits again.

    :param doubt: what was said when the tasks were submitted.
    """
    open_questions = [attempt for attempt in asked if _is_open(state, source, attempt)]
    taken = [attempt for attempt in open_questions if attempt in found]
    missing = [attempt for attempt in open_questions if attempt not in found and not _runs(state, attempt)]
    events = _accepted(source, taken, [found[attempt] for attempt in taken], now)
    if missing:
        reason = "the submission never reached the source" + (f": {doubt}" if doubt else "")
        events.append(_refused(state, source, missing, Acceptance.RETRY, reason, now, LEAST_OFFER))
    return events


def interpret_observation(
    state: SweepState,
    source: str,
    seen: Observation,
    now: float,
    collect: bool,
    memory_mb: Callable[[int], Optional[int]] = lambda index: None,
) -> Optional[Event]:
    """The event for something seen of an attempt, or None when it is no news.

    :param collect: the files of an ended task have yet to come home.
    :param memory_mb: what a task asks for by itself.
    """
    index, attempt = seen.attempt
    task = state.live.get(index)
    if task is None or task.attempt != attempt or task.source != source:
        return None
    if task.state is TaskState.PENDING or task.state is TaskState.COLLECTING:
        return None
    kind = seen.kind
    if kind is ObservationKind.ENDED:
        return _ended(state, task, seen, now, collect, memory_mb)
    if kind is ObservationKind.STARTED:
        if task.state is TaskState.RUNNING:
            return None
        facts = seen.record or {}
        return make("started", now, task=seen.attempt, **{key: facts[key] for key in _START_FACTS if key in facts})
    if kind is ObservationKind.LOST:
        again = task.lost + 1 < MAX_LOST and not task.cancelling
        return make("lost", now, task=seen.attempt, reason=seen.reason, **({"again": True} if again else {}))
    if kind is ObservationKind.WITHDRAWN or kind is ObservationKind.REFUSED:
        if task.state is TaskState.RUNNING:
            return None  # "It never started": an old word, for it was seen to start
        if kind is ObservationKind.WITHDRAWN:
            return make("withdrawn", now, task=seen.attempt, reason=seen.reason)
        return _rejected(source, [seen.attempt], seen.reason, now)
    if not _is_news(task, kind, seen.reason):
        return None
    return make("observed", now, task=seen.attempt, kind=kind.value, reason=seen.reason)


def _is_open(state: SweepState, source: str, attempt: Attempt) -> bool:
    """Whether the answer to a submission of this attempt to this source is still awaited."""
    task = state.live.get(attempt[0])
    return task is not None and task.attempt == attempt[1] and task.source == source and task.handle is None


def _runs(state: SweepState, attempt: Attempt) -> bool:
    """Whether it has been seen to start, which no answer undoes."""
    return state.live[attempt[0]].state not in UNSTARTED


def _is_news(task: LiveTask, kind: ObservationKind, reason: str) -> bool:
    """Whether the backend's word on a task that goes on waiting or running says anything new."""
    if kind is ObservationKind.QUEUED and not reason:
        return task.state is TaskState.HELD
    if kind is ObservationKind.HELD and task.state is TaskState.SUBMITTED:
        return True
    return task.observed != (reason or kind.value) or (kind is ObservationKind.QUEUED and task.state is TaskState.HELD)


def _ended(
    state: SweepState,
    task: LiveTask,
    seen: Observation,
    now: float,
    collect: bool,
    memory_mb: Callable[[int], Optional[int]],
) -> Event:
    """The verdict is the exit record's; whether there is a next attempt is decided here and journalled with it."""
    record = _sound(seen.record or {"state": "failed", "reason": "the exit record is empty"})
    event = make("ended", now, task=seen.attempt, record=record)
    if collect:
        event["collect"] = True
    rule = asks_mb = None
    if state.on_oom is not None and record.get("oom_killed"):
        rule, asks_mb = OnOom.from_json(state.on_oom), memory_mb(seen.attempt[0])
    again = decide_again(task, record, state.retries, rule, asks_mb, state.retry_rules, state.back_off_s, now)
    if again is not None:
        event["again"] = again
    return event


def _sound(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record without those of its numbers that are none: it was read from a file that anybody may have written."""
    for key in _NUMBERS:
        value = record.get(key)
        if value is not None and (type(value) not in (int, float) or not abs(value) <= _LARGEST.get(key, 1e15)):
            record = {name: kept for name, kept in record.items() if name != key}
    return record


def _accepted(source: str, tasks: List[Attempt], handles: List[Handle], now: float) -> List[Event]:
    if not tasks:
        return []
    if all(handle == handles[0] for handle in handles):
        return [make("accepted", now, source=source, tasks=tasks, handle=handles[0])]
    return [make("accepted", now, source=source, tasks=tasks, handles=handles)]


def _rejected(source: str, tasks: List[Attempt], reason: str, now: float) -> Event:
    return make("refused", now, source=source, tasks=tasks, acceptance=Acceptance.REJECTED.value, reason=reason)


def _refused(
    state: SweepState,
    source: str,
    tasks: List[Attempt],
    acceptance: Acceptance,
    reason: str,
    now: float,
    window: int,
) -> Event:
    """Not now: how long the source is left alone, and how little it is offered then, is decided here and journalled."""
    known = state.sources.get(source)
    pause_s = (known.refusals if known else Refusals()).pause_s(acceptance.value)
    return make(
        "refused",
        now,
        source=source,
        tasks=tasks,
        acceptance=acceptance.value,
        reason=reason,
        not_before=now + pause_s,
        window=window,
    )
