"""Slurm's words: everything that `BatchSource` needs to know of Slurm, as pure functions."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence

from hsm_core.toolkit.dialect import Dialect, Elements, JobRequest, Limits, Listing, Output, Submission
from hsm_core.toolkit.indices import show_indices

from .limits import limits_commands, read_limits
from .listings import accounting_command, look_up_command, queue_command, read_accounting, read_look_up, read_queue
from .problems import read_ping, read_submission
from .script import directives, submit_command

__all__ = ["SlurmDialect"]

_KEPT = frozenset({"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT"})
"""Which cluster, and who we are: not of an outer job."""
_DEFAULTS = frozenset(
    {"SBATCH_ACCOUNT", "SBATCH_CLUSTERS", "SBATCH_CONSTRAINT", "SBATCH_PARTITION", "SBATCH_QOS", "SBATCH_RESERVATION"}
)
"""A person's own defaults, which sites tell them to set. The rest would change what a script says of itself."""
_LEAKING = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_")
_ARGUMENT = 20_000
"""How long one word of a command line may become."""


class SlurmDialect(Dialect):
    """Slurm 20.11 and newer."""

    name = "Slurm"
    index_variable = "SLURM_ARRAY_TASK_ID"
    restart_variable = "SLURM_RESTART_COUNT"

    def leaks(self, variable: str) -> bool:
        """Whatever an outer job was told, and whatever filters listings or overrules scripts."""
        return variable.startswith(_LEAKING) and variable not in _KEPT | _DEFAULTS

    def directives(self, job: JobRequest) -> Sequence[str]:
        """The `#SBATCH` lines."""
        return directives(job)

    def submit(self, job: JobRequest, script: str) -> Sequence[str]:
        """One sbatch, which prints the job's id alone."""
        return submit_command(job, script)

    def read_submission(self, output: Output) -> Submission:
        """What became of it."""
        return read_submission(output)

    def queue(self, user: str, names: Sequence[str]) -> Sequence[str]:
        """One squeue for all jobs of the user."""
        return queue_command(user)

    def read_queue(self, output: Output) -> Listing:
        """What squeue printed."""
        return read_queue(output)

    def accounting(self, user: str, jobs: Mapping[str, str], since: float) -> Optional[Sequence[str]]:
        """One sacct for these jobs."""
        return accounting_command(user, list(jobs), since)

    def read_accounting(self, output: Output) -> Listing:
        """What sacct printed."""
        return read_accounting(output)

    def look_up(self, job: str) -> Sequence[str]:
        """One scontrol, which knows of jobs what slurmctld knows."""
        return look_up_command(job)

    def read_look_up(self, output: Output, user: str) -> Listing:
        """What scontrol printed."""
        return read_look_up(output, user)

    def cancel(self, targets: Sequence[Elements]) -> Sequence[Sequence[str]]:
        """One scancel, or a few when its command line would become too long.

        By ids only: with `--name` beside them, scancel 22.05 ends a whole array where some of its elements were named.
        """
        return [["scancel", *words] for words in _portions(targets)]

    def nudge(self, targets: Sequence[Elements]) -> Sequence[Sequence[str]]:
        """USR2 to the batch script alone."""
        return [["scancel", "--batch", "--signal=USR2", *words] for words in _portions(targets)]

    def limits(self, user: str, options: Mapping[str, Any]) -> Sequence[Sequence[str]]:
        """Configuration, associations and qualities of service."""
        return limits_commands(user)

    def read_limits(self, outputs: Sequence[Output], user: str, options: Mapping[str, Any]) -> Limits:
        """What they say of this user."""
        return read_limits(outputs, options)

    def ping(self) -> Sequence[str]:
        """Answers at once, whether the controller is up or down."""
        return ["scontrol", "ping"]

    def read_ping(self, output: Output) -> str:
        """Up, if any of its controllers is."""
        return read_ping(output)


def _portions(targets: Sequence[Elements]) -> Sequence[Sequence[str]]:
    """Job ids as scancel reads them, in command lines that are not too long."""
    portions: List[List[str]] = []
    room = 0
    for word in (word for target in targets for word in _words(target)):
        if not portions or len(word) + 1 > room:
            portions.append([])
            room = _ARGUMENT
        portions[-1].append(word)
        room -= len(word) + 1
    return portions


def _words(target: Elements) -> Sequence[str]:
    if not target.indices:
        return [target.job]
    shown: List[str] = []
    room = 0
    for part in show_indices(target.indices).split(","):
        if len(part) + 1 > room:
            shown.append(part)
            room = _ARGUMENT // 10
        else:
            shown[-1] += f",{part}"
        room -= len(part) + 1
    return [f"{target.job}_[{part}]" for part in shown]
