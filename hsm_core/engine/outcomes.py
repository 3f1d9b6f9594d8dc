"""How finished tasks ended, in about 25 bytes each, for any subset of any number of tasks."""

from __future__ import annotations

from array import array
from typing import Dict, Iterator, NamedTuple, Optional

from ..contract import TaskState

__all__ = ["Outcome", "Outcomes"]

_CHUNK = 1024
_CODES = {state: code for code, state in enumerate(TaskState, start=1)}
_STATES = {code: state for state, code in _CODES.items()}


class Outcome(NamedTuple):
    """How one task ended.

    :param exit: the exit code, or minus the signal's number; None when nothing is known.
    :param source: number of the source in the order in which the sweep met them, from 0; -1 for none.
    :param started_at: Unix seconds by the clock of the host, 0.0 when it never started.
    :param duration_s: seconds by the monotonic clock of that host.
    :param max_rss_mb: the peak of its memory in MiB, 0.0 when not known.
    """

    state: TaskState
    attempt: int
    exit: Optional[int] = None
    source: int = -1
    started_at: float = 0.0
    duration_s: float = 0.0
    max_rss_mb: float = 0.0


_NO_EXIT = -32768


class _Chunk:
    """Columns for `_CHUNK` neighbouring tasks: numbers in arrays, not a million objects."""

    __slots__ = ("attempt", "duration_s", "exit", "max_rss_mb", "source", "started_at", "state")

    def __init__(self) -> None:
        self.state = array("B", bytes(_CHUNK))
        self.attempt = array("H", bytes(2 * _CHUNK))
        self.exit = array("h", bytes(2 * _CHUNK))
        self.source = array("h", bytes(2 * _CHUNK))
        self.started_at = array("d", bytes(8 * _CHUNK))
        self.duration_s = array("d", bytes(8 * _CHUNK))
        self.max_rss_mb = array("f", bytes(4 * _CHUNK))


class Outcomes:
    """A sparse table, task index -> Outcome."""

    def __init__(self) -> None:
        self._chunks: Dict[int, _Chunk] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, index: int) -> bool:
        chunk = self._chunks.get(index // _CHUNK)
        return chunk is not None and chunk.state[index % _CHUNK] != 0

    def get(self, index: int) -> Optional[Outcome]:
        """How the task ended, or None when it has not."""
        chunk = self._chunks.get(index // _CHUNK)
        row = index % _CHUNK
        if chunk is None or chunk.state[row] == 0:
            return None
        code = chunk.exit[row]
        return Outcome(
            _STATES[chunk.state[row]],
            chunk.attempt[row],
            None if code == _NO_EXIT else code,
            chunk.source[row],
            chunk.started_at[row],
            chunk.duration_s[row],
            chunk.max_rss_mb[row],
        )

    def state(self, index: int) -> Optional[TaskState]:
        """The final state alone, without the cost of the rest."""
        chunk = self._chunks.get(index // _CHUNK)
        return _STATES.get(chunk.state[index % _CHUNK]) if chunk is not None else None

    def set(self, index: int, outcome: Outcome) -> None:
        """Note how the task ended."""
        chunk = self._chunks.get(index // _CHUNK)
        if chunk is None:
            chunk = self._chunks[index // _CHUNK] = _Chunk()
        row = index % _CHUNK
        self._size += chunk.state[row] == 0
        chunk.state[row] = _CODES[outcome.state]
        chunk.attempt[row] = min(outcome.attempt, 65535)
        chunk.exit[row] = _NO_EXIT if outcome.exit is None else outcome.exit
        chunk.source[row] = outcome.source
        chunk.started_at[row] = outcome.started_at
        chunk.duration_s[row] = outcome.duration_s
        chunk.max_rss_mb[row] = outcome.max_rss_mb

    def pop(self, index: int) -> Optional[Outcome]:
        """Forget how the task ended, because it runs again."""
        outcome = self.get(index)
        if outcome is not None:
            self._chunks[index // _CHUNK].state[index % _CHUNK] = 0
            self._size -= 1
        return outcome

    def count_from(self, start: int) -> int:
        """How many tasks with an index of at least `start` have ended."""
        return sum(
            sum(1 for row in range(max(0, start - number * _CHUNK), _CHUNK) if chunk.state[row])
            for number, chunk in self._chunks.items()
            if (number + 1) * _CHUNK > start
        )

    def indices(self) -> Iterator[int]:
        """Indices of the finished tasks, ascending."""
        for number in sorted(self._chunks):
            states = self._chunks[number].state
            for row in range(_CHUNK):
                if states[row]:
                    yield number * _CHUNK + row
