"""Ctrl-C, TERM and HUP as messages: the controller meets them between two turns, never in the middle of one."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

__all__ = ["SignalCatcher", "Signalled"]


class Signalled(NamedTuple):
    """A signal came; the handler only says so."""

    name: str


class SignalCatcher:
    """Catches signals while it is entered, where Python allows it: in the main thread.

    What comes before there is anybody to `attach` is kept, so that a Ctrl-C in the middle of opening a journal waits
    for the first turn.
    """

    def __init__(self) -> None:
        self._before: List[Tuple[int, Any]] = []
        self._kept: List[Signalled] = []
        self._post: Callable[[Signalled], None] = self._kept.append
        self.received = 0
        """How many have come, taken in by the controller or not."""

    def attach(self, post: Callable[[Signalled], None]) -> None:
        """Post them from now on, those that were kept first."""
        self._post = post
        while self._kept:
            post(self._kept.pop(0))

    def __enter__(self) -> SignalCatcher:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                # Under nohup a hang-up is ignored, and stays ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before.append((number, signal.signal(number, self._handle)))
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    def _handle(self, number: int, frame: Optional[FrameType]) -> None:
        self.received += 1
        self._post(Signalled(signal.Signals(number).name))
