"""Makes what has arrived outlive a power cut, for a whole group at once.

Waiting for the disk file by file costs a turn of it for each. So the disk is told of each file when it is written, and
waited for only when some more are there: by then it has most of them, and its journal takes the rest together.
"""

from __future__ import annotations

import contextlib
import os
from typing import Set

from ..store.files import sync_directory

__all__ = ["start_writing", "sync_entries", "sync_tree"]


def start_writing(fd: int) -> None:
    """Have the system begin to write a file to the disk, and do not wait for it."""
    if hasattr(os, "posix_fadvise"):  # Linux writes before it lets go; macOS has no such call, and waits longer later
        with contextlib.suppress(OSError):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def sync_tree(top: str) -> None:
    """Wait until the disk has all files and folders below a folder, and itself.

    Files that their owner may not read are passed over: who made them has to have waited for them.

    :raises OSError: the disk could not take a file, which is removed: a second try would be told that all is well.
    """
    for folder, _, names in os.walk(top, topdown=False):
        for name in names:
            _sync_file(os.path.join(folder, name))
        sync_directory(folder)


def sync_entries(tasks_dir: str, folders: Set[str]) -> None:
    """Wait until the disk has the names in tasks' folders, in those of their attempts, and in the folder of all tasks.

    :raises OSError: one of them is not there, or cannot be read.
    """
    for folder in folders:
        archive = os.path.join(folder, "attempts")
        if os.path.isdir(archive):
            for name in os.listdir(archive):
                sync_directory(os.path.join(archive, name))
            sync_directory(archive)
        sync_directory(folder)
    if folders:
        sync_directory(tasks_dir)


def _sync_file(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(fd)
