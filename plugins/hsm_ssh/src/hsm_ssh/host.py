"""A machine reached by SSH, as a host: commands, programs that live on, files."""

from __future__ import annotations

import os
import posixpath
import threading
import time
from typing import Any, Mapping, Optional, Sequence

from hsm_core.contract import Channel, Completed

from .handshake import Manners
from .program import Program
from .shared import Machine, give_back, machine
from .shell import command_line, kill_script, put_script, read_script, run_script, start_script
from .talk import Talk, TooMuchError, last_words

__all__ = ["SshHost", "manners_of"]

_START_S = 60.0
_KILL_S = 10.0
_FILE_S = 300.0


class SshHost:
    """A machine that SSH reaches. Connects when first used, and again after a cut.

    Safe for several threads. All hosts of this process with one address and the same options share their connections.

    :param address: `[user@]host[:port]`, or a name from `~/.ssh/config`.
    :param options: `compression`, `connect_timeout` and `keepalive_interval` (seconds), `config_file`.
    """

    is_here = False

    def __init__(self, address: str, options: Optional[Mapping[str, Any]] = None) -> None:
        given = options or {}
        self.name = address
        self._manners = manners_of(given)
        file = given.get("config_file")
        self.config_file = os.path.expanduser(file) if file is not None else None
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
            program = Program(session, mark, deadline, argv[0], self._kill)
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
            raise OSError(f"{self.name}: cannot write {path}: {last_words(talk.stderr)}")

    def read(self, path: str) -> bytes:
        """A file's bytes."""
        mark = _mark()
        talk = self._talk(read_script(path, mark), mark, b"", _FILE_S, f"reading {path}")
        if talk.word == "nofile":
            raise FileNotFoundError(2, f"no file on {self.name}", path)
        if talk.code != 0:
            raise OSError(f"{self.name}: cannot read {path}: {last_words(talk.stderr)}")
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
                self._machine = machine(self.name, self.config_file, self._manners)
            return self._machine

    def _talk(self, script: str, mark: str, input: bytes, timeout_s: float, what: str) -> Talk:
        deadline = time.monotonic() + timeout_s
        try:
            session = self._reached().open_session(command_line(script), deadline)
            talk = Talk(session, mark, what)
            try:
                talk.carry_on(input, deadline)
                return talk
            except (TimeoutError, TooMuchError):
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
                Talk(session, mark, "kill").carry_on(b"", time.monotonic() + _KILL_S)
            finally:
                session.close()
        except OSError:
            pass  # then the machine does not answer, and its own end of the pipes is all that may stop the command


def manners_of(options: Mapping[str, Any]) -> Manners:
    """What options say of how connections are made and kept."""
    usual = Manners()
    return Manners(
        compression=bool(options.get("compression", usual.compression)),
        connect_timeout_s=float(options.get("connect_timeout", usual.connect_timeout_s)),
        keepalive_s=float(options.get("keepalive_interval", usual.keepalive_s)),
    )


def _mark() -> str:
    return os.urandom(16).hex()
