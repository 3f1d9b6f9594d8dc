"""A task as the runner's protocol has it."""

from __future__ import annotations

from typing import Any, Dict

from ..contract import TaskSpec

__all__ = ["payload"]


def payload(task: TaskSpec) -> Dict[str, Any]:
    """What the runner needs to know of a task; plain JSON."""
    payload: Dict[str, Any] = {
        "i": task.index,
        "a": task.attempt,
        "id": task.task_id,
        "argv": task.argv,
        "env": task.env,
        "files": task.files,
    }
    if task.timeout_s is not None:
        payload["timeout"] = task.timeout_s
    if task.resources.cpus is not None:
        payload["cpus"] = task.resources.cpus
    if task.resources.gpus:
        payload["gpus"] = task.resources.gpus
    return payload
