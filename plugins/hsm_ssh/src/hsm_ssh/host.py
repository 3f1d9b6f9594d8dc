"""A machine reached by SSH, as a host: commands, programs that live on, files."""

from __future__ import annotations

import io
import os
import posixpath
import select
import socket
import threading
import time
from typing import IO, Any, Callable, List, Mapping, Optional, Sequence, Tuple, cast

from hsm_core.contract import Channel, Completed

from .connection import Manners
from .errors import SshError
from .shared import Machine, Session, give_back, machine
from .shell import (
    Opening,
    command_line,
    kill_script,
    put_script,
    read_script,
    run_script,
    start_script,
    without_noise,
)

__all__ = ["SshHost"]

_PIECE = 32768
"""How much goes in one packet."""
_INLINE = 65536
"""Input up to this size fits the window of any server, so that it can be sent before anything is read."""
_NOISE = 1 << 20
"""How much start-up files may say before the command begins."""
_MOST = 256 << 20
"""How much a command may print."""
_START_S = 60.0
_SEND_S = 60.0
_KILL_S = 10.0
_FILE_S = 300.0
_LOST = -1
"""What paramiko calls the exit code of a command that has none: ended by a signal, or with its connection."""


class SshHost:
    """A machine that SSH reaches. Connects when first used, and again after a cut.

    Safe for several threads. All hosts of this process with one address and the same options share their connections.

    :param address: `[user@]host[:port]`, or a name from `~/.ssh/config`.
    :param options: `compression`, `connect_timeout` and `keepalive_interval` (seconds), `config_file`.
    """

    is_here = False

    def __init__(self, address: str, options: Optional[Mapping[str, Any]] = None) -> None:
        given = options or {}
        defaults = Manners()
        self.name = address
        self._manners = Manners(
            compression=bool(given.get("compression", defaults.compression)),
            connect_timeout_s=float(given.get("connect_timeout", defaults.connect_timeout_s)),
            keepalive_s=float(given.get("keepalive_interval", defaults.keepalive_s)),
        )
        file = given.get("config_file")
        self._config_file = os.path.expanduser(file) if file is not None else None
        self._lock = threading.Lock()
        self._machine: Optional[Machine] = None

    # --- the contract

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", cwd: Optional[str] = None, timeout_s: float = 60.0
    ) -> Completed:
        """Run a command to its end. What its login shell prints before is not its output.

        A command that a signal ended has the exit code 128 and the signal's number, as a shell says it.

        :raises SshError: the connection could not be made, or was cut; the command may have run, or still do so.
        :raises FileNotFoundError: there is no such program or folder there.
        """
        mark = _mark()
        talk = self._talk(run_script(argv, cwd, mark), mark, input, timeout_s, argv[0])
        if talk.word == "nofolder":
            raise FileNotFoundError(2, f"no folder on {self.name}", cwd)
        if talk.word == "noprogram":
            raise FileNotFoundError(2, f"no program on {self.name}", argv[0])
        return Completed(talk.code, talk.stdout, talk.stderr)

    def start(self, argv: Sequence[str], *, cwd: Optional[str] = None, stderr: Optional[str] = None) -> Channel:
        """Start a program that lives on when the connection is gone; it is in a session of its own there."""
        mark = _mark()
        deadline = time.monotonic() + _START_S
        line = command_line(start_script(argv, cwd, stderr, mark))
        session = self._reached().open_session(line, deadline, lasting=True)
        try:
            program = _Program(self, session, mark, deadline, argv[0])
        except BaseException:
            session.close()
            raise
        if program.word == "ok":
            return program
        session.close()
        what = {"nofolder": ("folder", cwd), "nolog": ("writable place", stderr)}.get(
            program.word, ("program", argv[0])
        )
        raise FileNotFoundError(2, f"no {what[0]} on {self.name}", what[1])

    def put(self, data: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file whole or not at all."""
        mark = _mark()
        folder, name = posixpath.split(path)
        temporary = posixpath.join(folder, f".put-{mark[:12]}")
        script = put_script(path, folder or ".", temporary, len(data), mode, mark)
        talk = self._talk(script, mark, data, _FILE_S, f"writing {name}")
        if talk.code != 0:
            raise OSError(f"{self.name}: cannot write {path}: {_words(talk.stderr)}")

    def read(self, path: str) -> bytes:
        """A file's bytes."""
        mark = _mark()
        talk = self._talk(read_script(path, mark), mark, b"", _FILE_S, f"reading {path}")
        if talk.word == "nofile":
            raise FileNotFoundError(2, f"no file on {self.name}", path)
        if talk.code != 0:
            raise OSError(f"{self.name}: cannot read {path}: {_words(talk.stderr)}")
        return talk.stdout

    def close(self) -> None:
        """Give up the connection, if nobody else in this process uses it; programs started live on."""
        with self._lock:
            used, self._machine = self._machine, None
        if used is not None:
            give_back(used)

    # --- how

    def _reached(self) -> Machine:
        with self._lock:
            if self._machine is None:
                self._machine = machine(self.name, self._config_file, self._manners)
            return self._machine

    def _talk(self, script: str, mark: str, input: bytes, timeout_s: float, what: str) -> _Talk:
        deadline = time.monotonic() + timeout_s
        try:
            session = self._reached().open_session(command_line(script), deadline)
            talk = _Talk(session, mark, what)
            try:
                talk.carry_on(input, deadline)
                return talk
            except (TimeoutError, _TooMuchError):
                session.close()  # its place is needed by what ends the command
                self._kill(talk.pid)
                raise
            finally:
                session.close()
        except TimeoutError as error:
            raise TimeoutError(f"{self.name}: {what} did not end within {timeout_s:g} s") from error

    def _kill(self, pid: int) -> None:
        """End a command that took too long, if it can be done; it is the only thing on its connection that failed."""
        if not pid:
            return
        try:
            mark = _mark()
            session = self._reached().open_session(command_line(kill_script(pid, mark)), time.monotonic() + _KILL_S)
            try:
                _Talk(session, mark, "kill").carry_on(b"", time.monotonic() + _KILL_S)
            finally:
                session.close()
        except OSError:
            pass  # then the machine does not answer, and its own end of the pipes is all that may stop the command


class _TooMuchError(SshError):
    """More came than anybody wants."""


class _Talk:
    """One command from its beginning to its end."""

    def __init__(self, session: Session, mark: str, what: str) -> None:
        self._session = session
        self._channel = session.channel
        self._mark = mark
        self._what = what
        self._name = session.connection.target.alias
        self.word = ""
        self.pid = 0
        self.code = _LOST
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
        if self.code == _LOST or not self.word:
            if self.code == _LOST:
                self._session.connection.doubt()
                raise SshError(f"{self._name}: the connection was cut while {self._what} ran")
            raise SshError(
                f"{self._name}: its login shell ended with {self.code} before the command began: {_words(err or out)}",
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
                elif len(out) + len(err) > _NOISE:
                    raise _TooMuchError(
                        f"{self._name}: its login shell prints without end before any command begins",
                        "mend its start-up files, such as ~/.bashrc",
                    )
            if len(out) + len(err) > _MOST:
                raise _TooMuchError(f"{self._name}: {self._what} printed more than {_MOST >> 20} MiB; it was ended")
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
            view = view[channel.send(bytes(view[:_PIECE])) :]
        channel.shutdown_write()
    except OSError:
        pass  # told by what comes back: an exit code, or that there is none


class _Program:
    """A program that goes on: its input and output as files."""

    def __init__(self, host: SshHost, session: Session, mark: str, deadline: float, what: str) -> None:
        self._host = host
        self._session = session
        self._dropped = False
        channel = session.channel
        received = b""
        opening: Optional[Opening] = None
        while opening is None:
            channel.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                piece = channel.recv(_PIECE)
            except socket.timeout:
                session.connection.doubt()
                raise TimeoutError(f"{session.connection.target.alias}: {what} did not start in time") from None
            received += piece
            opening = Opening.find(received, mark)
            if opening is None and (not piece or len(received) > _NOISE):
                words = _words(received) if piece or channel.exit_status_ready() else "the connection was cut"
                raise SshError(f"{session.connection.target.alias}: {what} did not start: {words}")
        self.word, self._pid, end = opening
        self.stdin: IO[bytes] = cast("IO[bytes]", _Input(channel))
        self.stdout: IO[bytes] = cast("IO[bytes]", _Output(channel, received[end:], self._ended))

    def wait(self, timeout_s: Optional[float] = None) -> Optional[int]:
        """The exit code, -1 when a signal ended it; None when it still runs, and when nobody can say any more."""
        channel = self._session.channel
        if not channel.status_event.wait(timeout_s):
            return None
        code: int = channel.exit_status
        return None if code == _LOST and (self._dropped or not self._session.connection.alive) else code

    def drop(self) -> None:
        """Let it go: our end is closed at once, theirs when the connection takes it, or ends."""
        self._dropped = True
        self._session.connection.doubt()
        # What is said to the other side may wait for a connection that takes nothing.
        threading.Thread(target=self._session.close, name="ssh-drop", daemon=True).start()

    def kill(self) -> None:
        """End it and its process group now."""
        self._host._kill(self._pid)

    def _ended(self) -> None:
        self._session.close()


class _Input(io.RawIOBase):
    """A program's standard input."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Send a piece of it. :raises OSError: the connection was cut, or nothing was taken for a minute."""
        self._channel.settimeout(_SEND_S)
        return int(self._channel.send(bytes(memoryview(data)[:_PIECE])))

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
                return bytes(self._channel.recv(size if size >= 0 else _PIECE))
            except socket.timeout:
                continue  # a limit of sending: nothing says how long a program may be silent

    def close(self) -> None:
        """Give up the program's session."""
        if not self.closed:
            super().close()
            self._at_end()


def _mark() -> str:
    return os.urandom(16).hex()


def _words(said: bytes) -> str:
    """The last line of what was printed, for a message."""
    lines: List[str] = said.decode("utf-8", "replace").strip().splitlines()
    return ascii(lines[-1][:200])[1:-1] if lines else "no message"
