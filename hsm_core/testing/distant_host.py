"""A machine that is not here, as far as anybody can tell: commands run on this one, but its files are in other folders.

Its link can be cut, can go silent as a link does whose packets are dropped, and can bring what nobody sent. What runs
there runs on, and finds its input ended only where a real program would. For tests of whatever works over a `Host`.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import threading
import time
from typing import IO, Any, Callable, Dict, List, Mapping, Optional, Sequence, cast

from ..contract import Channel, Completed
from ..toolkit import LocalHost

__all__ = ["DistantHost"]

_WRITE_S = 10.0


class Link:
    """The way to a machine, shared by all that goes over it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.silent = False
        """Nothing comes and nothing arrives, and nobody is told."""
        self.down = False
        """Whoever tries is refused."""
        self.noise = b""
        """What a shell's start-up files print before anything else."""
        self.spoil: Callable[[bytes], bytes] = lambda data: data
        """What becomes of bytes on their way here."""
        self.bytes = 0
        """How many came from there."""
        self.calls = 0
        self.channels: List[_FarChannel] = []

    def check(self, timeout_s: float) -> None:
        """Before anything goes there. :raises OSError: it cannot."""
        self.calls += 1
        with self.changed:
            if self.silent and not self.changed.wait_for(lambda: not self.silent, timeout_s):
                raise TimeoutError("the host does not answer")
            if self.down:
                raise ConnectionResetError("the connection was lost")


class _FarChannel:
    """A program's input and output, over a link. What sshd does with a socket, too."""

    def __init__(self, link: Link, argv: Sequence[str], cwd: Optional[str], env: Mapping[str, str], log: Any) -> None:
        self._link = link
        self._ours, theirs = socket.socketpair()
        with theirs:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env=dict(env),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=log,
                start_new_session=True,
            )
        self._first = link.noise
        self._dropped = False
        # Only what raw files are used for, which `IO` asks for more than.
        self.stdin = cast(IO[bytes], _End(write=self._write, close=self._end_input))
        self.stdout = cast(IO[bytes], _End(read=self._read, close=self._close))

    def _write(self, data: bytes) -> int:
        with self._link.changed:
            if self._dropped:
                raise BrokenPipeError("the channel is closed")
            if self._link.silent:
                return len(data)  # on its way, for all that is known
        _, writable, _ = select.select([], [self._ours], [], _WRITE_S)
        if not writable:
            raise TimeoutError("the other end takes nothing")
        return self._ours.send(data)

    def _read(self, size: int) -> bytes:
        if self._first:
            data, self._first = self._first, b""
            return data
        while True:
            ready, _, _ = select.select([self._ours], [], [], 0.05)
            with self._link.changed:
                if self._dropped:
                    return b""
                if self._link.silent:
                    self._link.changed.wait(0.5)
                elif ready:
                    break
        try:
            data = self._ours.recv(size)
        except OSError:
            return b""
        self._link.bytes += len(data)
        return self._link.spoil(data) if data else data

    def _end_input(self) -> None:
        with contextlib.suppress(OSError):
            if not self._link.silent:
                self._ours.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        self._dropped = True
        if not self._link.silent:
            self._ours.close()
            self._link.channels = [channel for channel in self._link.channels if channel is not self]

    def wait(self, timeout_s: Optional[float] = None) -> Optional[int]:
        """The exit code, if it has ended."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def drop(self) -> None:
        """Let the program go; over a silent link it does not learn of it."""
        with self._link.changed:
            self._dropped = True
            self._link.changed.notify_all()
        self.cut()

    def cut(self) -> None:
        """The socket is reset."""
        with contextlib.suppress(OSError):
            if not self._link.silent:
                self._ours.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """End the program."""
        self._process.kill()


class _End:
    """One end of a channel, as a raw file."""

    def __init__(
        self,
        close: Callable[[], None],
        read: Optional[Callable[[int], bytes]] = None,
        write: Optional[Callable[[bytes], int]] = None,
    ) -> None:
        self.close = close
        if read is not None:
            self.read = read
        if write is not None:
            self.write = write

    def flush(self) -> None:
        """There is nothing to flush."""


class DistantHost(LocalHost):
    """Another machine.

    :param address: a folder on this machine for all of its files; its home folder is `home` in there.
    """

    is_here = False

    def __init__(self, address: str = "", options: Optional[Mapping[str, Any]] = None) -> None:
        self.name = os.path.basename(address)
        self.home = os.path.join(address, "home")
        os.makedirs(self.home, exist_ok=True)
        self.link = Link()
        self._env: Dict[str, str] = {**os.environ, "HOME": self.home}

    # --- the host

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", cwd: Optional[str] = None, timeout_s: float = 60.0
    ) -> Completed:
        """Run a command there."""
        self.link.check(timeout_s)
        try:
            done = subprocess.run(
                list(argv), input=input, cwd=cwd or self.home, env=self._env, capture_output=True, timeout=timeout_s
            )
        except subprocess.TimeoutExpired as expired:
            raise TimeoutError(f"{argv[0]} did not end within {timeout_s:g} s") from expired
        self.link.check(timeout_s)
        return Completed(done.returncode, self.link.noise + self.link.spoil(done.stdout), done.stderr)

    def start(self, argv: Sequence[str], *, cwd: Optional[str] = None, stderr: Optional[str] = None) -> Channel:
        """Start a program there."""
        self.link.check(10.0)
        with open(stderr or os.devnull, "ab") as log:
            channel = _FarChannel(self.link, argv, cwd or self.home, self._env, log)
        self.link.channels.append(channel)
        return channel

    def put(self, data: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file there."""
        self.link.check(10.0)
        super().put(data, path, mode=mode)

    def read(self, path: str) -> bytes:
        """Read a file there."""
        self.link.check(10.0)
        return super().read(path)

    def close(self) -> None:
        """Let go of all channels."""
        for channel in list(self.link.channels):
            channel.cut()

    # --- the weather

    def cut(self) -> None:
        """The link is reset; nothing can be reached until it is mended."""
        self.link.down = True
        for channel in list(self.link.channels):
            channel.cut()

    def mend(self) -> None:
        """The link works again. What was sent while it was silent is lost."""
        with self.link.changed:
            self.link.down = self.link.silent = False
            self.link.spoil = lambda data: data
            self.link.changed.notify_all()

    def silence(self) -> None:
        """Packets are dropped from now on."""
        with self.link.changed:
            self.link.silent = True

    def flicker(self, times: int, pause_s: float) -> None:
        """Cut the link so many times, and mend it at once each time."""
        for _ in range(times):
            time.sleep(pause_s)
            self.cut()
            self.mend()
