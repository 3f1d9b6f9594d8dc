"""A scheduler's words: what a backend author writes for `BatchSource`, and nothing else.

A dialect is pure functions: from requests to text and argument vectors, and from what commands printed to values. It
runs nothing, reads no file and no clock, and so is tested with strings. `BatchSource` does everything else.
"""

from __future__ import annotations

import enum
import shlex
from dataclasses import dataclass, field
from typing import Any, FrozenSet, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

from ..contract import Acceptance

__all__ = [
    "ENDED_STATES",
    "WAITING_STATES",
    "Dialect",
    "Elements",
    "JobRequest",
    "JobSeen",
    "JobState",
    "Limits",
    "Listing",
    "Output",
    "Submission",
    "directive_problem",
    "script_text",
]


class JobState(str, enum.Enum):
    """What a scheduler says of a job, in words that mean the same for every scheduler.

    None of them says how a *task* ended: that is for the runner's record. They say why there may be none.
    """

    WAITING = "waiting"
    """In the queue, and may start at any time."""
    HELD = "held"
    """In the queue, and will not start before somebody acts: held, or asks for what it can never get."""
    RUNNING = "running"
    """It has its nodes: configuring, or running."""
    SUSPENDED = "suspended"
    """It has its nodes, and stands still there."""
    ENDING = "ending"
    """Its processes are being ended, or its output delivered."""
    DONE = "done"
    """Over: the script ended by itself, with whatever exit code."""
    TIMEOUT = "timeout"
    """Over: ended at its walltime (or deadline)."""
    OUT_OF_MEMORY = "out_of_memory"
    """Over: ended for using more memory than it was given."""
    CANCELLED = "cancelled"
    """Over: a person ended it, or took it from the queue."""
    PREEMPTED = "preempted"
    """Over: made way for another job."""
    NODE_FAILED = "node_failed"
    """Over: its node died, would not boot, or could not start it."""
    UNKNOWN = "unknown"
    """A word that the dialect does not know. Never final."""


ENDED_STATES: FrozenSet[JobState] = frozenset(
    {
        JobState.DONE,
        JobState.TIMEOUT,
        JobState.OUT_OF_MEMORY,
        JobState.CANCELLED,
        JobState.PREEMPTED,
        JobState.NODE_FAILED,
    }
)


WAITING_STATES: FrozenSet[JobState] = frozenset({JobState.WAITING, JobState.HELD})
"""In the queue, with nothing begun."""


class Output(NamedTuple):
    """What a command of the scheduler printed."""

    returncode: int
    stdout: str
    stderr: str


class Elements(NamedTuple):
    """Elements of a job: the whole of it, or some of its array.

    :param indices: array indices; empty for a plain job, or for the whole of an array.
    """

    job: str
    indices: Sequence[int] = ()


class JobSeen(NamedTuple):
    """One line of a listing, a job or elements of an array.

    :param job: the id by which the job is cancelled: of an array, the array's own.
    :param indices: the elements of which this line speaks, a pending array's many at once; empty for a plain job.
    :param name: the job's name, by which it is told from others.
    :param word: the scheduler's own word or words, for a person: `CANCELLED by 1000`, `NODE_FAIL`.
    :param reason: why it waits or ended, in the scheduler's words, empty if it says nothing.
    :param nodes: where it runs or ran, in the scheduler's notation.
    """

    job: str
    indices: Sequence[int]
    name: str
    state: JobState
    word: str
    reason: str = ""
    nodes: str = ""


class Listing(NamedTuple):
    """What a queue or accounting query brought.

    :param complete: the answer was whole: a job which is not in it is not there. False after an error, and when a line
        could not be read that might have been one of ours.
    :param available: the scheduler keeps such a list at all; False for accounting that is switched off.
    :param queued: how many jobs, array elements counted singly, this user has in the queue; None if it does not tell.
    :param garbage: lines that made no sense.
    :param problem: one line for a person, when the command failed.
    """

    jobs: Sequence[JobSeen] = ()
    complete: bool = True
    available: bool = True
    queued: Optional[int] = None
    garbage: Sequence[str] = ()
    problem: str = ""


