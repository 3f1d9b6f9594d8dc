"""What squeue and sacct print, as listings of jobs."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Callable, List, Sequence

from hsm_core.toolkit.dialect import ENDED_STATES, JobSeen, Listing, Output

from .arrays import parse_job_id
from .problems import problem_of
from .states import read_state

__all__ = [
    "accounting_command",
    "look_up_command",
    "queue_command",
    "read_accounting",
    "read_look_up",
    "read_queue",
]

# The name comes last: it is the only field that may hold the separator.
_QUEUE_FORMAT = "%i|%T|%r|%N|%j"
_ACCOUNTING_FORMAT = "JobID,State,ExitCode,NodeList,JobName"
_FIELDS = 5
_MAYBE_OURS = re.compile(r"\s*[0-9]")
_NO_SUCH_JOB = "Invalid job id specified"
_SHOWN = re.compile(
    r"JobId=(?P<job>[0-9]+) (?:ArrayJobId=(?P<array>[0-9]+) ArrayTaskId=(?P<indices>\S+) )?.*?\bJobName=(?P<name>.*?)"
    r" UserId=(?P<user>[^ (]+)\(.*? JobState=(?P<word>\S+) Reason=(?P<reason>.*?) Dependency="
    r"(?:.*? NodeList=(?P<nodes>\S*) )?"
)
_SILENT = frozenset({"", "None", "None assigned", "(null)"})
"""How Slurm says nothing."""


def queue_command(user: str) -> Sequence[str]:
    """All jobs of a user in all partitions, hidden ones too, and those that ended a while ago."""
    # Without SLURM_BITSTR_LEN=0 the indices of a pending array are cut off after 64 characters.
    argv = ["env", "SLURM_BITSTR_LEN=0", "squeue", "--noheader", "--all", "--states=all"]
    return [*argv, f"--user={user}", f"--format={_QUEUE_FORMAT}"]


def read_queue(output: Output) -> Listing:
    """The listing that `queue_command` brings."""
    listing = _read(output, _queue_line)
    if not listing.complete:
        return listing
    queued = sum(len(seen.indices) or 1 for seen in listing.jobs if seen.state not in ENDED_STATES)
    return listing._replace(queued=queued)


def accounting_command(user: str, names: Sequence[str], since: float) -> Sequence[str]:
    """How these jobs of a user ended.

    :param since: Unix seconds.
    """
    # A day is more than any two time zones are apart, and sacct reads times in a zone that is not known here.
    start = datetime.fromtimestamp(max(0.0, since), timezone.utc) - timedelta(days=1)
    return [
        "sacct",
        "--allocations",
        "--noheader",
        "--parsable2",
        f"--user={user}",
        f"--starttime={start:%Y-%m-%dT%H:%M:%S}",
        f"--name={','.join(names)}",
        f"--format={_ACCOUNTING_FORMAT}",
    ]


def read_accounting(output: Output) -> Listing:
    """The listing that `accounting_command` brings."""
    if output.returncode != 0 and "accounting storage is disabled" in output.stdout + output.stderr:
        return Listing(complete=False, available=False)
    return _read(output, _accounting_line)


def look_up_command(job: str) -> Sequence[str]:
    """Everything that slurmctld knows of one job: a line, or one for each of its elements that has begun."""
    return ["env", "SLURM_BITSTR_LEN=0", "scontrol", "--oneliner", "show", "job", job]


def read_look_up(output: Output, user: str) -> Listing:
    """The listing that `look_up_command` brings: the jobs of this user under that id, whole or not at all."""
    if output.returncode != 0 and f"slurm_load_jobs error: {_NO_SUCH_JOB}" in output.stderr:
        return Listing()
    jobs: List[JobSeen] = []
    found = [_SHOWN.match(line) for line in output.stdout.splitlines() if line.strip()]
    try:
        for shown in filter(None, found):
            if shown["user"] == user:
                id = shown["job"] if shown["array"] is None else f"{shown['array']}_[{shown['indices']}]"
                jobs.append(
                    _seen(
                        id, shown["word"], _said(shown["reason"]), shown["reason"], shown["nodes"] or "", shown["name"]
                    )
                )
    except ValueError:
        found.append(None)
    problem = problem_of(output)
    if not problem and (not found or None in found):
        problem = "scontrol show job makes no sense"
    return Listing(jobs, not problem, problem=problem)


def _read(output: Output, read_line: Callable[[Sequence[str]], JobSeen]) -> Listing:
    jobs: List[JobSeen] = []
    garbage: List[str] = []
    complete = True
    for line in output.stdout.splitlines():
        try:
            fields = line.strip("\r").split("|", _FIELDS - 1)
            if len(fields) < _FIELDS:
                raise ValueError("a field is missing")
            jobs.append(read_line(fields))
        except ValueError:
            if line.strip():
                garbage.append(line)
                complete = complete and _MAYBE_OURS.match(line) is None
    problem = problem_of(output)
    return Listing(jobs, complete and not problem, garbage=garbage, problem=problem)


def _queue_line(fields: Sequence[str]) -> JobSeen:
    id, word, reason, nodes, name = fields
    return _seen(id, word, _said(reason), reason, nodes, name)


def _accounting_line(fields: Sequence[str]) -> JobSeen:
    id, word, code, nodes, name = fields
    return _seen(id, word, "" if code in ("", "0:0") else f"exit code {code}", code, nodes, name)


def _seen(id: str, word: str, reason: str, sign: str, nodes: str, name: str) -> JobSeen:
    job, indices = parse_job_id(id.strip())
    return JobSeen(job, tuple(indices or ()), name, read_state(word, sign), word, reason, _said(nodes))


def _said(text: str) -> str:
    return "" if text in _SILENT else text
