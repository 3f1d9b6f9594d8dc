"""A stream to a machine: a socket that notices silence, the pipes of a ProxyCommand, or a channel of a jump."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from typing import Any, Callable, List, Optional

from .errors import SshError
from .target import Target, expand

__all__ = ["Stream", "dial_directly", "dial_through_command"]

_PROBES = 3


class Stream:
    """What paramiko needs of a socket, and what ends with it.

    :param on_close: called once, when the stream is closed.
    """

    def __init__(self, sock: Any, on_close: Callable[[], None] = lambda: None) -> None:
        self.sock = sock
        self._on_close = on_close
        self._lock = threading.Lock()
        self._open = True
        self.heard_at = time.monotonic()
        """When something last came from the other side."""

    @property
    def _closed(self) -> bool:
        """Read by paramiko, which knows it from sockets."""
        return not self._open

    def send(self, data: bytes) -> int:
        """As a socket does it."""
        return int(self.sock.send(data))

    def recv(self, size: int) -> bytes:
        """As a socket does it."""
        data = bytes(self.sock.recv(size))
        self.heard_at = time.monotonic()
        return data

    def settimeout(self, seconds: Optional[float]) -> None:
        """As a socket does it."""
        self.sock.settimeout(seconds)

    def close(self) -> None:
        """Close it, and let go of what it went through."""
        with self._lock:
            was_open, self._open = self._open, False
        if was_open:
            self.sock.close()
            self._on_close()


def dial_directly(target: Target, deadline: float, silence_s: float) -> Stream:
    """Connect to a machine's port.

    :param silence_s: how long what we sent may stay without an answer before the connection counts as cut.
    :raises SshError: the name is not known, or nobody answers.
    """
    place = f"{target.hostname} port {target.port}"
    error: Exception = OSError("no address")
    for family, kind, protocol, _, address in _addresses(target, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            error = TimeoutError("no answer in time")
            break
        sock = socket.socket(family, kind, protocol)
        try:
            if target.bind_address:
                sock.bind((target.bind_address, 0))
            sock.settimeout(left)
            sock.connect(address)
            _tune(sock, silence_s)  # afterwards: how long connecting may take is another matter
            return Stream(sock)
        except OSError as failed:
            error = failed
            sock.close()
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    raise SshError(f"{target.alias}: no connection to {place}: {words}", f"is it up, and is sshd? try: {target.ssh}")


def _addresses(target: Target, deadline: float) -> List[Any]:
    """Look the name up, in a thread: a resolver knows no deadline."""
    found: List[Any] = []
    failed: List[Exception] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(target.hostname, target.port, target.family, socket.SOCK_STREAM))
        except OSError as error:
            failed.append(error)

    if not target.hostname.replace(".", "").isdigit():
        thread = threading.Thread(target=look_up, name=f"look-up-{target.hostname}", daemon=True)
        thread.start()
        thread.join(max(0.0, deadline - time.monotonic()))
    else:
        look_up()
    if found:
        return found
    words = getattr(failed[0], "strerror", None) or str(failed[0]) if failed else "the name service does not answer"
    raise SshError(f"{target.alias}: cannot look up {target.hostname}: {words}", "is the name right? see ~/.ssh/config")


def _tune(sock: socket.socket, silence_s: float) -> None:
    # Without NODELAY each command waits 40 ms for an acknowledgement that the other side is in no hurry to send.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    seconds = max(1, int(silence_s / _PROBES))
    # Linux has all of these, other systems have some; without them a silent cut is noticed by the keepalive alone.
    for name, value in (
        ("TCP_KEEPIDLE", seconds),
        ("TCP_KEEPINTVL", seconds),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", int(silence_s * 1000)),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def dial_through_command(target: Target) -> Stream:
    """Start the ProxyCommand, whose standard input and output are the connection."""
    assert target.proxy_command is not None
    ours, theirs = socket.socketpair()
    command = expand(target.proxy_command, target)
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        raise SshError(f"{target.alias}: cannot start its ProxyCommand: {error}", f"try: {target.ssh}") from error
    finally:
        theirs.close()

    def end() -> None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    return Stream(ours, end)
