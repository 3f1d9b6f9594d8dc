"""What `hsm_config.yaml` may say: one JSON schema, the truth for checking, editing and the documentation.

Every key has a `description`, which the guide and `hsm config show` print, and where it has one its `default`.
`x-expects` is how messages describe what a value should have been.
"""

from __future__ import annotations

from typing import Any, Dict

from .units import DURATION, MEMORY

__all__ = ["RESOURCES", "SCHEMA", "SWEEP_RESOURCES"]

Schema = Dict[str, Any]

# Texts with these are refused: `not` rather than a pattern with `$`, which in Python would let a last newline pass.
_CONTROLS: Schema = {"type": "string", "pattern": "[\\x00-\\x1f\\x7f]"}
_NUL: Schema = {"type": "string", "pattern": "\\x00"}


def _text(description: str, **more: Any) -> Schema:
    expects = "text on one line, without control characters"
    return {
        "type": "string",
        "minLength": 1,
        "not": _CONTROLS,
        "x-expects": expects,
        "description": description,
        **more,
    }


def _duration(description: str, **more: Any) -> Schema:
    return {
        "anyOf": [{"type": "number", "minimum": 0, "exclusiveMaximum": 1e10}, {"type": "string", "pattern": DURATION}],
        "x-expects": 'a duration: seconds, or "90m", "2h30m", "1:30:00"',
        "description": description,
        **more,
    }


def _count(description: str, least: int, **more: Any) -> Schema:
    expects = f"a whole number, at least {least}"
    return {"type": "integer", "minimum": least, "x-expects": expects, "description": description, **more}


def _memory(description: str, **more: Any) -> Schema:
    expects = 'a size with its unit, such as "512M" or "4G"'
    return {"type": "string", "pattern": MEMORY, "x-expects": expects, "description": description, **more}


def _section(description: str, properties: Dict[str, Schema], **more: Any) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "description": description,
        "properties": properties,
        **more,
    }


def _optional(schema: Schema) -> Schema:
    """The same, but `null` may say that there is none."""
    if "type" in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}


_PROJECT = _section(
    "The program that is swept.",
    {
        "name": _text("The project's name; by default that of its folder."),
        "script": _text("The program, relative to the project's folder."),
        "python": _text("The interpreter that `{python}` in the command stands for.", default="python3"),
        "conda_env": _optional(_text("Name or folder of the conda environment that tasks run in.", default=None)),
        "command": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "string",
                "not": _NUL,
                "x-expects": "text (put numbers in quotes)",
            },
            "description": "The command of a task, word by word; no shell ever reads it. `{python}`, `{script}` and "
            "`{args}` (the parameters) are put in.",
            "default": ["{python}", "{script}", "{args}"],
        },
        "arg_style": {
            "enum": ["hydra", "argparse", "json", "env"],
            "description": "How parameters are passed: `hydra` (`lr=0.1`), `argparse` (`--lr 0.1`), `json` (a file) or "
            "`env` (environment variables).",
            "default": "argparse",
        },
        "env": {
            "type": "object",
            "propertyNames": {
                "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
                "not": {"pattern": "\\n"},
                "x-expects": "made of letters, digits and _",
            },
            "additionalProperties": {
                "type": ["string", "number"],
                "not": _NUL,
                "x-expects": "text or a number (put true, false, yes and no in quotes)",
            },
            "description": "Environment variables of every task.",
            "default": {},
        },
        "setup": {
            "type": "array",
            "items": _text("A line."),
            "description": "Shell lines that prepare the environment of tasks, such as `module load cuda`.",
            "default": [],
        },
    },
)

_COMPUTE = _section(
    "How sweeps are run.",
    {
        "health_check_interval": _duration("How often sources are asked how they are.", default=60),
        "result_collection_interval": _duration("How often results are brought home from remote sources.", default=60),
        "strategy": _text(
            "How tasks are distributed over sources; `hsm plugins` lists what is installed.", default="round_robin"
        ),
        "parallel_limit": _optional(_count("The most tasks that may run at once, over all sources.", 1, default=None)),
        "retries": _count("How many more times a task is tried when its program fails.", 0, default=0),
        "timeout": _optional(_duration("The longest a task may run; then it is stopped.", default=None)),
        "hold_after": _count(
            "Hold the sweep when this many tasks failed alike and none succeeded meanwhile; 0 never holds.",
            0,
            default=10,
        ),
        "max_failures": _optional(_count("Hold the sweep when this many tasks have failed.", 1, default=None)),
        "grace": _duration("How long a task that must stop has to save its state before it is killed.", default=10),
    },
)

