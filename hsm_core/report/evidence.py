"""The evidence behind a task's state: what the journal says of it, event by event, in words."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional

from ..engine.events import Event
from ..engine.reduce import signature_of, verdict_of
from ..store.views.words import clock, how_it_ended, one_line, span

__all__ = ["Fact", "evidence", "meaning"]


class Fact(NamedTuple):
    """Something that is known of a task.

    :param t: Unix seconds by the controller's clock.
    :param attempt: the attempt that it is about, or None.
    """

    t: float
    attempt: Optional[int]
    event: str
    text: str


def evidence(events: Iterable[Event], index: int) -> List[Fact]:
    """All that the journal says of task `index`, in order. The whole sweep's events are in it where they matter."""
    facts: List[Fact] = []
    for event in events:
        attempt = _attempt_in(event, index)
        if attempt is not None:
            facts.append(Fact(event["t"], attempt, event["e"], _TOLD[event["e"]](event)))
        elif event["e"] in _OF_THE_SWEEP:
            text = _OF_THE_SWEEP[event["e"]](event, index)
            if text:
                facts.append(Fact(event["t"], None, event["e"], text))
    return facts


def _attempt_in(event: Event, index: int) -> Optional[int]:
    """The attempt of the task that an event is about, None when it is about others."""
    if event["e"] not in _TOLD:
        return None
    if "task" in event:
        found, attempt = event["task"]
        return attempt if found == index else None
    return next((attempt for found, attempt in event["tasks"] if found == index), None)


def _ended(event: Event) -> str:
    record: Mapping[str, Any] = event["record"]
    verdict = verdict_of(record).value
    took, how = span(record.get("duration_s")), how_it_ended(record)
    text = f"ended after {took} with an exit record: {verdict}"
    if how != verdict:
        text += f", {how}"
    signature = one_line(signature_of(record))
    if verdict != "completed" and signature not in (how, verdict):
        text += f"; its last words: {signature}"
    if record.get("max_rss_mb"):
        text += f"; peak memory {record['max_rss_mb']:.0f} MiB"
    again = event.get("again")
    if again:
        reason = one_line(again.get("reason"))
        because = "" if reason in (how, verdict, signature) else f", because: {reason}"
        cost = "this counts against its retries" if again.get("charged") else "this charges no retry"
        if "rule" in again:
            cost = f"by the rule for {again['rule']}"
        if again.get("not_before"):
            cost += f"; not before {clock(again['not_before'])}"
        text += f"; it goes back to wait{because} ({cost})"
    return text


def _started(event: Event) -> str:
    where = f" on {event['host']}" if event.get("host") else ""
    slot = "" if event.get("slot") is None else f", in slot {event['slot']}"
    return f"started{where}, process {event.get('pid')}{slot}"


def _refused(event: Event) -> str:
    outcome = {"rejected": "and never can run it there"}.get(event["acceptance"], "for now; it waits again")
    return f"{event['source']} did not take it ({one_line(event['reason'])}), {outcome}"


def _lost(event: Event) -> str:
    then = "it will run again" if event.get("again") else "it is given up until hsm complete"
    return f"lost: it runs no more and left no exit record ({one_line(event['reason'])}); {then}"


_TOLD: Dict[str, Callable[[Event], str]] = {
    "assigned": lambda event: f"assigned to {event['source']} (submission {event['token']})",
    "accepted": lambda event: f"accepted by {event['source']}",
    "refused": _refused,
    "started": _started,
    "ended": _ended,
    "collected": lambda event: "its files were brought home",
    "withdrawn": lambda event: f"never started, and under this attempt never can: {one_line(event['reason'])}",
    "lost": _lost,
    "unplaceable": lambda event: f"failed without having run, no source can take it: {one_line(event['reason'])}",
    "observed": lambda event: f"the source says: {event['kind']} {one_line(event['reason'])}".rstrip(),
}


def _cancelling(event: Event, index: int) -> str:
    if event["tasks"] is None:
        return "a person asked to cancel the whole sweep"
    return "a person asked to cancel it" if index in event["tasks"] else ""


_OF_THE_SWEEP: Dict[str, Callable[[Event, int], str]] = {
    "created": lambda event, index: f"declared, as one of {event['total']:,} tasks",
    "opened": lambda event, index: (
        f"controller {event['epoch']} took the sweep up (process {event.get('pid')} on {event.get('host')})"
    ),
    "cancelling": _cancelling,
    "restored": lambda event, index: (
        f"tasks that were {', '.join(event['states'])} were put back to wait ({one_line(event['reason'])})"
    ),
    "held": lambda event, index: f"the sweep was held: {one_line(event['reason'])}",
    "released": lambda event, index: "the hold was lifted",
    "paused": lambda event, index: f"the sweep was paused: {one_line(event['reason'])}",
    "resumed": lambda event, index: f"the pause was over: {one_line(event['reason'])}",
    "closed": lambda event, index: f"the controller let the sweep go, {event['state']}: {one_line(event['reason'])}",
}


def meaning(state: str) -> str:
    """What a task's state means, in a sentence."""
    return _MEANINGS[state]


_MEANINGS = {
    "pending": "It waits; no source has it.",
    "assigned": "A source was asked to take it and has not answered yet.",
    "submitted": "The source has it, and has not started it yet.",
    "running": "Its program was started and has not been seen to end.",
    "collecting": "It has ended; its files are on their way here.",
    "completed": "An exit record says that its program ended with code 0.",
    "failed": "An exit record says that its program ended badly, or no source could run it, and no retries are left.",
    "cancelled": "A person ended it, or it before it began.",
    "timeout": "It was stopped at its time limit.",
    "lost": "It started, certainly runs no more, and left no exit record.",
    "held": "The source, or its administrator, holds it back.",
}
