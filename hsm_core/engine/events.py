"""The events of a sweep: what the journal holds, and all that its state is made from.

An event is a plain JSON object (a dict, because a journal of a hundred thousand of them is read in a second) with `e`, its
name, and `t`, Unix seconds by the controller's clock. `EVENTS` documents every name and field; builders below are the only
places that make one.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..contract import Attempt

__all__ = ["EVENTS", "Event"]

Event = Dict[str, Any]

EVENTS: Mapping[str, Mapping[str, str]] = {
    "created": {
        "": "The sweep was declared.",
        "sweep_id": "its id",
        "total": "number of tasks",
        "digest": "digest of the parameter space, to tell a changed sweep file from the one that was run",
        "retries": "how many failures of its program a task may have before it is failed",
        "hold_after": "hold the sweep when this many tasks failed alike and none succeeded; 0 never",
        "seed": "seed of the distribution strategy",
        "version": "version of hsm-core",
    },
    "opened": {
        "": "A controller took the sweep up.",
        "epoch": "which one, counted from 1",
        "host": "where it runs",
        "pid": "its process id",
        "sources": "list of {id, slots}: what it may use",
        "limit": "the most tasks that may run at once in all, or null",
        "keep_going": "never hold the sweep because everything fails",
    },
    "assigned": {
        "": "The intention to submit; written before the source is asked, so that a crash in between is known.",
        "source": "source id",
        "token": "the submission's unique token, which a batch backend carries in the job name",
        "tasks": "list of [index, attempt]",
    },
    "accepted": {
        "": "The source took these tasks.",
        "source": "source id",
        "tasks": "list of [index, attempt]",
        "handle": "the handle they share, or",
        "handles": "one handle for each of them, in the same order",
    },
    "refused": {
        "": "The source did not take these tasks; they wait again under the same attempt number.",
        "source": "source id",
        "tasks": "list of [index, attempt]",
        "acceptance": "rejected, retry or limit",
        "reason": "the source's words",
    },
    "started": {
        "": "A task's program runs.",
        "task": "[index, attempt]",
        "at": "Unix seconds by the clock of the host",
        "pid": "its process id there",
        "slot": "the slot it has",
        "host": "where",
    },
    "ended": {
        "": "A task's program ended, and this is its exit record.",
        "task": "[index, attempt]",
        "record": "the exit record",
    },
    "collected": {"": "The files of an ended task are home.", "tasks": "list of [index, attempt]"},
    "withdrawn": {
        "": "The attempt never started and now never can; the task waits for its next attempt, which charges nothing.",
        "task": "[index, attempt]",
        "reason": "why",
    },
    "lost": {
        "": "The attempt started, certainly runs no more, and left no exit record.",
        "task": "[index, attempt]",
        "reason": "the evidence",
    },
    "requeued": {
        "": "A task that ended badly, or was lost, goes back to wait for its next attempt.",
        "task": "[index, attempt] that is over",
        "charged": "true when the failure counts against its retries",
        "reason": "why",
        "not_before": "Unix seconds before which it is not tried again, where there is a back-off",
    },
    "observed": {
        "": "The backend's word about a task, which decides nothing (held by the administrator, state unknown).",
        "task": "[index, attempt]",
        "kind": "queued, held or unknown",
        "reason": "the backend's own word",
    },
    "cancelling": {"": "A person asked to end tasks.", "tasks": "list of indices, or null for the whole sweep"},
    "cancelled": {"": "Tasks that were never started were cancelled.", "tasks": "list of indices, or null for all that wait"},
    "source": {
        "": "A source's health changed.",
        "source": "source id",
        "health": "healthy, degraded, unhealthy or disabled",
        "reason": "why",
    },
    "held": {"": "Nothing new is started until a person says so.", "reason": "why"},
    "released": {"": "The hold is over.", "reason": "who says so"},
    "note": {"": "Something worth remembering that changes no state.", "text": "what"},
    "closed": {
        "": "A controller let the sweep go.",
        "state": "the sweep's state at that moment",
        "reason": "why (finished, interrupted by SIGINT, disk full …)",
    },
}


def created(t: float, **fields: Any) -> Event:
    """See EVENTS["created"]."""
    return {"e": "created", "t": t, **fields}


def opened(t: float, **fields: Any) -> Event:
    """See EVENTS["opened"]."""
    return {"e": "opened", "t": t, **fields}


def assigned(t: float, source: str, token: str, tasks: Sequence[Attempt]) -> Event:
    """See EVENTS["assigned"]."""
    return {"e": "assigned", "t": t, "source": source, "token": token, "tasks": [list(task) for task in tasks]}


def accepted(
    t: float,
    source: str,
    tasks: Sequence[Attempt],
    handle: Optional[Mapping[str, Any]] = None,
    handles: Optional[List[Mapping[str, Any]]] = None,
) -> Event:
    """See EVENTS["accepted"]."""
    event: Event = {"e": "accepted", "t": t, "source": source, "tasks": [list(task) for task in tasks]}
    if handles is not None:
        event["handles"] = handles
    else:
        event["handle"] = handle
    return event


def refused(t: float, source: str, tasks: Sequence[Attempt], acceptance: str, reason: str) -> Event:
    """See EVENTS["refused"]."""
    return {
        "e": "refused",
        "t": t,
        "source": source,
        "tasks": [list(task) for task in tasks],
        "acceptance": acceptance,
        "reason": reason,
    }


def started(t: float, task: Attempt, facts: Mapping[str, Any]) -> Event:
    """See EVENTS["started"]."""
    return {"e": "started", "t": t, "task": list(task), **facts}


def ended(t: float, task: Attempt, record: Mapping[str, Any]) -> Event:
    """See EVENTS["ended"]."""
    return {"e": "ended", "t": t, "task": list(task), "record": record}


def collected(t: float, tasks: Sequence[Attempt]) -> Event:
    """See EVENTS["collected"]."""
    return {"e": "collected", "t": t, "tasks": [list(task) for task in tasks]}


def withdrawn(t: float, task: Attempt, reason: str) -> Event:
    """See EVENTS["withdrawn"]."""
    return {"e": "withdrawn", "t": t, "task": list(task), "reason": reason}


def lost(t: float, task: Attempt, reason: str) -> Event:
    """See EVENTS["lost"]."""
    return {"e": "lost", "t": t, "task": list(task), "reason": reason}


def requeued(t: float, task: Attempt, charged: bool, reason: str, not_before: Optional[float] = None) -> Event:
    """See EVENTS["requeued"]."""
    event: Event = {"e": "requeued", "t": t, "task": list(task), "charged": charged, "reason": reason}
    if not_before is not None:
        event["not_before"] = not_before
    return event


def observed(t: float, task: Attempt, kind: str, reason: str) -> Event:
    """See EVENTS["observed"]."""
    return {"e": "observed", "t": t, "task": list(task), "kind": kind, "reason": reason}


def cancelling(t: float, tasks: Optional[Sequence[int]]) -> Event:
    """See EVENTS["cancelling"]."""
    return {"e": "cancelling", "t": t, "tasks": None if tasks is None else list(tasks)}


def cancelled(t: float, tasks: Optional[Sequence[int]]) -> Event:
    """See EVENTS["cancelled"]."""
    return {"e": "cancelled", "t": t, "tasks": None if tasks is None else list(tasks)}


def source(t: float, source: str, health: str, reason: str) -> Event:
    """See EVENTS["source"]."""
    return {"e": "source", "t": t, "source": source, "health": health, "reason": reason}


def held(t: float, reason: str) -> Event:
    """See EVENTS["held"]."""
    return {"e": "held", "t": t, "reason": reason}


def released(t: float, reason: str) -> Event:
    """See EVENTS["released"]."""
    return {"e": "released", "t": t, "reason": reason}


def note(t: float, text: str) -> Event:
    """See EVENTS["note"]."""
    return {"e": "note", "t": t, "text": text}


def closed(t: float, state: str, reason: str) -> Event:
    """See EVENTS["closed"]."""
    return {"e": "closed", "t": t, "state": state, "reason": reason}