_RETRIES = _section(
    "What follows a failure of a class that has a rule of its own; any other failure has `compute.retries`.",
    {
        "back_off": _duration(
            "How long a task waits before it is tried again; twice as long each further time, up to an hour.", default=0
        ),
        "rules": {
            "type": "object",
            "propertyNames": {
                "pattern": "^(timeout|oom|signal|exit|signal_[1-9][0-9]?|exit_[1-9][0-9]{0,2})$",
                "not": {"pattern": "\\n"},
                "x-expects": "timeout, oom, signal, signal_9 (or another number), exit or exit_75 (or another number)",
            },
            "additionalProperties": _section(
                "How often, and how soon, a task is tried again after a failure of this class.",
                {
                    "times": _count("How often a task is tried again after such a failure.", 0),
                    "back_off": _duration("How long it waits at first; by default `retries.back_off`."),
                },
                required=["times"],
            ),
            "description": "Classes of failure that count by themselves: `timeout`, `oom`, `signal` or `signal_9`, "
            "`exit` or `exit_75`; the more particular one comes first.",
            "default": {},
        },
        "on_oom": _optional(
            _section(
                "A task that ended for want of memory runs again with more, which charges none of its retries.",
                {
                    "times": _count("How often a task may be given more.", 1, default=3),
                    "factor": {
                        "type": "number",
                        "exclusiveMinimum": 1,
                        "maximum": 100,
                        "x-expects": "a number above 1, at most 100",
                        "description": "By which its memory grows each time.",
                        "default": 2,
                    },
                    "most": _optional(_memory("The most memory a task is ever given.", default=None)),
                },
                default=None,
            )
        ),
    },
)

_SSH = _section(
    "Connections to every `ssh` source; the rest belongs into `~/.ssh/config`.",
    {
        "compression": {"type": "boolean", "description": "Compress what is sent.", "default": False},
        "connect_timeout": _duration(
            "How long to wait for a connection, from the first packet to being let in.", default=20
        ),
        "keepalive_interval": _duration(
            "How often a connection is asked whether it lives; without an answer for so long it is given up.",
            default=15,
        ),
        "config_file": _optional(_text("A file to read instead of `~/.ssh/config` and the system's.", default=None)),
    },
)

RESOURCES = _section(
    "What one task needs.",
    {
        "cpus": _optional(_count("Processor cores.", 1, default=None)),
        "memory": _optional(_memory("Memory; K, M, G and T are powers of 1024.", default=None)),
        "gpus": _count("GPUs.", 0, default=0),
        "gpu_type": _optional(_text("The kind of GPU, in the scheduler's words.", default=None)),
        "walltime": _optional(_duration("The time a task is given by a scheduler.", default=None)),
        "native": {
            "type": "array",
            "items": _text("A directive."),
            "description": "Directives passed to the scheduler as they are, such as `--partition=gpu`.",
            "default": [],
        },
        "options": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "array"], "items": _text("A line.")},
            "description": "Options of the source that tasks want otherwise, such as `partition`, where it has them.",
            "default": {},
        },
    },
)
"""The `resources` section of `hsm_config.yaml`."""

SWEEP_RESOURCES = _section(
    "What one task needs, and what some tasks need besides.",
    {
        **RESOURCES["properties"],
        "groups": {
            "type": "array",
            "items": _section(
                "Tasks for which a condition holds, and what they need instead.",
                {"where": _text("A condition on parameters, as in the section `where`."), **RESOURCES["properties"]},
                required=["where"],
            ),
            "description": "Tasks that need something else; where several fit, later ones come first.",
            "default": [],
        },
    },
)
"""The `resources` section of `sweep_config.yaml`."""

_SOURCE: Schema = {
    "type": "object",
    "required": ["kind"],
    "properties": {
        "kind": _text("The kind of source, such as `local`, `ssh` or `slurm`; `hsm plugins` lists what is installed."),
        "slots": _count("How many tasks may run there at once.", 1),
        "host": _text("The machine, as `user@host` or a name from `~/.ssh/config`."),
        "project": _text("The project's folder there."),
        "forecast": _section(
            "What `hsm simulate` assumes of it: `speed` (2: twice as fast as 1), `queue_wait` (before a task starts).",
            {
                "speed": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "x-expects": "a number above 0",
                    "description": "How fast tasks run there, beside other sources.",
                },
                "queue_wait": _duration("How long a task waits there before it starts."),
            },
        ),
    },
    # Whatever else stands there is an option of the kind's plugin, which brings a schema of its own.
    "additionalProperties": True,
}

SCHEMA: Schema = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "hsm_config.yaml",
    **_section(
        "Configuration of HPC Sweep Manager.",
        {
            "project": _PROJECT,
            "compute": _COMPUTE,
            "retries": _RETRIES,
            "ssh": _SSH,
            "resources": RESOURCES,
            "sources": {
                "type": "object",
                "propertyNames": {
                    "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.@-]*$",
                    "not": {"pattern": "^[0-9]+$|\\n"},
                    "x-expects": "made of letters, digits and _ . @ -, and not of digits alone (those are slots)",
                },
                "additionalProperties": _SOURCE,
                "description": "Places where tasks run, by the names that `--sources` uses.",
                "default": {},
            },
        },
    ),
}
"""The whole of `hsm_config.yaml`."""
