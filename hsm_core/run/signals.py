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

    :param post: takes the messages.
    """

    def __init__(self, post: Callable[[Signalled], None]) -> None:
        self._post = post
        self._before: List[Tuple[int, Any]] = []
        self.received = 0
        """How many have come, taken in by the controller or not."""

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
