"""Words for people: times, spans of time, and how a task ended. Views and reports share them."""

from __future__ import annotations

import time
from typing import Any, Mapping, Optional

__all__ = ["clock", "how_it_ended", "one_line", "span", "stamp"]

_MAX_LINE = 300


def stamp(t: float) -> str:
    """A moment in UTC, the same on every host: `2026-01-31T12:00:00.250Z`."""
    milliseconds = int(t * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03d}Z"


def clock(t: Optional[float]) -> str:
    """A moment in local time, to the second; `-` for none."""
    return "-" if t is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(t))


def span(seconds: Optional[float]) -> str:
    """A span of time in at most two units: `8ms`, `0.4s`, `12s`, `3m 05s`, `2h 15m`, `3d 4h`; `-` for none."""
    if seconds is None:
        return "-"
    if 0 < seconds < 0.0995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def one_line(text: Any) -> str:
    """Somebody else's words, fit for one line of a log or a table: no control characters, bounded."""
    words = "".join(c if c.isprintable() else " " for c in " ".join(str(text).split()))
    return words if len(words) <= _MAX_LINE else words[: _MAX_LINE - 1] + "…"


def how_it_ended(record: Mapping[str, Any]) -> str:
    """An exit record in a few words: `exit code 1`, `killed by SIGKILL (out of memory)`, `timeout` …"""
    if record.get("oom_killed"):
        return "killed by the kernel, out of memory"
    state = record.get("state")
    if state in ("timeout", "cancelled", "preempted"):
        return str(state)
    if record.get("signal") is not None:
        return f"killed by {_signal_name(record['signal'])}"
    if record.get("exit_code") is not None:
        return f"exit code {record['exit_code']}"
    return one_line(record.get("reason") or "no exit code")


def _signal_name(number: Any) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
