"""What PBS's commands say when they fail, and what follows from it. Return codes are error numbers modulo 256: no help.

Whoever adds a text to the tables of submissions must be certain: it means that no job was made.
"""

from __future__ import annotations

import re
from typing import List

from hsm_core.contract import Acceptance
from hsm_core.toolkit.dialect import Output, Submission

from .records import ID

__all__ = ["complaint", "is_over", "read_ping", "read_submission"]

_PREFIX = re.compile(r"^(?:qsub|qstat|qdel|qselect|pbsnodes):\s*(?:Error: )?")
_NOT_FOUND = 127
_TROUBLE = re.compile(r"error|fail|cannot|could(?:n't| not)|refused|not configured", re.I)

_OVER = re.compile(r"Unknown Job Id|Job has finished|Request invalid for (?:finished array subjob|state of job)")
"""Said of a job that is over, or forgotten, between two questions: no trouble."""

_LIMITS = re.compile(r"would exceed .*limit|Maximum number of jobs", re.I)
"""Waiting helps: jobs end and make room."""

_NOT_NOW = re.compile(
    # There is nobody to send it to; or the server has said no, and may say yes another time.
    r"Connection refused|cannot connect to server|Unknown Host"
    r"|Queue is not enabled|Server shutting down|Server shutdown in progress"
)

_NEVER = re.compile(
    # qsub itself does not understand; nothing was sent.
    r"usage: +qsub|illegal -|invalid option|directive error|script file::|script contains cr|Job name is too long"
    r"|cannot send environment|cannot submit non-rerunable Array Job|cannot be used with|Cannot have .place. without"
    # The server has said no, and would say so again.
    r"|Array job exceeds server or queue size limit|Bad UID for job execution|Illegal attribute or resource value"
    r"|Invalid Account|Job exceeds queue resource limits|Job rejected by all possible destinations"
    r"|Job violates queue and/or server resource limits|Unauthorized Request|Unknown (?:project|queue|resource)"
)


def complaint(output: Output) -> str:
    """What is wrong with an answer, in one line; empty when it is one. That a job is over is no complaint."""
    lines = [line for line in _lines(output.stderr) if not _OVER.search(line)]
    if lines and (output.returncode != 0 or any(_TROUBLE.search(line) for line in lines)):
        return "; ".join(lines[:3])
    if output.returncode != 0 and not output.stderr.strip():
        return f"ended with code {output.returncode} and said nothing"
    return ""


def is_over(output: Output) -> bool:
    """It was asked for one job, and says that it is over, or that there is none."""
    return output.returncode != 0 and _OVER.search(output.stderr) is not None and not complaint(output)


def read_submission(output: Output) -> Submission:
    """What became of a `qsub`."""
    if output.returncode == 0:
        # Sites print banners, before and after.
        ids = [line for line in map(str.strip, output.stdout.splitlines()) if ID.fullmatch(line)]
        if len(ids) == 1:
            return Submission(Acceptance.ACCEPTED, ids[0])
        said = _said(output) or "it said nothing"
        return Submission(Acceptance.INDETERMINATE, reason=f"qsub named no job: {said}")
    said = _said(output) or f"qsub ended with code {output.returncode} and said nothing"
    return Submission(_verdict(output), reason=said)


def read_ping(output: Output) -> str:
    """Empty when the server answers, else one line for a person."""
    if output.returncode == 0 and output.stdout.strip():
        return ""
    return complaint(output) or "the PBS server does not answer"


def _verdict(output: Output) -> Acceptance:
    text = f"{output.stderr}\n{output.stdout}"
    if output.returncode == _NOT_FOUND:
        return Acceptance.RETRY
    meanings = ((_LIMITS, Acceptance.LIMIT), (_NOT_NOW, Acceptance.RETRY), (_NEVER, Acceptance.REJECTED))
    return next((meaning for words, meaning in meanings if words.search(text)), Acceptance.INDETERMINATE)


def _said(output: Output) -> str:
    lines = _lines(output.stderr or output.stdout)
    telling = lines[: next((i for i, line in enumerate(lines) if line.startswith("usage:")), len(lines))]
    return "; ".join(telling[:3])


def _lines(text: str) -> List[str]:
    """Without the command's own name, each once."""
    return list(dict.fromkeys(_PREFIX.sub("", line.strip()) for line in text.splitlines() if line.strip()))
