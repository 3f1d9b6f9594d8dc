"""What the options of a batch source say, defaults included: those that every scheduler has are read here alone."""

from __future__ import annotations

from typing import Any, Dict

from ..contract import SourceContext, SourceSpec, TaskResources
from .batch_request import tasks_at_once

__all__ = ["Settings"]

_AUTO = "auto"
"""A task in each element, and more where they are short."""
_HELP_S = 600.0
"""An element begins tasks of others until its job is so old: long beside what a job costs, short beside a walltime."""
_CALLS_PER_MINUTE = 30


class Settings:
    """The options of a source, checked by `batch_schema`."""

    def __init__(self, spec: SourceSpec) -> None:
        options = spec.options
        wanted = options.get("tasks_per_job", _AUTO)
        self._spec = spec
        self.helps: bool = wanted == _AUTO
        """An element that is done with its own tasks takes those of others."""
        self.tasks_per_job = 1 if self.helps else max(1, int(wanted))
        self.poll_s = float(options.get("poll", 5.0))
        self.lost_grace_s = float(options.get("lost_grace", 30.0))
        self.requeue = bool(options.get("requeue", False))
        self.calls_per_minute = int(options.get("calls_per_minute", _CALLS_PER_MINUTE))

    def elements_at_once(self, slots: int) -> int:
        """How many elements may run at once, so that no more tasks do than there are slots."""
        return max(1, slots // tasks_at_once(self._spec.options))

    def head(self, context: SourceContext, name: str, resources: TaskResources) -> Dict[str, Any]:
        """What every element of a job has to know: the first line of the job's file."""
        init = {
            "sweep_id": context.sweep_id,
            "source": self._spec.id,
            "sweep_dir": context.sweep_dir,
            "project_dir": context.project_dir,
            "slots": tasks_at_once(self._spec.options),
            "env": dict(context.env),
            "setup": list(context.setup),
            "grace_s": float(self._spec.options.get("grace", context.grace_s)),
        }
        return {
            "name": name,
            "walltime_s": resources.walltime_s,
            "warning_s": self._spec.options.get("warning"),
            "requeue": self.requeue,
            "help_s": _HELP_S if self.helps else 0.0,
            "init": init,
        }
