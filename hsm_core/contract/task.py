"""Tasks, their states and their exit records: the values that core and sources exchange."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, FrozenSet, Mapping, Optional, Tuple

__all__ = ["FINAL_STATES", "Attempt", "ExitRecord", "TaskResources", "TaskSpec", "TaskState"]

Attempt = Tuple[int, int]
"""(task index from 0, attempt number from 1): names one try of one task."""

ExitRecord = Mapping[str, Any]
"""What the runner wrote when a task ended; the keys are listed in `docs/reference/exit-record.md`.

`state` (completed, failed, timeout, cancelled, preempted), `exit_code` or `signal`, `started_at` (Unix seconds by
the clock of the host it ran on), `duration_s` (monotonic clock of that host), `max_rss_mb`, `cpu_s`, `host`, `pid`,
`slot`, `oom_killed`.
"""


class TaskState(str, enum.Enum):
    """Where a task stands. All states of a sweep always sum to its total."""

    PENDING = "pending"
    """Declared; nothing has been asked of any source, or it waits for its next attempt."""
    ASSIGNED = "assigned"
    """A source was chosen and the intention journalled; the source has not answered yet."""
    SUBMITTED = "submitted"
    """The source accepted it; it waits there for its turn."""
    RUNNING = "running"
    """Its program was started and has not been seen to end."""
    COLLECTING = "collecting"
    """Its exit record exists; its files are on the way home."""
    COMPLETED = "completed"
    """Final: an exit record says that the program ended with code 0."""
    FAILED = "failed"
    """Final: an exit record says that the program ended badly, and no retries are left."""
    CANCELLED = "cancelled"
    """Final: a person ended it, or it before it began."""
    TIMEOUT = "timeout"
    """Final: it was stopped at its time limit."""
    LOST = "lost"
    """Final until `hsm complete`: no evidence of how it ended, after the rules for lost tasks have run."""
    HELD = "held"
    """The backend, or its administrator, holds it back."""


FINAL_STATES: FrozenSet[TaskState] = frozenset(
    {TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED, TaskState.TIMEOUT, TaskState.LOST}
)


@dataclass(frozen=True)
class TaskResources:
    """What one task needs. Sources ignore what they cannot give out, unless it is more than they have.

    :param options: options of the source (`partition`) that this task wants otherwise, of those which its schema marks
        with `x-per-task`: pairs of name and value, sorted by name; lists are tuples.
    """

    cpus: Optional[int] = None
    memory_mb: Optional[int] = None
    gpus: int = 0
    gpu_type: Optional[str] = None
    walltime_s: Optional[float] = None
    native: Tuple[str, ...] = ()
    options: Tuple[Tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class TaskSpec:
    """One attempt of one task, ready to run: nothing in it is ever read by a shell.

    `files` maps names to texts that are written into the task's folder before the program starts (`params.yaml`).
    `env` holds the task's own additions only; the source adds the sweep's and its own.
    """

    index: int
    attempt: int
    task_id: str
    argv: Tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    timeout_s: Optional[float] = None
    resources: TaskResources = field(default_factory=TaskResources)
