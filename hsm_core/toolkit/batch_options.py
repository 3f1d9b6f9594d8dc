"""The options of every batch source, as a schema: a plugin adds those of its scheduler."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from .pool_options import FAR_OPTIONS

__all__ = ["BATCH_OPTIONS", "batch_schema", "one_line"]


def one_line(description: str) -> Mapping[str, Any]:
    """A text that can stand in a directive."""
    return {
        "description": description,
        "type": "string",
        "minLength": 1,
        # `not` rather than a pattern with `$`, which would let a last newline pass.
        "not": {"pattern": "[\\x00-\\x1f\\x7f]"},
        "x-expects": "text on one line, without control characters",
    }


def _number(description: str, least: float, kind: str = "number") -> Mapping[str, Any]:
    return {"description": description, "type": kind, "minimum": least}


def _lines(description: str) -> Mapping[str, Any]:
    return {"description": description, "type": "array", "items": one_line("A line.")}


BATCH_OPTIONS: Mapping[str, Any] = {
    "tasks_per_job": {
        "description": "Tasks that one element of an array runs after one another; `auto`: several if they are short.",
        "anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}],
    },
    "tasks_at_once": _number("How many of those it runs beside each other.", 1, "integer"),
    "modules": {**_lines("Environment modules that a job loads."), "x-per-task": True},
    "setup": {**_lines("Shell lines of the job's script, before anything else."), "x-per-task": True},
    "python": one_line("The interpreter that runs the runner on the nodes: Python 3.6 or newer."),
    "host": one_line("A machine where the cluster's commands are, such as `ssh:login1`; this one by default."),
    "host_options": {"description": "How that machine is reached: the options of its kind.", "type": "object"},
    "project": one_line("The project's folder there, which is the user's own copy."),
    **{name: schema for name, schema in FAR_OPTIONS.items() if name != "python"},
    "warning": _number("Seconds before the walltime at which programs that listen get USR1.", 0),
    "requeue": {
        "description": "A task that its walltime ended goes on in another job, from what it saved itself.",
        "type": "boolean",
    },
    "poll": _number("Seconds between two questions to the scheduler, at the least.", 1),
    "calls_per_minute": _number("How many questions a minute all hsm of this user may ask from here.", 1, "integer"),
    "lost_grace": _number("Seconds that files may take to be seen here after their job is over.", 0),
    "grace": _number("Seconds between asking a task to end (TERM) and ending it (KILL).", 0),
}
"""What `BatchSource` understands, whatever the scheduler."""


def batch_schema(scheduler: Mapping[str, Any]) -> Dict[str, Any]:
    """The schema of a batch source's options.

    :param scheduler: the properties that its dialect understands besides: directives, which tasks may have otherwise.
    """
    directives = {name: {**schema, "x-per-task": True} for name, schema in scheduler.items()}
    return {"type": "object", "additionalProperties": False, "properties": {**BATCH_OPTIONS, **directives}}
