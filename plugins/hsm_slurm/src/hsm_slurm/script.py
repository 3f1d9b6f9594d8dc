"""The `#SBATCH` lines of a job, and the command that submits it."""

from __future__ import annotations

import math
import re
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from hsm_core.errors import ConfigError
from hsm_core.toolkit.dialect import JobRequest, directive_problem

__all__ = ["directives", "show_time", "submit_command"]

_PREFIX = "#SBATCH "
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./\[\]&|()*!?<>{}~^-]*")
"""What sbatch takes from a script's line as it stands; anything else is put in quotes."""
_OPTIONS = ("partition", "account", "qos", "constraint", "reservation")
"""Options of a source that are directives of the same name."""
_ENVIRONMENTAL = tuple(f"--{name}=" for name in _OPTIONS)
"""What a user's own SBATCH_PARTITION … would overrule in a script, but not on the command line."""


def directives(job: JobRequest) -> List[str]:
    """The lines of a job's script.

    :raises ConfigError: naming the value that cannot be in one.
    """
    return [f"{_PREFIX}{_quoted(name, value)}" for name, value in _arguments(job)] + [
        f"{_PREFIX}{_checked(line)}" for line in _native(job)
    ]


def submit_command(job: JobRequest, script: str) -> List[str]:
    """The command that submits a script: what the environment might overrule is on the command line too."""
    words = [f"--job-name={job.name}"]
    words += [f"{name}={value}" for name, value in _arguments(job) if f"{name}=" in _ENVIRONMENTAL]
    words += [line for line in _native(job) if line.startswith(_ENVIRONMENTAL)]
    return ["sbatch", "--parsable", *words, script]


def show_time(seconds: float) -> str:
    """A walltime, rounded up: `1-02:03:04`."""
    minutes, rest = divmod(max(1, math.ceil(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{rest:02}" if days else f"{hours:02}:{minutes:02}:{rest:02}"


def _arguments(job: JobRequest) -> List[Tuple[str, str]]:
    found: List[Tuple[str, Optional[str]]] = [
        ("--job-name", job.name),
        ("--array", _array(job)),
        ("--chdir", job.folder),
        ("--output", _pattern(job)),
        ("--open-mode", "append"),
        ("--nodes", "1"),
        ("--ntasks", "1"),
        ("--cpus-per-task", _shown(job.cpus)),
        ("--mem", None if job.memory_mb is None else f"{job.memory_mb}M"),
        ("--gres", _gres(job)),
        ("--time", None if job.walltime_s is None else show_time(job.walltime_s)),
        ("--signal", None if job.warning_s is None else f"B:USR1@{math.ceil(job.warning_s)}"),
        ("--dependency", f"afterany:{':'.join(job.after)}" if job.after else None),
        ("--exclude", ",".join(job.exclude) or None),
        *((f"--{name}", _option(job.options, name)) for name in _OPTIONS),
    ]
    return [(name, value) for name, value in found if value is not None]


def _native(job: JobRequest) -> Sequence[str]:
    # An attempt runs once: a job that is started again would find its tasks claimed, and is not worth starting.
    return ("--no-requeue", *job.native)


def _array(job: JobRequest) -> Optional[str]:
    if job.size == 1:
        return None
    return f"0-{job.size - 1}" + ("" if job.at_once is None else f"%{job.at_once}")


def _pattern(job: JobRequest) -> str:
    if "\\" in job.output:
        raise ConfigError(
            f"{job.output}: Slurm cannot write to a folder with a backslash in its name", "rename the project's folder"
        )
    return job.output.replace("%", "%%") + ("/0.log" if job.size == 1 else "/%a.log")


def _gres(job: JobRequest) -> Optional[str]:
    if not job.gpus:
        return None
    return ":".join(["gpu", *([job.gpu_type] if job.gpu_type else []), str(job.gpus)])


def _option(options: Mapping[str, Any], name: str) -> Optional[str]:
    return None if options.get(name) is None else str(options[name])


def _shown(number: Optional[int]) -> Optional[str]:
    return None if number is None else str(number)


def _checked(text: str) -> str:
    problem = directive_problem(text)
    if problem:
        raise ConfigError(f"a directive of a Slurm job cannot be written: {problem}", "write it on one line")
    return text


def _quoted(name: str, value: str) -> str:
    _checked(value)
    if _PLAIN.fullmatch(value):
        return f"{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'
