"""What follows when a source takes nothing for now: it is asked later and later, and for little at first. Pure.

As a sender does on a full road: after a refusal it waits, longer each time, and what it then offers is small and grows
with what is taken. So a cluster that is out of order, or full, costs a question now and then, and a short line each.
"""

from __future__ import annotations

from typing import Optional

__all__ = ["LEAST_OFFER", "Refusals"]

LEAST_OFFER = 32
"""A refused source is offered no less: a small sweep is one submission still, and a line of the journal stays short."""

_FIRST_S = 5.0
_LONGEST_S = 300.0
_GROWTH = 8
"""A window that was too small grows so much at once: a few submissions, and it is as large as any."""
_UNBOUNDED = 2048
_LIMIT = "limit"


class Refusals:
    """The refusals of one source since it last took a task.

    :ivar window: how many tasks it is offered at once; None for as many as there is room for.
    :ivar not_before: Unix seconds before which it is offered nothing.
    :ivar reason: its words, empty when it takes tasks.
    """

    __slots__ = ("count", "kind", "not_before", "reason", "window")

    def __init__(self) -> None:
        self.kind = ""
        self.count = 0
        self.window: Optional[int] = None
        self.not_before = 0.0
        self.reason = ""

    def pause_s(self, kind: str) -> float:
        """How long it is left alone if it refuses once more. :param kind: `retry` or `limit`."""
        again = self.count if kind == self.kind else 0
        return float(min(_LONGEST_S, _FIRST_S * 2.0 ** min(again, 16)))

    def refused(self, kind: str, reason: str, not_before: float, window: Optional[int]) -> None:
        """It took nothing more."""
        self.count = self.count + 1 if kind == self.kind else 1
        self.kind, self.reason = kind, reason
        self.not_before = max(self.not_before, not_before)
        self.window = window

    def accepted(self) -> None:
        """It took tasks: what was out of order is in order again, and what was full has room, who knows how much."""
        if self.window is not None:
            self.window *= _GROWTH
            if self.kind != _LIMIT or self.window >= _UNBOUNDED:
                self.window = None
        self.count = 0
        self.not_before = 0.0
        self.reason = ""

    def task_ended(self, t: float) -> None:
        """One of its tasks has ended, which makes room where a limit was reached."""
        if self.kind == _LIMIT:
            self.count = 0
            self.not_before = min(self.not_before, t + _FIRST_S)
