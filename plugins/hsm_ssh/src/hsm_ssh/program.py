"""A program that goes on: its input and output as files, whatever becomes of the connection."""

from __future__ import annotations

import io
import socket
import threading
import time
from typing import IO, Any, Callable, Optional, cast

from .errors import SshError
from .shared import Session
from .shell import Opening
from .talk import LOST, NOISE, PIECE, last_words

__all__ = ["Program"]

_SEND_S = 60.0
"""How long a piece of input may wait until the other side takes it."""


class Program:
    """A program that was started.

    :param session: where it runs; given up when its output is closed.
    :param kill: ends the process group of a process there.
    :raises SshError: it did not start.
    :raises TimeoutError: not before the deadline.
    """

    def __init__(self, session: Session, mark: str, deadline: float, what: str, kill: Callable[[int], None]) -> None:
        self._session = session
        self._kill = kill
        self._dropped = False
        channel = session.channel
        received = b""
        opening: Optional[Opening] = None
        while opening is None:
            channel.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                piece = channel.recv(PIECE)
            except socket.timeout:
                session.connection.doubt()
                raise TimeoutError(f"{session.connection.target.alias}: {what} did not start in time") from None
            received += piece
            opening = Opening.find(received, mark)
            if opening is None and (not piece or len(received) > NOISE):
                words = last_words(received) if piece or channel.exit_status_ready() else "the connection was cut"
                raise SshError(f"{session.connection.target.alias}: {what} did not start: {words}")
        self.word = opening.word
        """`ok`, or why it was not started; see `shell.Opening`."""
        self._pid = opening.pid
        self.stdin: IO[bytes] = cast("IO[bytes]", _Input(channel, session.connection.target.alias))
        self.stdout: IO[bytes] = cast("IO[bytes]", _Output(channel, received[opening.end :], self._session.close))

    def wait(self, timeout_s: Optional[float] = None) -> Optional[int]:
        """The exit code, -1 when a signal ended it; None when it still runs, and when nobody can say any more."""
        channel = self._session.channel
        if not channel.status_event.wait(timeout_s):
            return None
        code: int = channel.exit_status
        return None if code == LOST and (self._dropped or not self._session.connection.alive) else code

    def drop(self) -> None:
        """Let it go: our end is closed at once, theirs when the connection takes it, or ends."""
        self._dropped = True
        self._session.connection.doubt()
        # What is said to the other side may wait for a connection that takes nothing.
        threading.Thread(target=self._session.close, name="ssh-drop", daemon=True).start()

    def kill(self) -> None:
        """End it and its process group now."""
        self._kill(self._pid)


class _Input(io.RawIOBase):
    """A program's standard input.

    :param name: of the machine, for messages.
    """

    def __init__(self, channel: Any, name: str) -> None:
        self._channel = channel
        self._name = name

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Send a piece of it. :raises OSError: the connection was cut, or nothing was taken for a minute."""
        self._channel.settimeout(_SEND_S)
        try:
            return int(self._channel.send(bytes(memoryview(data)[:PIECE])))
        except socket.timeout:
            raise TimeoutError(f"{self._name}: it took no input for {_SEND_S:g} s") from None
        except OSError as error:
            raise SshError(f"{self._name}: the connection was cut") from error

    def close(self) -> None:
        """Say that no more comes."""
        if not self.closed:
            super().close()
            self._channel.shutdown_write()


class _Output(io.RawIOBase):
    """A program's standard output.

    :param begun: what of it has been received already.
    """

    def __init__(self, channel: Any, begun: bytes, at_end: Callable[[], None]) -> None:
        self._channel = channel
        self._begun = begun
        self._at_end = at_end

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """What has come, at most `size` bytes; empty at its end, and when the connection is gone."""
        if self._begun:
            piece, self._begun = (self._begun[:size], self._begun[size:]) if size >= 0 else (self._begun, b"")
            return piece
        while True:
            try:
                return bytes(self._channel.recv(size if size >= 0 else PIECE))
            except socket.timeout:
                continue  # a limit of sending: nothing says how long a program may be silent

    def close(self) -> None:
        """Give up the program's session."""
        if not self.closed:
            super().close()
            self._at_end()