class Submission(NamedTuple):
    """What became of one submission, as far as its output tells.

    :param acceptance: ACCEPTED with `job`; REJECTED, RETRY or LIMIT only where it is *certain* that nothing was
        submitted; otherwise INDETERMINATE, upon which the job is looked for by its name.
    :param reason: one line for a person.
    """

    acceptance: Acceptance
    job: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Limits:
    """What the scheduler allows this user.

    :param array_size: elements that one array may have at the most; 1 where there are no arrays.
    :param queued: jobs, array elements counted singly, that this user may have in the queue; None: as many as wanted.
    :param problem: one line for a person, when they could not be found out: nothing is submitted then, and they are
        asked for again.
    :param throttles: an array can be told how many of its elements run at once. If not, arrays are no larger than that.
    """

    array_size: int = 1
    queued: Optional[int] = None
    problem: str = ""
    throttles: bool = True


@dataclass(frozen=True)
class JobRequest:
    """One job to submit: a plain one, or an array whose elements are numbered from 0.

    :param name: names this submission and no other.
    :param command: what to run, as argv; the script appends the element's index, the number of
        restarts and the seconds since its start.
    :param size: elements; 1 makes a plain job.
    :param at_once: how many elements may run at once; None for as many as the scheduler likes.
    :param after: ids of jobs all of which must be over before this one may start.
    :param folder: where the job starts; it exists.
    :param output: existing folder for what the job prints: `INDEX.log` of an element, `0.log` of a plain job.
    :param cpus: for one element, as are memory and GPUs.
    :param warning_s: send USR1 to the script's process so many seconds before the walltime.
    :param exclude: nodes that it must not run on.
    :param options: the source's own (`partition`, `account` …), checked by the plugin's schema.
    :param native: further directives, as they stand after the scheduler's prefix.
    :param modules: environment modules to load.
    :param setup: shell lines before the command.
    """

    name: str
    command: Tuple[str, ...]
    folder: str
    output: str
    size: int = 1
    at_once: Optional[int] = None
    after: Tuple[str, ...] = ()
    cpus: Optional[int] = None
    memory_mb: Optional[int] = None
    gpus: int = 0
    gpu_type: Optional[str] = None
    walltime_s: Optional[float] = None
    warning_s: Optional[float] = None
    exclude: Tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    native: Tuple[str, ...] = ()
    modules: Tuple[str, ...] = ()
    setup: Tuple[str, ...] = ()


