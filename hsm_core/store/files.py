"""Files that come into being whole or not at all: the moves that the rest of the store is made of."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Union

__all__ = ["StrPath", "create_exclusive", "sync_directory", "unique", "write_all", "write_atomic"]

StrPath = Union[str, "os.PathLike[str]"]

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def unique() -> str:
    """A name that no other process on any host will make: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def write_all(fd: int, data: bytes, offset: int = 0) -> None:
    """Write all of `data` at `offset` of a file; a short write is continued. :raises OSError: when the system does."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def sync_directory(path: StrPath) -> None:
    """Make names in a directory durable; a file system that cannot sync directories is left alone."""
    fd = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: StrPath, data: bytes, *, durable: bool = False) -> None:
    """Replace a file as a whole: readers see the old text or the new one, never a part.

    :param durable: also wait until the disk has it; without, a crash of the machine may leave it empty.
    :raises OSError: nothing is left behind then, and the old file stands.
    """
    temporary = _temporary(path)
    try:
        _write_new(temporary, data, durable)
        os.replace(temporary, path)
    except BaseException:
        _remove(temporary)
        raise
    if durable:
        sync_directory(os.path.dirname(path) or ".")


def create_exclusive(path: StrPath, data: bytes) -> None:
    """Make a file, durable and with its text in it, unless the name is taken: of many processes exactly one succeeds.

    On a file system without hard links a crash in here may leave the file empty or half written.

    :raises FileExistsError: the name is taken.
    :raises OSError: nothing is left behind then.
    """
    temporary = _temporary(path)
    try:
        _write_new(temporary, data, durable=True)
        try:
            os.link(temporary, path)
        except FileExistsError:
            # An NFS server that is asked twice, because its first answer was lost, says so of our own link.
            if os.stat(temporary).st_nlink != 2:
                raise
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            _write_new(path, data, durable=True)
    finally:
        _remove(temporary)
    sync_directory(os.path.dirname(path) or ".")


def _temporary(path: StrPath) -> str:
    folder, name = os.path.split(os.fspath(path))
    return os.path.join(folder, f".{name}.{unique()}.tmp")


def _write_new(path: StrPath, data: bytes, durable: bool) -> None:
    """Make a file that must not exist; a failure to fill it removes it again."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        write_all(fd, data)
        if durable:
            os.fsync(fd)
    except BaseException:
        _remove(path)
        raise
    finally:
        os.close(fd)


def _remove(path: StrPath) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
