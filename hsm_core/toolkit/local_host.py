"""This machine as a host."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from typing import IO, Any, Mapping, Optional, Sequence

from ..contract import Channel, Completed

__all__ = ["LocalHost"]


class _ProcessChannel:
    """A child process in a session of its own, so that a Ctrl-C typed at us does not reach it."""

    def __init__(self, argv: Sequence[str], cwd: Optional[str], stderr: Optional[str]) -> None:
        sink: Any = open(stderr, "ab") if stderr is not None else subprocess.DEVNULL  # noqa: SIM115 - closed below
        try:
            self._process = subprocess.Popen(
                list(argv),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                bufsize=0,
                start_new_session=True,
            )
        finally:
            if stderr is not None:
                sink.close()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.stdin: IO[bytes] = self._process.stdin
        self.stdout: IO[bytes] = self._process.stdout

    def wait(self, timeout_s: Optional[float] = None) -> Optional[int]:
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self.stdin.close()  # the program sees it, and ends its output in its own time

    def kill(self) -> None:
        self._process.kill()


class LocalHost:
    """This machine: commands are child processes, files are files."""

    name = "local"
    is_here = True

    def __init__(self, address: str = "", options: Optional[Mapping[str, Any]] = None) -> None:
        """Take the arguments of every host factory; this machine needs none of them."""

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", cwd: Optional[str] = None, timeout_s: float = 60.0
    ) -> Completed:
        """Run a command to its end."""
        try:
            done = subprocess.run(list(argv), input=input, cwd=cwd, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as expired:
            raise TimeoutError(f"{argv[0]} did not end within {timeout_s:g} s") from expired
        return Completed(done.returncode, done.stdout, done.stderr)

    def start(self, argv: Sequence[str], *, cwd: Optional[str] = None, stderr: Optional[str] = None) -> Channel:
        """Start a program in a session of its own."""
        return _ProcessChannel(argv, cwd, stderr)

    def put(self, data: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file whole or not at all."""
        folder = os.path.dirname(path)
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".put-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    def read(self, path: str) -> bytes:
        """A file's bytes."""
        with open(path, "rb") as file:
            return file.read()

    def close(self) -> None:
        """Nothing to give up."""
