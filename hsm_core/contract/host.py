"""Hosts: ways to reach a machine. Pool and batch sources work over any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any, Callable, Mapping, Optional, Protocol, Sequence, Tuple

__all__ = ["Channel", "Completed", "Host", "HostType"]


@dataclass(frozen=True)
class Completed:
    """A command that ended on a host."""

    returncode: int
    stdout: bytes
    stderr: bytes


class Channel(Protocol):
    """A program running on a host, with its standard input and output.

    Both are raw: `stdout.read(n)` returns what has come, at most `n` bytes, and nothing at the end; it may wait for
    ever, until another thread calls `drop` or `kill`. `stdin.write` takes what it can, and raises OSError, rather than
    wait for ever, when the other end takes nothing.
    """

    stdin: IO[bytes]
    stdout: IO[bytes]

    def wait(self, timeout_s: Optional[float] = None) -> Optional[int]:
        """The exit code, or None when it still runs after `timeout_s` seconds."""

    def drop(self) -> None:
        """Let the program go, which lives on: it finds its input ended, and whoever reads here finds the end as well.

        For a link that may be dead: nothing is asked of the other side, and nothing waits for it.
        """

    def kill(self) -> None:
        """End the program now; harmless when it has ended."""


class Host(Protocol):
    """A machine where commands run without a shell. Every method may raise OSError; none waits without a limit.

    It connects when it is first used, and again when it is used after the connection was lost.

    :param is_here: its files are those of this machine: a path means the same here and there.
    """

    name: str
    is_here: bool

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", cwd: Optional[str] = None, timeout_s: float = 60.0
    ) -> Completed:
        """Run a command to its end.

        :raises TimeoutError: after `timeout_s`, the command having been killed.
        :raises FileNotFoundError: there is no such program.
        """

    def start(self, argv: Sequence[str], *, cwd: Optional[str] = None, stderr: Optional[str] = None) -> Channel:
        """Start a program that lives on when the channel, or this process, is gone.

        :param stderr: file on the host that takes its standard error, appended; None throws it away.
        """

    def put(self, data: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file whole or not at all (temporary name, then rename), making its folders."""

    def read(self, path: str) -> bytes:
        """A file's bytes. :raises FileNotFoundError: when it is not there."""

    def close(self) -> None:
        """Give up connections; programs started live on."""


@dataclass(frozen=True)
class HostType:
    """A kind of host that a plugin offers by the hook `hsm_host_types`.

    :param kind: the word in front of the colon in `host: ssh:login1`.
    :param factory: `(address, options) -> Host`; imports what is heavy when called, not before.
    :param options_schema: JSON schema of the options.
    """

    kind: str
    factory: Callable[[str, Mapping[str, Any]], Host]
    options_schema: Optional[Mapping[str, Any]] = None
    api: Tuple[int, int] = (1, 0)
