"""A queue into which any thread, and a signal's handler, may put, and from which one thread takes."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import Generic, List, Optional, TypeVar

__all__ = ["Inbox"]

_Item = TypeVar("_Item")

_SHORTEST_WAIT_S = 0.01


class Inbox(Generic[_Item]):
    """Items in the order in which they were put.

    A `SimpleQueue`, because its `put` may interrupt itself. But where its `get` finds, after it has looked once, that
    less than no time is left, CPython 3.8 to 3.11 wait for ever: a wait must be none at all, or not too short.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Item] = SimpleQueue()

    def put(self, item: _Item) -> None:
        """Add an item; never waits."""
        self._queue.put(item)

    def take(self, timeout_s: float) -> Optional[_Item]:
        """The next item, or None when none has come for so long."""
        try:
            if timeout_s <= 0:
                return self._queue.get_nowait()
            return self._queue.get(timeout=max(timeout_s, _SHORTEST_WAIT_S))
        except Empty:
            return None

    def take_all(self, timeout_s: float) -> List[_Item]:
        """Everything that has come; waits for the first item, but no longer than this."""
        items: List[_Item] = []
        item = self.take(timeout_s)
        while item is not None:
            items.append(item)
            item = self.take(0)
        return items
