"""Bytes from a program on a host, so that whoever wants them can wait for them as long as they like, and no longer."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Deque, Optional

from ..contract import Channel

__all__ = ["Inflow"]

_BLOCK = 1 << 17
_FAREWELL_S = 0.5
"""A program that has nothing more to say goes by itself."""
_ENOUGH = 1 << 22
"""So many bytes are kept for a reader who is elsewhere; the rest waits at its source."""


class Inflow:
    """What a channel brings, read by a thread of its own."""

    def __init__(self, channel: Channel, name: str) -> None:
        self._channel = channel
        self._blocks: Deque[bytes] = deque()
        self._size = 0
        self._ended = self._dropped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._listen, name=name, daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> Optional[bytes]:
        """What has come, nothing at the end; None when nothing has come for so long."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._blocks and not self._ended:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
            data = self._blocks.popleft() if self._blocks else b""
            self._size -= len(data)
            self._changed.notify_all()
            return data

    def close(self, patience_s: float = 5.0) -> Optional[int]:
        """Let the program go; its exit code, if it has ended by now."""
        with self._changed:
            self._dropped = True
            self._changed.notify_all()
        self._thread.join(_FAREWELL_S)
        if self._thread.is_alive():
            self._channel.drop()
            self._thread.join(patience_s)
        return self._channel.wait(0.0)

    def _listen(self) -> None:
        while True:
            try:
                data = self._channel.stdout.read(_BLOCK)
            except (OSError, ValueError):
                data = b""
            with self._changed:
                if data and not self._dropped:
                    self._blocks.append(data)
                    self._size += len(data)
                    self._changed.notify_all()
                    while self._size > _ENOUGH and not self._dropped:
                        self._changed.wait()
                if not data or self._dropped:
                    self._ended = True
                    self._changed.notify_all()
                    break
        self._channel.wait(5.0)
        self._channel.stdout.close()
