"""Makes what has arrived outlive a power cut, for a whole group at once.

Waiting for the disk file by file costs a turn of it for each. So the disk is told of each file when it is written, and
waited for only when some more are there; where they are many, Linux is asked once for the whole file system.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import Collection, List

from ..store.files import sync_directory

__all__ = ["start_writing", "sync_entries", "sync_trees"]

_FEW = 32
"""So many are waited for one by one: the whole file system may have to write what others left to it."""


def start_writing(fd: int) -> None:
    """Have the system begin to write a file to the disk, and do not wait for it."""
    if hasattr(os, "posix_fadvise"):  # Linux writes before it lets go; macOS has no such call, and waits longer later
        with contextlib.suppress(OSError):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def sync_trees(tops: Collection[str]) -> None:
    """Wait until the disk has all files and folders below these folders, and themselves.

    Files that their owner may not read are passed over: who made them has to have waited for them.

    :raises OSError: the disk could not take a file, which is removed: a second try would be told that all is well.
    """
    files: List[str] = []
    folders: List[str] = []
    for top in tops:
        for folder, _, names in os.walk(top, topdown=False):
            files += (os.path.join(folder, name) for name in names)
            folders.append(folder)
    if len(files) + len(folders) > _FEW and _sync_file_system(folders[0]):
        return
    for path in files:
        _sync_file(path)
    for path in folders:
        sync_directory(path)


def sync_entries(tasks_dir: str, folders: Collection[str]) -> None:
    """Wait until the disk has the names in tasks' folders, in those of their attempts, and in the folder of all tasks.

    :raises OSError: one of them is not there, or cannot be read.
    """
    if not folders or (len(folders) > _FEW and _sync_file_system(tasks_dir)):
        return
    for folder in folders:
        archive = os.path.join(folder, "attempts")
        if os.path.isdir(archive):
            for name in os.listdir(archive):
                sync_directory(os.path.join(archive, name))
            sync_directory(archive)
        sync_directory(folder)
    sync_directory(tasks_dir)


def _sync_file_system(folder: str) -> bool:
    """Wait for everything on a folder's file system; False where that cannot be asked for, or not all was written."""
    syncfs = getattr(ctypes.CDLL(None), "syncfs", None)  # Python's os has no such function
    if syncfs is None:
        return False
    fd = os.open(folder, os.O_RDONLY)
    try:
        return int(syncfs(fd)) == 0
    finally:
        os.close(fd)


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
