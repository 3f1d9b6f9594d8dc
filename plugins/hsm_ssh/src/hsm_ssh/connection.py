"""One connection to one machine: dialled, its key verified, ourselves let in; then sessions on it, until it breaks."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Callable, List, Optional

from .dial import Stream
from .errors import SshError
from .handshake import Manners, shake_hands, verify_host
from .login import log_in
from .quiet import paramiko
from .target import Target

__all__ = ["Connection", "NoRoomError"]

_SESSIONS = 10
"""How many sessions a server allows on a connection, unless it is found to allow fewer (sshd's MaxSessions)."""


class NoRoomError(SshError):
    """The server allows no further session on this connection."""


class Connection:
    """A connection on which sessions can be opened.

    :param dial: makes the stream, before a deadline.
    :raises SshError: it could not be made; `RefusedError` when it is of no use to try again.
    """

    def __init__(self, target: Target, manners: Manners, dial: Callable[[float], Stream], deadline: float) -> None:
        self.target = target
        self.sessions = 0
        """How many are open; kept by whoever opens and closes them, under a lock of its own."""
        self.lasting = 0
        """How many of them are programs that go on."""
        self.limit = _SESSIONS
        self._manners = manners
        self._closed = threading.Event()
        self._stir = threading.Event()
        self._reason = ""
        self._afterwards: List[Callable[[], None]] = []
        self._transport, self._stream = shake_hands(target, manners, dial, deadline)
        try:
            verify_host(self._transport, target)
            log_in(self._transport, target, deadline)
        except BaseException:
            self._transport.close()
            raise
        self._watcher = threading.Thread(target=self._watch, name=f"ssh-keepalive-{target.alias}", daemon=True)
        self._watcher.start()

    @property
    def alive(self) -> bool:
        """Whether it is not known to be broken."""
        return bool(self._transport.is_active()) and not self._closed.is_set()

    def close(self) -> None:
        """Hang up; sessions on it end here, and what they started lives on."""
        self._closed.set()
        self._stir.set()
        self._transport.close()
        while self._afterwards:
            self._afterwards.pop()()

    def when_closed(self, call: Callable[[], None]) -> None:
        """Call this once, after it is closed."""
        self._afterwards.append(call)

    def doubt(self) -> None:
        """Something took too long: ask now whether the other side is there at all."""
        self._stir.set()

    # --- sessions

    def open_session(self, line: str, deadline: float) -> paramiko.Channel:
        """Run a command line.

        :raises NoRoomError: there are too many sessions on it.
        :raises SshError: it is broken.
        :raises TimeoutError: no answer came before the deadline.
        """
        channel = self._open("session", None, deadline)
        try:
            self._before(deadline, channel, lambda: channel.exec_command(line))
        except (paramiko.SSHException, EOFError, OSError) as error:
            channel.close()
            if not self.alive:
                raise SshError(f"{self.target.alias}: {self._why()}") from error
            if time.monotonic() >= deadline:
                raise self._too_late() from error
            raise SshError(f"{self.target.alias}: it refuses to run commands", f"try: {self.target.ssh}") from error
        return channel

    def open_tunnel(self, target: Target, deadline: float) -> Stream:
        """A stream from there to a further machine."""
        try:
            channel = self._open("direct-tcpip", (target.hostname, target.port), deadline)
        except NoRoomError:
            raise SshError(
                f"{target.alias}: {self.target.alias} cannot connect to {target.hostname} port {target.port}",
                f"is it up, and may {self.target.alias} connect to it? try: {target.ssh}",
            ) from None
        return Stream(channel)

    def _open(self, kind: str, destination: Optional[object], deadline: float) -> paramiko.Channel:
        left = deadline - time.monotonic()
        try:
            if left <= 0:
                raise self._too_late()
            return self._transport.open_channel(
                kind,
                dest_addr=destination,  # type: ignore[arg-type] # None where there is none
                src_addr=("127.0.0.1", 0) if destination is not None else None,
                timeout=left,
            )
        except paramiko.ChannelException as error:
            raise self._no_room() from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not self.alive:
                raise SshError(f"{self.target.alias}: {self._why()}") from error
            if str(error).startswith("Unable to open"):
                # Refused; the refusal itself went to another thread, because paramiko keeps one for all.
                raise self._no_room() from error
            raise self._too_late() from error

    def _before(self, deadline: float, channel: paramiko.Channel, call: Callable[[], object]) -> None:
        """Call something that knows no deadline; closing the channel ends its waiting."""
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), channel.close)
        timer.daemon = True
        timer.start()
        try:
            call()
        finally:
            timer.cancel()

    def _no_room(self) -> NoRoomError:
        return NoRoomError(f"{self.target.alias}: it allows no further session", "see MaxSessions of sshd")

    def _too_late(self) -> TimeoutError:
        self.doubt()
        return TimeoutError(f"{self.target.alias}: no answer in time")

    def _why(self) -> str:
        error = self._transport.get_exception()
        return self._reason or (str(error) if error is not None else "") or "the connection was cut"

    # --- its life

    def _watch(self) -> None:
        """Ask now and then whether the other side lives: a machine that hangs keeps its connections open for ever."""
        interval_s = self._manners.keepalive_s
        while not self._closed.is_set():
            self._stir.wait(interval_s)
            self._stir.clear()
            if not self.alive:
                break
            answered = threading.Event()
            threading.Thread(
                target=self._give_up, args=(answered,), name=f"ssh-answer-{self.target.alias}", daemon=True
            ).start()
            with contextlib.suppress(Exception):  # whatever is wrong with it, it is not alive then
                self._transport.global_request("keepalive@openssh.com", wait=True)
            answered.set()
        self._transport.close()

    def _give_up(self, answered: threading.Event) -> None:
        """Close it, unless the answer comes; whatever comes meanwhile shows that it is only slow."""
        limit_s = self._manners.keepalive_s
        asked_at = time.monotonic()
        while True:
            left_s = max(asked_at, self._stream.heard_at) + limit_s - time.monotonic()
            if left_s <= 0:
                break
            if answered.wait(left_s):
                return
        self._reason = f"it has not answered for {limit_s:g} s"
        self._transport.close()
