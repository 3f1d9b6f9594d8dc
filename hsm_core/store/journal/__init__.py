"""The journal: an append-only chain of segments, one for each controller that ever held the sweep.

It is the one truth about a sweep; every other file is a view of it. `segments` knows the bytes, `Follower` reads them,
`JournalWriter` writes them, and the engine alone knows what the events mean. The format is described in
`docs/reference/journal.md`.
"""

from __future__ import annotations

from .follower import Follower, JournalRewound, created_at, read
from .segments import FORMAT, START, Position, newest_epoch
from .writer import JournalFull, JournalWriter

__all__ = [
    "FORMAT",
    "START",
    "Follower",
    "JournalFull",
    "JournalRewound",
    "JournalWriter",
    "Position",
    "created_at",
    "newest_epoch",
    "read",
]
