"""errors/failed_tasks.yaml and error_patterns.yaml: which tasks failed, and what their failures have in common."""

from __future__ import annotations

from typing import Any, Dict, List

from ...contract import TaskState
from ...engine.events import Event
from ...engine.reduce import signature_of, verdict_of
from ...flatyaml import value_text
from ..layout import task_id
from .words import how_it_ended, one_line, stamp

__all__ = ["FailureBook"]

_MAX_TASKS = 1000
_MAX_PATTERNS = 200
_MAX_EXAMPLES = 10
_BAD = (TaskState.FAILED, TaskState.TIMEOUT, TaskState.LOST)


class _Pattern:
    __slots__ = ("count", "ended", "examples", "first", "last")

    def __init__(self, first: float, ended: str) -> None:
        self.count = 0
        self.examples: List[int] = []
        self.ended = ended
        self.first = self.last = first


class FailureBook:
    """Failures as they come, bounded: the first thousand tasks by name, the others counted."""

    def __init__(self) -> None:
        self.dirty = False
        self._total = 0
        self._tasks: Dict[int, Dict[str, Any]] = {}
        self._unlisted = 0
        self._patterns: Dict[str, _Pattern] = {}
        self._other_patterns = 0

    def take(self, event: Event) -> None:
        """Note what an event says of a failure."""
        name = event["e"]
        if name == "ended":
            verdict = verdict_of(event["record"])
            if verdict in _BAD:
                self._failed(event, verdict, event["record"])
        elif name == "lost":
            self._failed(event, TaskState.LOST, {"reason": event["reason"]})
        elif name == "unplaceable":
            self._failed(event, TaskState.FAILED, {"reason": event["reason"]})
        elif name == "restored":
            self._restored(event["states"])
        elif name == "created":
            self._total = event["total"]

    def _failed(self, event: Event, verdict: TaskState, record: Dict[str, Any]) -> None:
        self.dirty = True
        index, attempt = event["task"]
        signature = one_line(signature_of(record))
        ended = how_it_ended(record)
        self._note_pattern(signature, ended, index, event["t"])
        if event.get("again"):
            return
        if len(self._tasks) >= _MAX_TASKS:
            self._unlisted += 1
            return
        self._tasks[index] = {
            "status": verdict.value,
            "attempt": attempt,
            "ended": ended,
            "at": stamp(event["t"]),
            "signature": signature,
        }

    def _note_pattern(self, signature: str, ended: str, index: int, t: float) -> None:
        pattern = self._patterns.get(signature)
        if pattern is None:
            if len(self._patterns) >= _MAX_PATTERNS:
                self._other_patterns += 1
                return
            pattern = self._patterns[signature] = _Pattern(t, ended)
        pattern.count += 1
        pattern.last = t
        if len(pattern.examples) < _MAX_EXAMPLES and index not in pattern.examples:
            pattern.examples.append(index)

    def _restored(self, states: List[str]) -> None:
        """Tasks that wait again have not failed for good."""
        self.dirty = True
        self._tasks = {index: task for index, task in self._tasks.items() if task["status"] not in states}
        if TaskState.FAILED.value in states:
            self._unlisted = 0

    def failed_tasks(self) -> str:
        """Text of failed_tasks.yaml."""
        lines = ["# Tasks that failed for good. A view of the journal.\n", f"not_listed: {self._unlisted}\n"]
        lines.append("tasks:\n" if self._tasks else "tasks: {}\n")
        lines += [
            f"  {task_id(index, self._total)}: {value_text(self._tasks[index])}\n" for index in sorted(self._tasks)
        ]
        return "".join(lines)

    def error_patterns(self) -> str:
        """Text of error_patterns.yaml: failed attempts, retried ones too, the most frequent pattern first."""
        lines = ["# Failed attempts that ended with the same words, numbers and paths apart.\n"]
        lines.append(f"not_listed: {self._other_patterns}\n")
        lines.append("patterns:\n" if self._patterns else "patterns: []\n")
        for signature, pattern in sorted(self._patterns.items(), key=lambda item: (-item[1].count, item[0])):
            fields = {
                "signature": signature,
                "count": pattern.count,
                "ended": pattern.ended,
                "first_at": stamp(pattern.first),
                "last_at": stamp(pattern.last),
                "tasks": [task_id(index, self._total) for index in pattern.examples],
            }
            lines.append(f"- {value_text(fields)}\n")
        return "".join(lines)
