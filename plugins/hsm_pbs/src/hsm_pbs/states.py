"""What PBS says of a job, in the words that all schedulers share.

How a *task* ended is never read from here: that is in its own record. What PBS says counts where there is none.
"""

from __future__ import annotations

import re
from typing import Mapping, Optional, Tuple

from hsm_core.toolkit.dialect import JobState

from .records import Attributes

__all__ = ["DELETED", "ended_state", "exit_status", "live_state", "word_of"]

_LIVE: Mapping[str, JobState] = {
    "Q": JobState.WAITING,
    "T": JobState.WAITING,  # on its way to a queue
    "W": JobState.WAITING,  # for its time
    "H": JobState.HELD,
    "B": JobState.RUNNING,  # an array of which something has begun
    "R": JobState.RUNNING,
    "S": JobState.SUSPENDED,
    "U": JobState.SUSPENDED,  # its owner uses the workstation
    "E": JobState.ENDING,
}
# M is left out on purpose: another server has the job, and how it fares there is not known here.
_ENDED = ("X", "F", "C")
DELETED = "91"
"""The substate of a job that was deleted."""
_WAITS_FOR_OTHERS = "22"
"""The substate of a job that is held until others are over."""
_BY = re.compile(r"terminated by (\S+)")
_SIGNALLED = 256
"""To this the number of the signal is added by which PBS ended a job."""

_KILLED_FOR: Mapping[str, Mapping[int, JobState]] = {
    "PBS": {
        -26: JobState.OUT_OF_MEMORY,  # virtual
        -27: JobState.OUT_OF_MEMORY,
        -28: JobState.TIMEOUT,  # processor time
        -29: JobState.TIMEOUT,
    },
    "Torque": {-10: JobState.OUT_OF_MEMORY, -11: JobState.TIMEOUT, -12: JobState.TIMEOUT},
}
"""What PBS gives for its own reasons to end a job. Other negative numbers: the node could not start it."""


def live_state(attributes: Attributes) -> Optional[JobState]:
    """What a job that is not over does; None for one that is over."""
    letter = attributes.get("job_state", "")
    if letter in _ENDED:
        return None
    if letter == "Q" and attributes.get("comment", "").startswith("Can Never Run"):
        return JobState.HELD
    # The hold of a job that waits for others is the system's own, and ends by itself.
    by_itself = attributes.get("substate", _WAITS_FOR_OTHERS) == _WAITS_FOR_OTHERS and "depend" in attributes
    if letter == "H" and by_itself and attributes.get("Hold_Types", "s") == "s":
        return JobState.WAITING
    return _LIVE.get(letter, JobState.UNKNOWN)


def exit_status(attributes: Attributes) -> Optional[int]:
    """The number that PBS gives; None for a job that never ran."""
    text = attributes.get("Exit_status", attributes.get("exit_status", ""))
    try:
        return int(text)
    except ValueError:
        return None


def ended_state(attributes: Attributes, torque: bool) -> JobState:
    """How a job that has a record of its own ended."""
    code = exit_status(attributes)
    substate = attributes.get("substate")
    if code is not None and code < 0:
        return _KILLED_FOR["Torque" if torque else "PBS"].get(code, JobState.NODE_FAILED)
    if substate == DELETED or (torque and (code is None or code > _SIGNALLED)):  # Torque has no substates
        return JobState.CANCELLED
    return JobState.DONE


def word_of(attributes: Attributes, state: JobState) -> Tuple[str, str]:
    """PBS's word and its reason, for a person."""
    letter = attributes.get("job_state", "")
    code = exit_status(attributes)
    comment = " ".join(attributes.get("comment", "").split())
    if state is JobState.CANCELLED:
        by = _BY.search(comment)
        return (f"deleted by {by.group(1)}" if by else "deleted"), ""
    if letter in _ENDED:
        return f"{letter}, {'never ran' if code is None else f'exit status {code}'}", comment
    return letter or "no state", comment
