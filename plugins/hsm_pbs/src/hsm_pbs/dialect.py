"""PBS's words: everything that `BatchSource` needs to know of PBS, as pure functions."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence

from hsm_core.toolkit.dialect import Dialect, Elements, JobRequest, Limits, Listing, Output, Submission

from .flavours import OPENPBS, Flavour, read_flavour
from .limits import LIMITS_COMMANDS, read_limits
from .listings import (
    history_command,
    look_up_command,
    plainer,
    queue_command,
    read_history,
    read_look_up,
    read_queue,
)
from .problems import order_problem, read_ping, read_submission
from .script import directives, prologue, submit_command

__all__ = ["PbsDialect"]

_KEPT = frozenset({"PBS_AUTH_METHOD", "PBS_CONF_FILE", "PBS_DEFAULT", "PBS_EXEC", "PBS_HOME", "PBS_SERVER"})
"""Which cluster, and how to reach it: not of an outer job."""
_WORDS = 500
"""Ids on one command line."""


class PbsDialect(Dialect):
    """OpenPBS, PBS Pro and Torque. :param flavour: which of them."""

    name = "PBS"

    def __init__(self, flavour: Flavour = OPENPBS) -> None:
        self._flavour = flavour
        self.index_variable = flavour.variable
        self.release = flavour.release

    def version(self) -> Sequence[str]:
        """Told without the server."""
        return ["qstat", "--version"]

    def for_version(self, output: Output) -> Optional[Dialect]:
        """One of the three, or none: Slurm has commands of the same names."""
        flavour = read_flavour(output)
        return None if flavour is None else PbsDialect(flavour)

    def leaks(self, variable: str) -> bool:
        """Whatever an outer job was told, and the prefix of directives."""
        return variable.startswith("PBS_") and variable not in _KEPT

    def directives(self, job: JobRequest) -> Sequence[str]:
        """The `#PBS` lines."""
        return directives(job, self._flavour)

    def prologue(self, job: JobRequest) -> Sequence[str]:
        """Output, folder and path."""
        return prologue(job, self._flavour)

    def submit(self, job: JobRequest, script: str) -> Sequence[str]:
        """One qsub, which prints the job's id."""
        return submit_command(script)

    def read_submission(self, output: Output) -> Submission:
        """What became of it."""
        return read_submission(output)

    def queue(self, user: str, names: Sequence[str]) -> Sequence[str]:
        """One qstat for all jobs of the user."""
        return queue_command(user, self._flavour)

    def read_queue(self, output: Output) -> Listing:
        """What qstat printed."""
        return read_queue(output, self._flavour)

    def accounting(self, user: str, jobs: Mapping[str, str], since: float) -> Optional[Sequence[str]]:
        """The server's history of these jobs."""
        return history_command(user, jobs, self._flavour)

    def read_accounting(self, output: Output) -> Listing:
        """What qstat printed of them."""
        return read_history(output, self._flavour)

    def look_up(self, job: str) -> Sequence[str]:
        """One qstat, which knows of jobs what the server knows."""
        return look_up_command(job, self._flavour)

    def read_look_up(self, output: Output, user: str) -> Listing:
        """What qstat printed of it."""
        return read_look_up(output, user, self._flavour)

    def plainer(self, command: Sequence[str]) -> Optional[Sequence[str]]:
        """Text, where JSON could not be read."""
        return plainer(command)

    def cancel(self, targets: Sequence[Elements]) -> Sequence[Sequence[str]]:
        """One qdel, or a few when its command line would become too long."""
        if self._flavour.array == "-t":
            whole = [target.job for target in targets if not target.indices]
            parts = [["qdel", "-t", ",".join(_ranges(indices)), job] for job, indices in targets if indices]
            return [*([["qdel", *whole]] if whole else []), *parts]
        words = [word for target in targets for word in _elements(target)]
        return [["qdel", *words[i : i + _WORDS]] for i in range(0, len(words), _WORDS)]

    def read_order(self, output: Output) -> str:
        """What is over already needs no end."""
        return order_problem(output)

    def limits(self, user: str, options: Mapping[str, Any]) -> Sequence[Sequence[str]]:
        """The server and its queues."""
        return LIMITS_COMMANDS

    def read_limits(self, outputs: Sequence[Output], user: str, options: Mapping[str, Any]) -> Limits:
        """What they say of this user."""
        return read_limits(outputs, user, options, self._flavour)

    def ping(self) -> Sequence[str]:
        """The server in one line."""
        return ["qstat", "-B"]

    def read_ping(self, output: Output) -> str:
        """It answers."""
        return read_ping(output)


def _elements(target: Elements) -> Sequence[str]:
    """As qdel reads them: a range in the brackets, but no list."""
    return [target.job.replace("[]", f"[{part}]") for part in _ranges(target.indices)] or [target.job]


def _ranges(indices: Sequence[int]) -> List[str]:
    parts: List[List[int]] = []
    for index in sorted(set(indices)):
        if parts and parts[-1][1] == index - 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return [str(first) if first == last else f"{first}-{last}" for first, last in parts]
