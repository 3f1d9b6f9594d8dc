"""What a job asks for: from a source's options and what its tasks want to a `JobRequest`. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence, Tuple

from ..contract import TaskResources
from .dialect import JobRequest

__all__ = ["job_request", "tasks_at_once"]


def tasks_at_once(options: Mapping[str, Any]) -> int:
    """How many tasks a job, or an element of an array, runs beside each other."""
    return max(1, int(options.get("tasks_at_once", 1)))


def job_request(
    options: Mapping[str, Any],
    name: str,
    resources: TaskResources,
    command: Sequence[str],
    *,
    folder: str,
    output: str,
    size: int = 1,
    at_once: Optional[int] = None,
    after: Tuple[str, ...] = (),
    exclude: Tuple[str, ...] = (),
) -> JobRequest:
    """A job whose elements run tasks that want these resources each; the rest is `JobRequest`'s.

    :param options: of the source, checked by its schema; those of the tasks come before them.
    """
    options = {**options, **dict(resources.options)}
    beside = tasks_at_once(options)
    cpus, memory = resources.cpus, resources.memory_mb
    return JobRequest(
        name=name,
        command=tuple(command),
        folder=folder,
        output=output,
        size=size,
        at_once=at_once,
        after=after,
        cpus=beside if cpus is None and beside > 1 else cpus and cpus * beside,
        memory_mb=memory and memory * beside,
        gpus=resources.gpus * beside,
        gpu_type=resources.gpu_type,
        walltime_s=resources.walltime_s,
        warning_s=options.get("warning"),
        exclude=exclude,
        options=options,
        native=resources.native,
        modules=tuple(options.get("modules", ())),
        setup=tuple(options.get("setup", ())),
    )
