"""What is known of a sweep, as one plain JSON object: the summary on disk, and the answer of `hsm status --json`."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from ...contract import Health, TaskState
from ...engine.reduce import signature_of, verdict_of
from ...engine.state import SourceState, SweepState
from ..layout import task_id
from .names import short_names
from .words import how_it_ended

__all__ = ["Facts", "by_name", "describe"]

Facts = Dict[str, Any]
"""The object that `describe` makes; `docs/reference/commands.md` lists its keys."""

_MAX_PATTERNS = 5


def describe(state: SweepState) -> Facts:
    """The facts of a sweep at the moment of its last event. All times are Unix seconds, all spans seconds."""
    short = short_names(state.sources)
    started = state.first_assigned_at
    finished = state.finished_at()
    return {
        "sweep_id": state.sweep_id,
        "state": state.sweep_state(),
        "reason": state.held or (state.paused if state.sweep_state() == "paused" else state.closed_reason),
        "total": state.total,
        "finished": state.finished,
        "counts": by_name(state),
        "created_at": state.created_at or None,
        "started_at": started,
        "finished_at": finished,
        "updated_at": state.last_event_at or None,
        "duration_s": None if started is None else (finished or state.last_event_at) - started,
        "eta_s": state.eta_s() if finished is None and state.closed is None else None,
        "throughput_per_s": _throughput(state),
        "limit": state.limit,
        "controller": {**state.controller, "epoch": state.epoch},
        "sources": [_source(source, short[source.id]) for source in state.sources.values()],
        "failures": [
            {"signature": signature, "count": count} for signature, count in state.failures.most_common(_MAX_PATTERNS)
        ],
        "recent_failures": _recent_failures(state),
    }


def by_name(state: SweepState) -> Dict[str, int]:
    """How many tasks are in each state, by its name."""
    return {one.value: state.counts[one] for one in TaskState}


def _throughput(state: SweepState) -> Optional[float]:
    """Tasks a second over the latest ends; None until three have ended."""
    ends = state.ends
    return (len(ends) - 1) / (ends[-1] - ends[0]) if len(ends) > 2 and ends[-1] > ends[0] else None


def _source(source: SourceState, name: str) -> Facts:
    return {
        "id": source.id,
        "name": name,
        "slots": source.slots,
        "open": source.open,
        "active": source.running,
        "in_flight": source.in_flight,
        "health": Health.DISABLED.value if source.barred else source.health,
        "reason": source.reason or source.barred or source.refusals.reason,
        "since": source.since or None,
        "facts": dict(source.facts),
        "facts_at": source.facts_at,
        "ended": source.ended,
        "completed": source.completed,
        "failed": source.failed,
        "mean_duration_s": source.mean_duration_s,
    }


def _recent_failures(state: SweepState) -> List[Facts]:
    """The latest failed attempts, newest last."""
    failures = []
    for event in state.recent_failures:
        index, attempt = event["task"]
        record = event["record"]
        failures.append(
            {
                "task_id": task_id(index, state.total),
                "attempt": attempt,
                "state": verdict_of(record).value,
                "ended": how_it_ended(record),
                "signature": signature_of(record),
                "ran": "exit_code" in record or "signal" in record,
                "at": event["t"],
                "again": "again" in event,
            }
        )
    return failures