class Dialect(Protocol):
    """The words of one scheduler. Every method is pure; none may raise on what a command printed, however odd.

    Write `class YourDialect(Dialect)`: methods that have a body here are right for a scheduler that has nothing of it.
    """

    name: str
    """For messages: `Slurm`."""
    index_variable: str
    """The variable that holds an array element's index in the job's environment."""
    restart_variable: str = ""
    """The variable that counts how often the scheduler has restarted this job; empty if it has none."""
    release: str = ""
    """What it talks to, for a person: `OpenPBS 23.06.06`; empty as long as that has not been asked."""

    def version(self) -> Sequence[str]:
        """The command that tells which flavour and release this is; empty where that makes no difference."""
        return ()

    def for_version(self, output: Output) -> Optional[Dialect]:
        """The dialect of the flavour that printed this; None: it is no such scheduler, only a command of that name."""
        return self

    def leaks(self, variable: str) -> bool:
        """Whether a variable of an outer job must be kept from the scheduler's commands and from new jobs."""

    def directives(self, job: JobRequest) -> Sequence[str]:
        """The lines between `#!` and the commands, prefix included (`#SBATCH --job-name=…`).

        :raises ConfigError: when a value cannot be a directive (`directive_problem`).
        """

    def prologue(self, job: JobRequest) -> Sequence[str]:
        """Shell lines before all others, for what the scheduler does not do by directives."""
        return ()

    def submit(self, job: JobRequest, script: str) -> Sequence[str]:
        """The command that submits the script at that path."""

    def read_submission(self, output: Output) -> Submission:
        """What became of it, banners and all."""

    def queue(self, user: str, names: Sequence[str]) -> Sequence[str]:
        """The command that lists these jobs, also those that are over, as far as the queue remembers.

        It may list all of the user's jobs: others are passed over. Without names it must list all.
        """

    def read_queue(self, output: Output) -> Listing:
        """What that command printed."""

    def accounting(self, user: str, jobs: Mapping[str, str], since: float) -> Optional[Sequence[str]]:
        """The command that tells how these jobs ended; None for a scheduler that keeps no accounts.

        :param jobs: name -> id, empty where it is not known.
        :param since: Unix seconds; none of them was submitted before.
        """
        return None

    def read_accounting(self, output: Output) -> Listing:
        """What that command printed."""
        return Listing(available=False)

    def look_up(self, job: str) -> Sequence[str]:
        """The command that shows the job with this id, and *says* so when there is none.

        Asked only for a job that the queue has ceased to list, before it is believed to be gone: an empty listing may
        be a cache, a hiccup, or a wrapper's.
        """

    def read_look_up(self, output: Output, user: str) -> Listing:
        """What that command printed: complete only if it shows the job, or says that there is no such job.

        :param user: other people's jobs are left out. Ids are given again when a scheduler has lost its memory.
        """

    def plainer(self, command: Sequence[str]) -> Optional[Sequence[str]]:
        """The same question in a form that is easier to read, asked when an answer was not; None if there is none."""
        return None

    def cancel(self, targets: Sequence[Elements]) -> Sequence[Sequence[str]]:
        """The commands that end these now, or take them from the queue; none for no targets."""

    def nudge(self, targets: Sequence[Elements]) -> Sequence[Sequence[str]]:
        """The commands that send USR2 to the script's process, and to no other, of these running elements.

        None at all if the scheduler cannot do that: the runner looks for requests now and then without being nudged.
        """
        return ()

    def read_order(self, output: Output) -> str:
        """Why an order (`cancel`, `nudge`) was not obeyed, in one line; empty if it was, or needed not be."""
        if output.returncode == 0:
            return ""
        words = (output.stderr or output.stdout).strip().splitlines() or ["no message"]
        return f"ended with {output.returncode}: {words[-1]}"

    def limits(self, user: str, options: Mapping[str, Any]) -> Sequence[Sequence[str]]:
        """The commands whose outputs tell the limits."""

    def read_limits(self, outputs: Sequence[Output], user: str, options: Mapping[str, Any]) -> Limits:
        """What they told; one output for each command, in order."""

    def ping(self) -> Sequence[str]:
        """A quick command by which to see whether the scheduler answers."""

    def read_ping(self, output: Output) -> str:
        """Empty when all is well, else one line for a person."""


def directive_problem(value: str) -> str:
    """Why a text cannot stand in a directive, empty if it can: a line break would begin another line of the script."""
    odd = next((c for c in value if ord(c) < 32 or ord(c) == 127 or c in "\u0085\u2028\u2029"), "")
    return f"{value!r} holds the control character {odd!r}" if odd else ""


# A batch shell is no login shell: where the submitting shell did not export the command, it has to be looked for.
_FIND_MODULES = """\
for init in "${MODULESHOME:-/usr/share/modules}" "${LMOD_PKG:-/usr/share/lmod/lmod}"; do
    command -v module >/dev/null || [ ! -r "$init/init/bash" ] || . "$init/init/bash"
done"""


def script_text(dialect: Dialect, job: JobRequest) -> str:
    """The whole job script: readable, and the same that `--dry-run -v` shows.

    :raises ConfigError: as `Dialect.directives` does.
    """
    index = f'"${{{dialect.index_variable}:-0}}"' if job.size > 1 else "0"
    restart = f'"${{{dialect.restart_variable}:-0}}"' if dialect.restart_variable else "0"
    # The runner has its own handlers; until it has, neither a warning nor a nudge may end the script.
    lines = ["#!/bin/bash", *dialect.directives(job), "", "trap '' USR1 USR2", *dialect.prologue(job)]
    if job.modules:
        lines += [_FIND_MODULES, *(f"module load {shlex.quote(module)} || exit 1" for module in job.modules)]
    lines += job.setup
    command = " ".join(shlex.quote(word) for word in job.command)
    return "\n".join([*lines, f'exec {command} {index} {restart} "$SECONDS"', ""])
