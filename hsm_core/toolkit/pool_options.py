"""The options of every source that is a pool of slots on a host, as a schema: a plugin adds its own."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ..config.units import MEMORY

__all__ = ["FAR_OPTIONS", "POOL_OPTIONS", "pool_schema"]

POOL_OPTIONS: Mapping[str, Any] = {
    "gpus": {
        "description": "GPUs to give out: `auto` for all there are, a number, or a list of device ids.",
        "anyOf": [
            {"const": "auto"},
            {"type": "integer", "minimum": 0},
            {"type": "array", "items": {"type": ["integer", "string"]}, "uniqueItems": True},
        ],
    },
    "pin_cores": {"description": "Keep each slot on cores of its own.", "type": "boolean"},
    "grace": {
        "description": "Seconds between asking a task to end (TERM) and ending it (KILL).",
        "type": "number",
        "minimum": 0,
    },
}
"""What `PoolSource` understands, wherever the host is."""

FAR_OPTIONS: Mapping[str, Any] = {
    "python": {
        "description": "The interpreter there that runs the runner: Python 3.6 or newer; `python3` by default.",
        "type": "string",
    },
    "scratch": {
        "description": "The folder there in which sweeps have theirs while they run; `~/.hsm/sweeps` by default.",
        "type": "string",
        "pattern": "^(~/|/)[^\\x00-\\x1f]*$",
        "x-expects": "a path that begins with / or ~/",
    },
    "keep_remote": {"description": "Leave the tasks' files there when they are home.", "type": "boolean"},
    "max_task_size": {
        "description": "The most that one task may bring home, `50G` by default; what goes beyond is left there.",
        "type": "string",
        "pattern": MEMORY,
        "x-expects": "a size such as 50G",
    },
}
"""What every source understands whose files are on another machine."""


def pool_schema(more: Mapping[str, Any]) -> Dict[str, Any]:
    """The schema of a pool's options.

    :param more: the properties that this kind of host understands besides.
    """
    return {"type": "object", "additionalProperties": False, "properties": {**POOL_OPTIONS, **more}}
