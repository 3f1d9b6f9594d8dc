"""The bytes of a journal segment: its name, its first line, and the lines that follow."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, cast

from ...engine.events import Event
from ...errors import StoreError
from ..files import StrPath

__all__ = [
    "FORMAT",
    "START",
    "Header",
    "Position",
    "decode_lines",
    "encode_header",
    "encode_lines",
    "epochs",
    "newest_epoch",
    "read_header",
    "segment_path",
]

FORMAT = (1, 0)
"""Major and minor version. A reader refuses a newer major; a newer minor only adds what an older reader may ignore."""

_NAME = re.compile(r"([0-9]{4,})\.jsonl")
_MAX_HEADER = 65536
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Position(NamedTuple):
    """A place between two lines of the journal: a segment's epoch, and an offset in its bytes."""

    epoch: int
    offset: int


START = Position(0, 0)
"""The position before the first event of any journal."""


@dataclass(frozen=True)
class Header:
    """A segment's first line.

    :param previous: where the part of the journal that counts before this segment ends; None for the first one.
        What stands behind it in the earlier segment, or in segments that are skipped, was written by a controller
        that no longer held the sweep, or was torn by a crash.
    :param at: when it was made, Unix seconds by the clock of the controller.
    :param length: its own length in bytes, so that the first event stands there.
    """

    sweep_id: str
    epoch: int
    at: float
    previous: Optional[Position]
    length: int


def segment_path(directory: StrPath, epoch: int) -> str:
    """The segment's file."""
    return os.path.join(directory, f"{epoch:04d}.jsonl")


def epochs(directory: StrPath) -> List[int]:
    """The epochs that have a file, lowest first; none when the directory is not there."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(int(match.group(1)) for match in map(_NAME.fullmatch, names) if match)


def newest_epoch(directory: StrPath) -> int:
    """The highest epoch that has a file, or 0."""
    return max(epochs(directory), default=0)


def encode_header(sweep_id: str, epoch: int, at: float, previous: Optional[Position]) -> bytes:
    """The first line of a new segment."""
    header = {"hsm_journal": FORMAT, "sweep_id": sweep_id, "epoch": epoch, "at": at, "previous": previous}
    return (_encode(header) + "\n").encode("ascii")


def read_header(directory: StrPath, epoch: int) -> Optional[Header]:
    """A segment's first line, or None when a crash, or its writer until now, left it without a whole one.

    :raises StoreError: the file cannot be read, is no journal, or was written by a newer major version.
    """
    path = segment_path(directory, epoch)
    try:
        with open(path, "rb") as file:
            line = file.readline(_MAX_HEADER)
    except OSError as error:
        raise StoreError(f"cannot read the journal {path}: {error.strerror}") from error
    if not line.endswith(b"\n") or b"\0" in line:
        return None
    try:
        header = json.loads(line)
        major, minor = header["hsm_journal"]
        if major <= FORMAT[0]:
            previous = header["previous"]
            result = Header(
                sweep_id=str(header["sweep_id"]),
                epoch=int(header["epoch"]),
                at=float(header["at"]),
                previous=None if previous is None else Position(*map(int, previous)),
                length=len(line),
            )
            if result.epoch == epoch and (result.previous is None or result.previous.epoch < epoch):
                return result
    except (ValueError, TypeError, KeyError):
        pass
    else:
        if major > FORMAT[0]:
            raise StoreError(
                f"{path} has journal format {major}.{minor}, this hsm reads {FORMAT[0]}.x",
                hint="Upgrade here: pip install --upgrade hsm-core",
            )
    raise StoreError(
        f"{path}:1: the first line is not the header of journal segment {epoch}",
        hint="Restore the file from a backup, under the name it had.",
    )


def encode_lines(events: List[Event]) -> bytes:
    """One line of JSON for each event."""
    return "".join([_encode(event) + "\n" for event in events]).encode("ascii")


def decode_lines(data: bytes) -> List[Event]:
    """The events of some whole lines. :raises ValueError: some line is not a JSON object."""
    # One call for all lines takes a third of the time of one call a line; JSON text has no newline within a line.
    events = json.loads(b"[" + data[:-1].replace(b"\n", b",") + b"]")
    # Two broken lines may join to one good value; then the number tells.
    if len(events) != data.count(b"\n") or not all(type(event) is dict for event in events):
        raise ValueError("a line is not a JSON object")
    return cast("List[Event]", events)
