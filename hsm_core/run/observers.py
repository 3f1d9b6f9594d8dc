"""Plugins that watch (`hsm_event`): told in a thread of their own what is in the journal, and never in anyone's way."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any, Callable, Optional, Sequence, Set, Tuple

from ..engine.events import Event

__all__ = ["Observers"]

_PATIENCE_S = 5.0
"""How long the end of a sweep waits for trackers that are behind."""


class Observers:
    """Hands events to every implementation of `hsm_event`, in order. One that raises is named once, and goes on.

    :param implementations: (plugin, function) pairs.
    :param tell: takes a line for a person.
    """

    def __init__(self, implementations: Sequence[Tuple[str, Callable[..., Any]]], tell: Callable[[str], None]) -> None:
        self._implementations = implementations
        self._tell = tell
        self._named: Set[str] = set()
        self._queue: SimpleQueue[Optional[Event]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="observers", daemon=True)
        self._thread.start()

    def take(self, events: Sequence[Event]) -> None:
        """These events are in the journal."""
        for event in events:
            self._queue.put(event)

    def flush(self, now: float, force: bool = False) -> None:
        """At the end, wait a little for those who are behind."""
        if force:
            self._queue.put(None)
            self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        while True:
            event = self._queue.get()
            if event is None:
                return
            for name, function in self._implementations:
                try:
                    function(dict(event))
                except Exception as error:
                    # Somebody else's tracker must not cost a sweep anything but this line.
                    if name not in self._named:
                        self._named.add(name)
                        self._tell(f"plugin {name} failed on an event: {type(error).__name__}: {error}")
