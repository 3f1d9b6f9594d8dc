"""The `#PBS` lines of a job, the lines of shell that make up for what they cannot say, and the command that submits."""

from __future__ import annotations

import math
import re
import shlex
from typing import List, Mapping, Optional, Sequence

from hsm_core.errors import ConfigError
from hsm_core.toolkit.dialect import JobRequest, directive_problem

from .flavours import Flavour

__all__ = ["directives", "prologue", "show_time"]

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./\[\]^()<>-]+")
"""What PBS takes from a script's line as it stands; anything else is put in quotes."""


def directives(job: JobRequest, flavour: Flavour) -> List[str]:
    """The lines of a job's script. :raises ConfigError: naming the value that cannot be in one."""
    options = {name: str(value) for name, value in job.options.items() if value is not None}
    lines = [
        f"-N {job.name}",
        # The script writes to files of its own: what PBS delivers comes late, and may keep a job from ending.
        "-j oe",
        "-o /dev/null",
        # An attempt runs once; but an array that may not be run again is refused.
        "-r y" if job.size > 1 else "-r n",
    ]
    if job.size > 1:
        throttled = job.at_once is not None and flavour.throttles
        lines.append(f"{flavour.array} 0-{job.size - 1}" + (f"%{job.at_once}" if throttled else ""))
    lines += _torque_resources(job) if flavour.array == "-t" else _chunk(job, options)
    if job.walltime_s is not None:
        lines.append(f"-l walltime={show_time(job.walltime_s)}")
    if job.after:
        lines.append(f"-W depend={_depend(job.after, flavour)}")
    named = (("queue", "-q"), ("account", "-A"), ("charge_project", "-P"))
    lines += [f"{letter} {_quoted(options[option])}" for option, letter in named if option in options]
    if "charge_project" in options and flavour.array == "-t":
        raise ConfigError("Torque has no projects: -P means something else there", "take `charge_project` away")
    return [f"#PBS {_checked(line)}" for line in (*lines, *job.native)]


def prologue(job: JobRequest, flavour: Flavour) -> List[str]:
    """Where the job writes, where it runs, and where its commands are found: PBS starts it in the home folder."""
    number = f'"${{{flavour.variable}}}"' if job.size > 1 else "0"
    return [
        f"exec >>{shlex.quote(job.output)}/{number}.log 2>&1",
        f"cd {shlex.quote(job.folder)} || exit 1",
        'export PATH="${PBS_O_PATH:+$PBS_O_PATH:}$PATH"',
    ]


def show_time(seconds: float) -> str:
    """A walltime, rounded up: `26:03:04`."""
    minutes, rest = divmod(max(1, math.ceil(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest:02}"


def _chunk(job: JobRequest, options: Mapping[str, str]) -> List[str]:
    """One chunk for each element; none where nothing is asked for, so that the site's defaults hold."""
    asked = [
        *_named("ncpus", job.cpus),
        *_named("mem", job.memory_mb and f"{job.memory_mb}mb"),
        *_named("ngpus", job.gpus),
        *_named(options.get("gpu_type_resource", "gpu_type"), job.gpus and job.gpu_type),
    ]
    if "select" in options:
        asked.append(options["select"])
    place = [f"-l place={_quoted(options['place'])}"] if "place" in options else []
    return [f"-l select={_quoted(':'.join(['1', *asked]))}", *place] if asked or place else []


def _torque_resources(job: JobRequest) -> List[str]:
    node = ["1", *_named("ppn", job.cpus), *_named("gpus", job.gpus)]
    if job.gpus and job.gpu_type:
        node.append(job.gpu_type)  # a property of the node
    lines = [f"-l nodes={_quoted(':'.join(node))}"] if len(node) > 1 else []
    return lines + ([f"-l mem={job.memory_mb}mb"] if job.memory_mb is not None else [])


def _named(name: str, value: Optional[object]) -> List[str]:
    return [f"{name}={value}"] if value else []


def _depend(after: Sequence[str], flavour: Flavour) -> str:
    """All of these must be over: Torque has a word of its own for arrays."""
    arrays = [id for id in after if "[]" in id]
    plain = [id for id in after if "[]" not in id]
    if flavour.after_array == "afterany":
        return ":".join(["afterany", *after])
    groups = [("afterany", plain), (flavour.after_array, arrays)]
    return ",".join(":".join([word, *ids]) for word, ids in groups if ids)


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    quote = next((quote for quote in ('"', "'") if quote not in value), None)
    if quote is None:
        raise ConfigError(f"PBS cannot read both kinds of quotes in one directive: {value}", "take one of them out")
    return f"{quote}{value}{quote}"


def _checked(line: str) -> str:
    problem = directive_problem(line)
    if problem:
        raise ConfigError(f"a directive of a PBS job cannot be written: {problem}", "write it on one line")
    return line
