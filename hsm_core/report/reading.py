"""Reading one sweep: its facts at once from the summary where that is good, from the whole journal otherwise."""

from __future__ import annotations

import os
import time
from typing import Iterator, Optional

from ..engine.events import Event
from ..engine.state import SweepState
from ..errors import NotFoundError
from ..store import summary
from ..store.journal import Position, newest_epoch, read
from ..store.layout import SweepLayout
from ..store.lease import Holder, holder
from ..store.views.facts import Facts, describe

__all__ = ["SweepReading", "open_sweep"]

_MAX_LAG = 8 << 20
"""Bytes of journal that a living controller's summary may be behind: some seconds of the busiest sweep."""


class SweepReading:
    """A sweep as its files tell it at one moment.

    :param holder: the controller that holds it, None when it is certain that there is none.
    """

    def __init__(
        self, layout: SweepLayout, facts: Facts, holder: Optional[Holder], state: Optional[SweepState]
    ) -> None:
        self.layout = layout
        self.facts = facts
        self.holder = holder
        self._state = state

    @property
    def is_active(self) -> bool:
        """Whether a controller is, or may be, at work on it."""
        return self.holder is not None

    @property
    def total(self) -> int:
        """Number of tasks."""
        total: int = self.facts["total"]
        return total

    def state(self) -> SweepState:
        """Everything that is known, from the whole journal. :raises StoreError: the journal is damaged."""
        if self._state is None:
            self._state = _replay(self.layout)
        return self._state

    def events(self) -> Iterator[Event]:
        """The journal's events. :raises StoreError: the journal is damaged."""
        return read(self.layout.journal)


def open_sweep(layout: SweepLayout, now: Optional[float] = None) -> SweepReading:
    """Look at a sweep.

    :param now: Unix seconds, by default the present.
    :raises NotFoundError: the sweep was made but never begun.
    :raises StoreError: the journal is needed and cannot be read.
    """
    now = time.time() if now is None else now
    held_by = holder(layout)
    facts = _from_summary(layout, held_by)
    state: Optional[SweepState] = None
    if facts is None:
        state = _replay(layout)
        facts = describe(state)
    _judge(facts, held_by, now)
    return SweepReading(layout, facts, held_by, state)


def _from_summary(layout: SweepLayout, held_by: Optional[Holder]) -> Optional[Facts]:
    """The summary's facts, if they stand for the journal's end, or are kept up to date by a living controller."""
    written = summary.read(layout)
    if written is None:
        return None
    facts, position = written
    if not describe(SweepState()).keys() <= facts.keys():  # by an older hsm
        return None
    end = _end(layout)
    if position == end:
        return facts
    followed = held_by is not None and held_by.epoch == position.epoch == end.epoch
    return facts if followed and 0 <= end.offset - position.offset < _MAX_LAG else None


def _end(layout: SweepLayout) -> Position:
    """Where the newest segment ends, torn tail and all: one that differs from a summary's only costs a replay."""
    epoch = newest_epoch(layout.journal)
    try:
        return Position(epoch, os.stat(layout.journal / f"{epoch:04d}.jsonl").st_size)
    except OSError:
        return Position(epoch, 0)


def _replay(layout: SweepLayout) -> SweepState:
    from ..engine.reduce import replay

    state = replay(read(layout.journal))
    if not state.total:
        raise NotFoundError(
            f"{layout.sweep_id} was never begun: its journal is empty",
            f"begin it: hsm complete {layout.sweep_id}, or remove the folder {layout.root}",
        )
    return state


def _judge(facts: Facts, held_by: Optional[Holder], now: float) -> None:
    """What the files cannot say by themselves: whether the controller lives, and how long it has been until now."""
    facts["controller"]["heartbeat_at"] = held_by and held_by.heartbeat
    facts["controller"]["alive"] = held_by is not None
    if facts["state"] not in ("running", "paused"):
        return
    if held_by is not None:
        if facts["started_at"] is not None:
            facts["duration_s"] = max(0.0, now - facts["started_at"])
        return
    facts["eta_s"] = None
    if facts["state"] == "paused":
        facts["reason"] += "; nobody runs it now"
    else:
        facts["state"] = "interrupted"
        facts["reason"] = "its controller was killed, or its machine went down"
