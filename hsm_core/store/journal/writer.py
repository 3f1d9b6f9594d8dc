"""Writing the journal: one writer, one segment, every batch of events in one write, and a group commit behind it."""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import threading
import time
from typing import Callable, Deque, List, Optional, Tuple, Type

from ...engine.events import Event
from ...errors import StoreError, SweepBusyError
from ..files import StrPath, create_exclusive, write_all
from .follower import Follower
from .segments import START, Position, encode_header, encode_lines, newest_epoch, segment_path

__all__ = ["JournalFull", "JournalWriter"]

_SYNC_AFTER_S = 0.08
"""How long an event may wait for others before it is synced; the promise is 0.1 s."""

_MAY_PASS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}

_fdatasync = getattr(os, "fdatasync", os.fsync)


class JournalFull(StoreError):
    """The disk does not take the events now (full, over quota, failing). The journal is as it was before; give it the
    same events again later, and before any others, because somebody who follows it may have seen a part of them.
    """


class JournalWriter:
    """The end of a journal, open for appending.

    `append` returns when the operating system has the events, so that a crash of this process costs none; the disk has
    them at most 0.1 s later, or when `sync` returns. May be used from several threads.
    """

    def __init__(self, fd: int, path: str, epoch: int, length: int, sync_after_s: float) -> None:
        self._fd = fd
        self._path = path
        self._epoch = epoch
        self._sync_after_s = sync_after_s
        self._length = length
        self._synced = length
        # What the disk may not have yet, as (end, bytes). After a failed sync the system may have dropped it while
        # calling it written, so it is kept here to be written again.
        self._unsynced: Deque[Tuple[int, bytes]] = collections.deque()
        self._failure: Optional[OSError] = None
        self._overhang = False
        self._closed = False
        self._state = threading.Condition()
        self._syncing = threading.Lock()
        self._thread: Optional[threading.Thread] = None

    @classmethod
    def open(
        cls,
        directory: StrPath,
        sweep_id: str,
        epoch: int,
        after: Optional[Position] = None,
        *,
        now: Callable[[], float] = time.time,
        sync_after_s: float = _SYNC_AFTER_S,
    ) -> JournalWriter:
        """Begin the segment of a new controller.

        :param epoch: the controller's, as its lease has it.
        :param after: the position at which its replay of the journal ended: what stands behind it never counts.
            None reads the journal here to find out.
        :raises SweepBusyError: another controller has begun this segment, or a later one.
        :raises StoreError: the journal cannot be read, or the segment cannot be made.
        """
        if after is None:
            follower = Follower(directory)
            collections.deque(follower.new_events(), maxlen=0)
            after = follower.position
        path = segment_path(directory, epoch)
        busy = SweepBusyError(
            f"another controller has just taken up {sweep_id} (journal {path})",
            hint="Watch it with: hsm monitor watch " + sweep_id,
        )
        if newest_epoch(directory) >= epoch:
            raise busy
        header = encode_header(sweep_id, epoch, now(), None if after == START else after)
        try:
            if after != START:
                # What we count on must be on disk before we say so, although its writer may have died before it was.
                _sync_file(segment_path(directory, after.epoch))
            create_exclusive(path, header)
            fd = os.open(path, os.O_WRONLY)
        except FileExistsError:
            raise busy from None
        except OSError as error:
            raise _store_error(StoreError, path, error) from error
        return cls(fd, path, epoch, len(header), sync_after_s)

    @property
    def position(self) -> Position:
        """Behind the last event appended."""
        return Position(self._epoch, self._length)

    def append(self, events: List[Event]) -> None:
        """Add events, all or none. :raises JournalFull: none was added. :raises StoreError: none can be any more."""
        data = encode_lines(events)
        with self._state:
            if self._failure is not None:
                self._write_again()
            try:
                if self._overhang:
                    self._cut_off()
                write_all(self._fd, data, self._length)
            except OSError as error:
                self._overhang = True
                with contextlib.suppress(OSError):
                    self._cut_off()
                raise self._error(error) from error
            self._length += len(data)
            self._unsynced.append((self._length, data))
            if self._thread is None:
                self._thread = threading.Thread(target=self._commit, name="journal-sync", daemon=True)
                self._thread.start()
            elif len(self._unsynced) == 1:
                self._state.notify_all()

    def sync(self) -> None:
        """Return when all that was appended is on disk. :raises JournalFull: when the disk does not take it."""
        with self._syncing:
            with self._state:
                if self._failure is not None:
                    self._write_again()
                length = self._length
                if self._synced == length:
                    return
            try:
                _fdatasync(self._fd)
            except OSError as error:
                with self._state:
                    self._failure = error
                raise self._error(error) from error
            with self._state:
                self._mark_synced(length)

    def close(self) -> None:
        """Sync and close; harmless when closed. :raises JournalFull: the last events may not be on disk."""
        with self._state:
            if self._closed:
                return
            self._closed = True
            self._state.notify_all()
        if self._thread is not None:
            self._thread.join()
        try:
            self.sync()
        finally:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _commit(self) -> None:
        """The group commit, on a thread of its own."""
        while True:
            with self._state:
                while not self._closed and (not self._unsynced or self._failure is not None):
                    self._state.wait()
                if not self._closed:
                    self._state.wait(self._sync_after_s)
                if self._closed:
                    return
            # The failure is kept: the next append or sync meets it.
            with contextlib.suppress(StoreError):
                self.sync()

    def _cut_off(self) -> None:
        """Remove what a failed write may have left behind the last good line."""
        os.ftruncate(self._fd, self._length)
        self._overhang = False

    def _write_again(self) -> None:
        """After a failed sync: give the system the unsynced bytes once more and sync them at once."""
        try:
            for end, data in self._unsynced:
                write_all(self._fd, data, end - len(data))
            _fdatasync(self._fd)
        except OSError as error:
            raise self._error(error) from error
        self._failure = None
        self._mark_synced(self._length)

    def _mark_synced(self, length: int) -> None:
        self._synced = length
        while self._unsynced and self._unsynced[0][0] <= length:
            self._unsynced.popleft()

    def _error(self, error: OSError) -> StoreError:
        return _store_error(JournalFull if error.errno in _MAY_PASS else StoreError, self._path, error)


def _sync_file(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _store_error(kind: Type[StoreError], path: str, error: OSError) -> StoreError:
    return kind(
        f"cannot write the journal {path}: {error.strerror}",
        hint=f"Make room or give write access there (df -h {os.path.dirname(path)}).",
    )
