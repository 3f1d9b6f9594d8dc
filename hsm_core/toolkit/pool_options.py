"""The options of every source that is a pool of slots on a host, as a schema: a plugin adds its own."""

from __future__ import annotations

from typing import Any, Dict, Mapping

__all__ = ["POOL_OPTIONS", "pool_schema"]

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


def pool_schema(more: Mapping[str, Any]) -> Dict[str, Any]:
    """The schema of a pool's options.

    :param more: the properties that this kind of host understands besides.
    """
    return {"type": "object", "additionalProperties": False, "properties": {**POOL_OPTIONS, **more}}
