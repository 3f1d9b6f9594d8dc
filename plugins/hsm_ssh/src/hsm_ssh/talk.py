"""One command on a machine, from its beginning to its end."""

from __future__ import annotations

import select
import threading
import time
from typing import Any, List, Tuple

from .errors import SshError
from .shared import Session
from .shell import Opening, without_noise

__all__ = ["LOST", "NOISE", "PIECE", "Talk", "TooMuchError", "last_words"]

PIECE = 32768
"""How much goes in one packet."""
NOISE = 1 << 20
"""How much start-up files may say before the command begins."""
LOST = -1
"""What paramiko calls the exit code of a command that has none: ended by a signal, or with its connection."""
_INLINE = 65536
"""Input up to this size fits the window of any server, so that it can be sent before anything is read."""
_MOST = 256 << 20
"""How much a command may print."""


class TooMuchError(SshError):
    """More came than anybody wants."""


class Talk:
    """One command from its beginning to its end."""

    def __init__(self, session: Session, mark: str, what: str) -> None:
        self._session = session
        self._channel = session.channel
        self._mark = mark
        self._what = what
        self._name = session.connection.target.alias
        self.word = ""
        self.pid = 0
        self.code = LOST
        self.stdout = b""
        self.stderr = b""

    def carry_on(self, input: bytes, deadline: float) -> None:
        """Send the input, take the output, learn the exit code.

        :raises SshError: the connection was cut, or too much came.
        :raises TimeoutError: it did not end before the deadline.
        """
        channel = self._channel
        channel.settimeout(max(0.0, deadline - time.monotonic()))
        if len(input) > _INLINE:
            threading.Thread(target=_send, args=(channel, input), name="ssh-input", daemon=True).start()
        else:
            _send(channel, input)
        out, err = self._gather(deadline)
        if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
            raise self._late()
        self.code = channel.exit_status
        self.stderr = without_noise(err, self._mark)
        if self.word:
            self.stdout = out
        if self.code == LOST:
            self._session.connection.doubt()
            raise SshError(f"{self._name}: the connection was cut while {self._what} ran")
        if not self.word:
            raise SshError(
                f"{self._name}: its login shell ended with {self.code} before the command: {last_words(err or out)}",
                f"does this print anything but ok? {self._session.connection.target.ssh} echo ok",
            )

    def _gather(self, deadline: float) -> Tuple[bytes, bytes]:
        """Everything that is printed, the noise before the mark left out."""
        channel = self._channel
        poller = select.poll()
        poller.register(channel.fileno(), select.POLLIN)
        out, err = bytearray(), bytearray()
        opened = False
        while True:
            busy = False
            if channel.recv_ready():
                out += channel.recv(1 << 20)
                busy = True
            if channel.recv_stderr_ready():
                err += channel.recv_stderr(1 << 20)
                busy = True
            if not opened and busy:
                opening = Opening.find(out, self._mark)
                if opening is not None:
                    self.word, self.pid, opened = opening.word, opening.pid, True
                    del out[: opening.end]
                elif len(out) + len(err) > NOISE:
                    raise TooMuchError(
                        f"{self._name}: its login shell prints without end before any command begins",
                        "mend its start-up files, such as ~/.bashrc",
                    )
            if len(out) + len(err) > _MOST:
                raise TooMuchError(f"{self._name}: {self._what} printed more than {_MOST >> 20} MiB; it was ended")
            if busy:
                continue
            if channel.eof_received or channel.closed:
                if not (channel.recv_ready() or channel.recv_stderr_ready()):
                    return bytes(out), bytes(err)
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._late()
            poller.poll(min(left, 1.0) * 1000)

    def _late(self) -> TimeoutError:
        self._session.connection.doubt()
        return TimeoutError(self._what)


def _send(channel: Any, data: bytes) -> None:
    """Send all of it, and say that this was all; a command may end before it has read what it was given."""
    try:
        view = memoryview(data)
        while view:
            view = view[channel.send(bytes(view[:PIECE])) :]
        channel.shutdown_write()
    except OSError:
        pass  # told by what comes back: an exit code, or that there is none


def last_words(said: bytes) -> str:
    """The last line of what was printed, for a message."""
    lines: List[str] = said.decode("utf-8", "replace").strip().splitlines()
    return ascii(lines[-1][:200])[1:-1] if lines else "no message"
