"""The events of a sweep: what the journal holds, and all that its state is made from.

An event is a plain JSON object (a dict, because a journal of a hundred thousand of them is read in a second) with `e`,
its name, and `t`, Unix seconds by the controller's clock. `EVENTS` documents every name and field.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping

__all__ = ["EVENTS", "Event", "make"]

Event = Dict[str, Any]

EVENTS: Mapping[str, Mapping[str, str]] = {
    "created": {
        "": "The sweep was declared.",
        "sweep_id": "its id",
        "uid": "eight random hexadecimal digits, part of every token of the sweep",
        "total": "number of tasks",
        "digest": "digest of the parameter space, to tell a changed sweep file from the one that was run",
        "retries": "how many failures of its program a task may have before it is failed",
        "hold_after": "hold the sweep when this many tasks failed alike and none succeeded meanwhile; 0 never",
        "seed": "seed of the distribution strategy",
        "version": "version of hsm-core",
    },
    "opened": {
        "": "A controller took the sweep up.",
        "epoch": "which one, counted from 1",
        "host": "where it runs",
        "pid": "its process id",
        "retries": "how many failures of its program a task may have from now on",
        "retry_rules": "class of failure -> what follows: {times, back_off_s}",
        "back_off_s": "seconds that a task waits after a failure that has no rule; twice as long each further time",
        "on_oom": "what follows when a task ends for want of memory: {times, factor, most_mb}, or null",
        "limit": "the most tasks that may run at once in all, or null",
        "keep_going": "never hold the sweep because tasks fail alike",
        "max_failures": "hold the sweep when this many tasks have failed under this controller, or null",
        "canary": "a source is given one task, and more only when one has completed there",
    },
    "joined": {
        "": "A source is ready. Until then, and after the next `opened`, it is given nothing.",
        "source": "source id",
        "slots": "how many tasks it may run at once; 0 when it is there only for tasks that it has already",
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
        "not_before": "Unix seconds before which the source is not asked again, where it said retry or limit",
        "window": "how many tasks it is then offered at first",
    },
    "started": {
        "": "A task's program runs.",
        "task": "[index, attempt]",
        "at": "Unix seconds by the clock of the host",
        "pid": "its process id there",
        "slot": "the slot it has",
        "host": "where",
        "gpus": "the devices it was given",
    },
    "ended": {
        "": "A task's program ended, and this is its exit record.",
        "task": "[index, attempt]",
        "record": "the exit record, with `signature` (the last words of a program that failed, masked) added",
        "collect": "true when its files have yet to come home",
        "again": "where it waits for its next attempt: {charged (counts against its retries), rule (the class of "
        "failure, where it has a rule), reason, not_before, resources (what it is given otherwise from now on)}",
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
        "again": "true when it goes back to wait for its next attempt, which charges nothing",
    },
    "unplaceable": {
        "": "No source of the sweep can ever run this task; it is failed without having run.",
        "task": "[index, attempt]",
        "reason": "what the sources said",
    },
    "observed": {
        "": "The backend's word about a task, which decides nothing (held by the administrator, state unknown).",
        "task": "[index, attempt]",
        "kind": "queued, held or unknown",
        "reason": "the backend's own word",
    },
    "cancelling": {
        "": "A person asked to end tasks: those that wait are cancelled by this, those in flight when seen to end.",
        "tasks": "list of indices, or null for the whole sweep",
    },
    "restored": {
        "": "Tasks that had ended wait again (`hsm complete`); their next attempts have higher numbers.",
        "states": "list of final states whose tasks come back",
        "reason": "the option that asked for it",
    },
    "source": {
        "": "A source's health changed.",
        "source": "source id",
        "health": "healthy, degraded, unhealthy or disabled",
        "reason": "why",
    },
    "measured": {
        "": "What a source says of its machine at a health check; it decides nothing.",
        "source": "source id",
        "facts": "numbers by name, such as latency_s, clock_skew_s, load_1m, cpus, disk_free_mb, inodes_free",
    },
    "barred": {
        "": "A source is given nothing, because what runs there fails; afterwards one task at a time until one "
        "completes.",
        "source": "source id",
        "reason": "why",
        "until": "Unix seconds; null: until the next controller",
    },
    "held": {"": "Nothing new is started until a person says so.", "reason": "why"},
    "released": {"": "The hold is over.", "reason": "who says so"},
    "paused": {
        "": "A person asked that nothing more is started. It holds for later controllers too, until `resumed`.",
        "reason": "who says so",
    },
    "resumed": {"": "The pause is over.", "reason": "who says so"},
    "note": {"": "Something worth remembering that changes no state.", "text": "what"},
    "closed": {
        "": "A controller let the sweep go.",
        "state": "the sweep's state at that moment",
        "reason": "why (finished, interrupted by SIGINT, disk full …)",
    },
}


def make(name: str, t: float, **fields: Any) -> Event:
    """An event by its name; `fields` are those that EVENTS lists for it."""
    return {"e": name, "t": t, **fields}
