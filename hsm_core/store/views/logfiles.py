"""Lines on their way to log files: gathered, and appended in one write a file."""

from __future__ import annotations

import contextlib
import os
from typing import Dict, List, Tuple

__all__ = ["LogFiles"]

_MAX_WAITING = 50_000


class LogFiles:
    """Lines that wait to be written.

    A disk that does not take them is asked again at the next flush. Beyond a bound they are dropped and `behind` is
    set: the logs must be made again from the journal.
    """

    def __init__(self) -> None:
        self.behind = False
        self._lines: Dict[str, List[str]] = {}
        self._waiting = 0

    def add(self, line: str, paths: Tuple[str, ...]) -> None:
        """Put a line, which ends in a newline, on its way to these files."""
        if self.behind:
            return
        for path in paths:
            waiting = self._lines.get(path)
            if waiting is None:
                waiting = self._lines[path] = []
            waiting.append(line)
        self._waiting += len(paths)

    def flush(self) -> None:
        """Append what waits. :raises OSError: some of it still waits; no part of it was written."""
        try:
            for path in list(self._lines):
                lines = self._lines[path]
                _append(path, "".join(lines).encode())
                self._waiting -= len(lines)
                del self._lines[path]
        except OSError:
            if self._waiting > _MAX_WAITING:
                self.behind = True
                self._lines.clear()
            raise


def _append(path: str, data: bytes) -> None:
    """All or nothing, so that a line is never there twice or in half. :raises OSError: nothing was added."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        length = os.fstat(fd).st_size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, length)
            raise
    finally:
        os.close(fd)
