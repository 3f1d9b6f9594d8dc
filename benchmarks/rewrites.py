"""How often each of a sweep's own files is written: none may be rewritten once an event."""

from __future__ import annotations

import ctypes
import os
import struct
from collections import Counter
from pathlib import Path
from typing import Dict, List, Tuple

IN_CLOSE_WRITE, IN_MOVED_TO, IN_NONBLOCK = 0x8, 0x80, 0x800
EVENT = struct.Struct("iIII")


class Rewrites:
    """Counts writes in a sweep's folders, all but its tasks', by Linux's inotify; where that is missing, nothing.

    :param outputs: the folder where the one sweep will appear.
    """

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(IN_NONBLOCK) if hasattr(self._libc, "inotify_init1") else -1
        self._folders: Dict[int, Path] = {}
        self._writes: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._size: Dict[str, int] = {}

    def look(self) -> None:
        """Take up new folders and count what happened since the last look."""
        if self._descriptor < 0:
            return
        known = set(self._folders.values())
        for sweep in self._outputs.glob("*/"):
            for folder in (
                sweep,
                sweep / "logs",
                sweep / "logs" / "sources",
                sweep / "logs" / "errors",
                sweep / ".hsm",
            ):
                if folder not in known and folder.is_dir():
                    watch = self._libc.inotify_add_watch(
                        self._descriptor, os.fsencode(str(folder)), IN_CLOSE_WRITE | IN_MOVED_TO
                    )
                    self._folders[watch] = folder
        try:
            data = os.read(self._descriptor, 1 << 20)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(data):
            watch, mask, _, length = EVENT.unpack_from(data, offset)
            name = data[offset + EVENT.size : offset + EVENT.size + length].rstrip(b"\0").decode()
            offset += EVENT.size + length
            path = self._folders[watch] / name
            label = str(path.relative_to(self._outputs)).split(os.sep, 1)[-1]
            # Temporary names of one file count as that file once it is renamed.
            if path.exists():
                size = path.stat().st_size
                before = 0 if mask & IN_MOVED_TO else self._size.get(label, 0)  # written anew, or added to
                self._writes[label] += 1
                self._bytes[label] += max(size - before, 0)
                self._size[label] = size

    def most(self, count: int) -> List[Tuple[str, int, float]]:
        """The files written most often: name, times, megabytes in all."""
        return [(name, times, self._bytes[name] / 1e6) for name, times in self._writes.most_common(count)] or [
            ("", 0, 0)
        ]

    def close(self) -> None:
        """Count what is left and let go."""
        self.look()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
