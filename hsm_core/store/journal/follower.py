"""Reading the journal: from the start for a replay, and on from a position for whoever watches."""

from __future__ import annotations

import os
from typing import Dict, Iterator, List, Optional, Tuple

from ...engine.events import Event
from ...errors import StoreError
from ..files import StrPath
from .segments import START, Header, Position, decode_lines, epochs, read_header, segment_path

__all__ = ["Follower", "JournalRewound", "created_at", "read"]

_BLOCK = 1 << 18


class JournalRewound(StoreError):
    """Events that a follower had already read do not count any more, or are not there: start again from the beginning.

    It happens when a controller that was replaced had written on for a moment, and after a crash of the machine.
    """


def read(directory: StrPath) -> Iterator[Event]:
    """All events of a journal, in order. :raises StoreError: see `Follower.new_events`."""
    return Follower(directory).new_events()


def created_at(directory: StrPath) -> Optional[float]:
    """When the first segment was made, Unix seconds; None when there is none that can be read."""
    try:
        header = read_header(directory, min(epochs(directory), default=1))
    except StoreError:
        return None
    return None if header is None else header.at


class Follower:
    """A place in a journal that moves on as the journal grows.

    :param position: where to begin; see `position`.
    """

    def __init__(self, directory: StrPath, position: Position = START) -> None:
        self._directory = directory
        self._epoch, self._offset = position
        self._headers: Dict[int, Header] = {}

    @property
    def position(self) -> Position:
        """Behind the last event read. It moves when `new_events` is run on past the events of a block, so that
        after an abandoned iteration some events come again.
        """
        return Position(self._epoch, self._offset)

    def new_events(self) -> Iterator[Event]:
        """The events since the last call; run it to its end.

        A torn tail of the newest segment (a line without its newline, a last line that is not JSON, blocks that
        a crash of the machine left as zeros) is not there yet, or never will be, and ends the iteration.

        :raises JournalRewound: start again with a new follower.
        :raises StoreError: the journal is damaged or unreadable; the message has file and line.
        """
        for header, end in self._segments_ahead():
            if header.epoch != self._epoch:
                self._epoch, self._offset = header.epoch, header.length
            try:
                yield from self._segment(end)
            except OSError as error:
                path = segment_path(self._directory, self._epoch)
                raise StoreError(f"cannot read the journal {path}: {error.strerror}") from error

    def _segments_ahead(self) -> List[Tuple[Header, Optional[int]]]:
        """The segments from our position on, each with the number of its bytes that count; None is all of them.

        Each header names its forerunner, so the way is found from the newest segment back to where we are.
        """
        newest = self._newest()
        if newest is None:
            if self._epoch:
                raise self._rewound()
            return []
        ahead: List[Tuple[Header, Optional[int]]] = [(newest, None)]
        while ahead[-1][0].epoch != self._epoch:
            previous = ahead[-1][0].previous
            if previous is None and self._epoch == 0:
                break
            if previous is None or previous.epoch < self._epoch:
                raise self._rewound()
            ahead.append((self._header(previous.epoch), previous.offset))
        return ahead[::-1]

    def _newest(self) -> Optional[Header]:
        for epoch in reversed(epochs(self._directory)):
            header = self._headers.get(epoch) or read_header(self._directory, epoch)
            if header is not None:
                self._headers[epoch] = header
                return header
        return None

    def _header(self, epoch: int) -> Header:
        header = self._headers.get(epoch) or read_header(self._directory, epoch)
        if header is None:
            raise self._shorter(epoch)
        self._headers[epoch] = header
        return header

    def _segment(self, end: Optional[int]) -> Iterator[Event]:
        """The events from our offset to `end`, or to the last whole line."""
        with open(segment_path(self._directory, self._epoch), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            limit = size if end is None else end
            if self._offset > limit:
                raise self._rewound()
            if size < limit:
                raise self._shorter(self._epoch)
            file.seek(self._offset)
            rest = b""
            while True:
                block = file.read(min(_BLOCK, limit - self._offset - len(rest)))
                lines, newline, rest = (rest + block).rpartition(b"\n")
                lines += newline
                at_end = self._offset + len(lines) + len(rest) >= limit or not block
                if end is None and b"\0" in lines:
                    # Zeros are blocks that a crash of the machine lost; nothing behind them was ever synced.
                    lines = lines[: lines.rfind(b"\n", 0, lines.index(b"\0")) + 1]
                    at_end = True
                events, used = self._decode(lines, torn_tail=at_end and end is None and not rest)
                yield from events
                self._offset += used
                if at_end:
                    break
            if end is not None and self._offset != end:
                raise self._damaged(self._offset)

    def _decode(self, lines: bytes, torn_tail: bool) -> Tuple[List[Event], int]:
        """The events of whole lines, and the bytes they take; less than all when the last line is a torn tail."""
        try:
            return decode_lines(lines), len(lines)
        except ValueError:
            pass
        events: List[Event] = []
        used = 0
        for line in lines.splitlines(keepends=True):
            # A line of spaces is what a person made of a damaged one.
            if line.strip(b" \n"):
                try:
                    events += decode_lines(line)
                except ValueError as error:
                    if torn_tail and used + len(line) == len(lines):
                        break
                    raise self._damaged(self._offset + used) from error
            used += len(line)
        return events, used

    def _damaged(self, offset: int) -> StoreError:
        path = segment_path(self._directory, self._epoch)
        with open(path, "rb") as file:
            line = file.read(offset).count(b"\n") + 1
        return StoreError(
            f"{path}:{line}: the journal is damaged, this line is not a JSON object",
            hint="Restore the file from a backup, or overwrite the line with as many spaces to go on without it.",
        )

    def _shorter(self, epoch: int) -> StoreError:
        return StoreError(
            f"{segment_path(self._directory, epoch)}: the end of the file is missing, the next segment counts on it",
            hint="Restore the file from a backup.",
        )

    def _rewound(self) -> JournalRewound:
        path = segment_path(self._directory, self._epoch)
        return JournalRewound(f"{path}: byte {self._offset} is no longer part of the journal", hint="Read it anew.")
