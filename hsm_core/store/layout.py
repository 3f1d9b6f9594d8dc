"""Where everything of a project and a sweep is: the only place that knows a path or the form of a name."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from ..errors import NotFoundError, UsageError
from .files import StrPath

__all__ = ["ProjectLayout", "SweepLayout", "check_sweep_id", "new_sweep_id", "task_id", "task_index"]

_MAX_SWEEP_ID = 100
_TASK = re.compile(r"(?:task_)?([0-9]{1,20})")


class ProjectLayout:
    """The files of a project.

    :param root: the project's folder; made absolute, symbolic links are kept.
    """

    def __init__(self, root: StrPath) -> None:
        self.root = Path(os.path.abspath(root))
        self.config = self.root / "hsm_config.yaml"
        self.sweeps = self.root / "sweeps"
        self.sweep_config = self.sweeps / "sweep_config.yaml"
        self.readme = self.sweeps / "README.md"
        self.outputs = self.sweeps / "outputs"

    def sweep(self, sweep_id: str) -> SweepLayout:
        """The sweep of that id, which need not exist. :raises UsageError: it cannot be an id."""
        return SweepLayout(self.outputs / check_sweep_id(sweep_id))

    def __repr__(self) -> str:
        return f"ProjectLayout({str(self.root)!r})"


class SweepLayout:
    """The files of a sweep.

    :param root: the sweep's folder, whose name is the sweep's id; made absolute, symbolic links are kept.
    """

    def __init__(self, root: StrPath) -> None:
        self.root = Path(os.path.abspath(root))
        self.config = self.root / "sweep_config.yaml"
        self.metadata = self.root / "sweep_metadata.yaml"
        self.mapping = self.root / "task_mapping.yaml"
        self.tasks = self.root / "tasks"

        self.logs = self.root / "logs"
        self.sweep_log = self.logs / "sweep.log"
        self.aggregated_log = self.logs / "sweep_aggregated.log"
        self.assignments_log = self.logs / "task_assignments.log"
        self.utilization_log = self.logs / "source_utilization.log"
        self.health_log = self.logs / "health_status.log"
        self.source_logs = self.logs / "sources"
        self.errors = self.logs / "errors"
        self.failed_tasks = self.errors / "failed_tasks.yaml"
        self.error_patterns = self.errors / "error_patterns.yaml"

        self.scripts = self.root / "scripts"
        self.job_scripts = self.scripts / "job_scripts"
        self.setup_scripts = self.scripts / "setup_scripts"

        self.reports = self.root / "reports"
        self.completion_report = self.reports / "completion_report.html"
        self.performance_report = self.reports / "performance_analysis.yaml"
        self.error_report = self.reports / "error_analysis.html"

        self.private = self.root / ".hsm"
        self.journal = self.private / "journal"
        self.leases = self.private / "leases"
        self.requests = self.private / "requests"
        self.runners = self.private / "runners"
        self.runner = self.private / "runner.py"
        self.summary = self.private / "summary.json"

    @property
    def sweep_id(self) -> str:
        """The sweep's id."""
        return self.root.name

    def task_dir(self, task_id: str) -> Path:
        """The folder of a task, by its id as `task_id` makes it."""
        return self.tasks / task_id

    def source_log(self, name: str) -> Path:
        """The log of a source; a name that cannot be one of a file has its odd characters replaced."""
        return self.source_logs / (re.sub(r"[^\w.@+-]", "_", name).lstrip(".-") + ".log")

    def __repr__(self) -> str:
        return f"SweepLayout({str(self.root)!r})"


def task_id(index: int, total: int) -> str:
    """The id of a task, counted from 1: `task_001`, with more digits where the sweep's `total` needs them."""
    return f"task_{index + 1:0{max(3, len(str(total)))}d}"


def task_index(text: str, total: int) -> int:
    """The index, from 0, of the task that a person names by `task_007`, `task_7` or `7`.

    :raises UsageError: the text names no task.
    :raises NotFoundError: the sweep has no such task.
    """
    match = _TASK.fullmatch(text)
    if not match:
        raise UsageError(f"{text!r} is not a task", hint="Name a task as in: task_007, or 7")
    index = int(match.group(1)) - 1
    if not 0 <= index < total:
        last = f"{task_id(0, total)} to {task_id(total - 1, total)}" if total else "no tasks"
        raise NotFoundError(f"there is no task {text}; the sweep has {last}")
    return index


def new_sweep_id(now: float) -> str:
    """The id of a sweep that begins at `now`, Unix seconds: `sweep_20231201_143022`, in local time."""
    return time.strftime("sweep_%Y%m%d_%H%M%S", time.localtime(now))


def check_sweep_id(text: str) -> str:
    """The text itself, which can be a sweep's id, or the beginning of one.

    :raises UsageError: it cannot: it would name another folder, an option or nothing, or break a line.
    """
    problem = None
    if not text:
        problem = "it is empty"
    elif len(text) > _MAX_SWEEP_ID:
        problem = f"it has {len(text)} characters, more than {_MAX_SWEEP_ID}"
    elif "/" in text or "\\" in text:
        problem = "it has a slash"
    elif text[0] in "-.":
        problem = f"it begins with {text[0]!r}"
    elif not text.isprintable() or text != text.strip():
        problem = "it has a control character, or a space at an end"
    if problem:
        raise UsageError(
            f"{_shown(text)} cannot be the id of a sweep: {problem}",
            hint="Use letters, digits, '_', '-' and '.', as in sweep_20231201_143022",
        )
    return text


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:37] + "...")
