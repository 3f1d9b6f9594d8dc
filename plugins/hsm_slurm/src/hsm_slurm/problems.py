"""What Slurm's commands say when they fail, and what follows from it.

Whoever adds a text to the tables of submissions must be certain: all but `_IN_DOUBT` mean that no job was made.
"""

from __future__ import annotations

import re
from typing import Sequence, Tuple

from hsm_core.contract import Acceptance
from hsm_core.toolkit.dialect import Output, Submission

__all__ = ["problem_of", "read_ping", "read_submission"]

_PREFIX = re.compile(r"^(?:sbatch|squeue|sacct|scontrol|scancel|sinfo|sacctmgr): (?:error: |fatal: )?")
_BOILERPLATE = re.compile(r"^(?:Batch job submission failed: |slurm_load_\w+ error: |allocation failure: )")
_JOB = re.compile(r"([0-9]+)(?:;[^\s;]+)?")
_CHATTY = ("sleeping and retrying", "If munged is up", "auth_g_create:", "Sending PersistInit msg")
_TROUBLE = re.compile(r"error|fatal|invalid", re.IGNORECASE)

_LIMITS = (
    re.compile(r"Max(?:Submit|Jobs)\w*|GrpSubmit\w*"),
    re.compile(r"Resource temporarily unavailable|temporarily unable to accept job"),
    re.compile(r"Reached maximum|Job limit exceeded|maximum number of jobs", re.IGNORECASE),
)
"""Waiting helps: jobs end and make room."""

_NOT_NOW = (
    # The message could not even be made, or there is no controller to send it to.
    "Munge encode failed",
    "auth_g_create: REQUEST_SUBMIT_BATCH_JOB",
    "Could not establish a configuration source",
    "Unable to process configuration file",
    # The controller has said no, and may say yes another time.
    "Required partition not available",
    "Required node not available",
    "Slurm backup controller in standby mode",
    "rate limit",
)
"""Waiting helps: something is out of order."""

_NEVER = (
    # sbatch itself does not understand; nothing was sent.
    "unrecognized option",
    "requires an argument",
    "Invalid directive found in batch script",
    "Unable to open file",
    "does not look like a batch script",
    "Batch script is empty",
    "DOS line breaks",
    # The controller has said no, and would say so again.
    "Access/permission denied",
    "Invalid account",
    "Invalid Trackable RESource",
    "Invalid dependency",
    "Invalid feature specification",
    "Invalid generic resource",
    "Invalid job array specification",
    "Invalid license specification",
    "Invalid node name specified",
    "Invalid partition name specified",
    "Invalid qos specification",
    "Invalid reservation",
    "Invalid wckey",
    "Job dependency problem",
    "Memory required by task is not available",
    "More processors requested than permitted",
    "Node count specification invalid",
    "Pathname of a file, directory or other parameter too long",
    "Requested node configuration is not available",
    "Requested partition configuration not available",
    "Requested reservation is invalid",
    "Requested time limit is invalid",
    "Reservation not usable",
    "group not permitted to use this partition",
)
_POLICY = "Job violates accounting/QOS policy"
_POLICY_DETAIL = re.compile(r"\b(?:Assoc|QOS|Grp|Partition)\w+")
"""Which limit it was; old versions do not say, and then it may be one that waiting helps."""
_MISUSED = re.compile(
    r"^sbatch: (?:error: )?(?:Invalid --?[\w-]+ specification|unrecognized option|invalid option)", re.M
)
"""Words of sbatch's own reading of the command line and the script."""


def problem_of(output: Output) -> str:
    """One line for a person; empty when the command ended well and complained of nothing."""
    if output.returncode == 0 and not _TROUBLE.search(output.stderr):
        return ""
    return _said(output) or f"ended with code {output.returncode} and said nothing"


def read_submission(output: Output) -> Submission:
    """What became of an `sbatch --parsable`."""
    if output.returncode == 0:
        # Sites print banners, before and after.
        ids = [match.group(1) for match in map(_JOB.fullmatch, map(str.strip, output.stdout.splitlines())) if match]
        if len(ids) == 1:
            return Submission(Acceptance.ACCEPTED, ids[0])
        return Submission(Acceptance.INDETERMINATE, reason=f"sbatch named no job: {_said(output) or 'it said nothing'}")
    said = _said(output) or f"sbatch ended with code {output.returncode} and said nothing"
    return Submission(_verdict(output.stderr + output.stdout), reason=said)


def read_ping(output: Output) -> str:
    """Empty when any controller of the cluster is up, else one line for a person."""
    told = [line.strip() for line in output.stdout.splitlines() if " is " in line]
    if any(line.endswith("is UP") for line in told):
        return ""
    return "; ".join(told) or problem_of(output) or "the controller does not answer"


def _verdict(text: str) -> Acceptance:
    # Limits first: the same sentence about "accounting/QOS policy" closes a message about a limit and one about a rule.
    if any(pattern.search(text) for pattern in _LIMITS):
        return Acceptance.LIMIT
    if _POLICY in text:
        return Acceptance.REJECTED if _POLICY_DETAIL.search(text.replace(_POLICY, "")) else Acceptance.LIMIT
    if any(words in text for words in _NOT_NOW):
        return Acceptance.RETRY
    if _MISUSED.search(text) or any(words in text for words in _NEVER):
        return Acceptance.REJECTED
    return Acceptance.INDETERMINATE


def _said(output: Output) -> str:
    """What a command complained of, in one line without its own name and the usual words around."""
    lines: Sequence[str] = [line.strip() for line in (output.stderr or output.stdout).splitlines() if line.strip()]
    telling = [line for line in lines if not any(words in line for words in _CHATTY)] or lines
    found: Tuple[str, ...] = ()
    for line in telling:
        line = _BOILERPLATE.sub("", _PREFIX.sub("", line))
        found += (line,) if line not in found else ()
    return "; ".join(found[:4])
