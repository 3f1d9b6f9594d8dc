"""The controller's end of a running runner: operations out, messages in."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, List, Mapping

from ..contract import Channel
from .vitals import read_vitals

__all__ = ["RunnerLink"]

_MAX_LINE = 1 << 24
_MAX_MESSAGES = 10_000
_PAUSE_S = 0.05
_REAP_S = 5.0
"""How long a runner may take to be gone once it has closed its output."""


class RunnerLink:
    """The controller's end of one runner: sends operations, and gathers its messages in a thread."""

    def __init__(self, id: str, channel: Channel, wake: Callable[[], None]) -> None:
        self.id = id
        self._channel = channel
        self._wake = wake
        self._messages: Deque[Mapping[str, Any]] = deque()
        self._gone = False
        self._dropped = False
        self.greeted = False
        """It has said who it is."""
        self._spoke = threading.Event()
        self.awaited = False
        """It was asked whether it is well, and has not answered."""
        self._asked_at = (time.time(), time.monotonic())
        self.vitals: Mapping[str, float] = {}
        """What its last answer to a ping told of its machine."""
        self._thread = threading.Thread(target=self._listen, name=f"runner-{id}", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """It says nothing more, though not all that it said may have been taken."""
        return self._gone

    @property
    def gone(self) -> bool:
        """It has ended, and all that it said has been taken."""
        return self._gone and not self._messages

    def send(self, operation: Mapping[str, Any]) -> bool:
        """Write one operation; False when the runner is gone."""
        try:
            data = memoryview(json.dumps(operation, separators=(",", ":")).encode() + b"\n")
            while data:
                data = data[self._channel.stdin.write(data) :]
            self._channel.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def ping(self) -> None:
        """Ask whether it is well."""
        self._asked_at = (time.time(), time.monotonic())
        self.awaited = self.send({"op": "ping", "n": 1})

    def wait_for_word(self, timeout_s: float) -> bool:
        """Wait until it has said who it is, or has ended; False when it did neither for so long."""
        return self._spoke.wait(timeout_s)

    def drop(self) -> None:
        """Let go of a link that may be dead; the runner, if it lives, finds that out by itself."""
        self._channel.drop()

    def take(self) -> List[Mapping[str, Any]]:
        """What it has said since the last time."""
        taken: List[Mapping[str, Any]] = []
        while self._messages:
            taken.append(self._messages.popleft())
            self.awaited = self.awaited and "pong" not in taken[-1]
        return taken

    def _listen(self) -> None:
        rest = b""
        while True:
            try:
                data = self._channel.stdout.read(65536)
            except (OSError, ValueError):
                break
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n") if b"\n" in data else (rest + data,)
            for line in lines:
                message = _parse(line)
                self.greeted = self.greeted or "hello" in message
                if "pong" in message:
                    asked_at, began = self._asked_at
                    self.vitals = read_vitals(message.get("facts"), asked_at, time.monotonic() - began)
                self._messages.append(message)
            if self.greeted:
                self._spoke.set()
            if lines:
                self._wake()
            if len(rest) > _MAX_LINE:
                self._messages.append(_parse(rest))
                break
            while len(self._messages) > _MAX_MESSAGES and not self._dropped:
                time.sleep(_PAUSE_S)  # it says more than anybody can take in
        self._gone = True
        self._spoke.set()
        self._wake()
        # This thread outlives a link that was dismissed while tasks ran: it sees the runner off.
        self._channel.wait(_REAP_S)
        self._channel.stdout.close()

    def dismiss(self, patience_s: float) -> None:
        """End its input, and wait a little for one that has nothing to do."""
        self._dropped = True
        with contextlib.suppress(OSError):
            self._channel.stdin.close()
        if self._channel.wait(patience_s) is not None:
            self._thread.join(patience_s)


def _parse(line: bytes) -> Mapping[str, Any]:
    try:
        message = json.loads(line)
        if isinstance(message, dict):
            return message
    except ValueError:
        pass
    return {"garbage": line[:200].decode("utf-8", "replace")}
