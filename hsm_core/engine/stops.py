"""When failures of programs stop something: the whole sweep is held, or one source is given nothing more. Pure.

A failing program says nothing of its source, unless it is the first that was tried there (a canary), or everything
fails there and nothing does elsewhere.
"""

from __future__ import annotations

from typing import List, Optional

from .events import Event, make
from .state import SourceState, SweepState

__all__ = ["bars", "hold_reason"]

_ALL_FAIL = 5
"""So many failures in a row at a source, with as many successes and no failure elsewhere meanwhile, are its own."""
_FIRST_BAR_S = 60.0
_LONGEST_BAR_S = 3600.0


def hold_reason(state: SweepState, more_may_join: bool) -> Optional[str]:
    """Why nothing more should be started of the sweep, from now on; None: no reason.

    :param more_may_join: sources are still expected.
    """
    if state.finished == state.total:
        return None
    if state.max_failures is not None and state.failed_lately >= state.max_failures:
        return f"{_tasks(state.failed_lately)} failed, and max_failures is {state.max_failures}"
    if state.hold_after and not state.keep_going:
        for signature, tasks in state.alike.items():
            if len(tasks) >= state.hold_after:
                # Successes empty `alike`: there was none in between.
                since = " since the last success" if any(s.completed for s in state.sources.values()) else ""
                return f"{_tasks(len(tasks))} failed alike and none succeeded{since}: {signature}"
    there = [source for source in state.sources.values() if source.open and source.slots]
    if state.canary and there and not more_may_join and all(s.barred and s.barred_until is None for s in there):
        return "the canary of every source failed: " + "; ".join(f"{s.id}: {s.barred}" for s in there)
    return None


def bars(state: SweepState, now: float) -> List[Event]:
    """Sources that are given nothing more for now, because what runs there fails."""
    events = []
    for source in state.sources.values():
        if not source.failing or not source.open or source.is_barred(now):
            continue
        if source.on_trial:
            canary = state.canary and not source.completed
            what = "its canary failed" if canary else "it was tried again, and that failed too"
        elif _is_alone(state, source):
            canary, what = False, f"its last {source.failing} tasks failed, and none elsewhere"
        else:
            continue
        until = None if canary else now + min(_LONGEST_BAR_S, _FIRST_BAR_S * 2.0 ** min(source.bars, 16))
        reason = f"{what}: {source.last_words}"
        events.append(make("barred", now, source=source.id, reason=reason, until=until))
    return events


def _is_alone(state: SweepState, source: SourceState) -> bool:
    """Everything fails there, and nothing does elsewhere."""
    if source.failing < _ALL_FAIL:
        return False
    completed, failed = state.ends_elsewhere(source)
    return completed - source.elsewhere[0] >= _ALL_FAIL and failed == source.elsewhere[1]


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"
