"""What Slurm's states and reasons mean, in the words that all schedulers share."""

from __future__ import annotations

from typing import FrozenSet, Mapping

from hsm_core.toolkit.dialect import JobState

__all__ = ["read_state"]

_STATES: Mapping[str, JobState] = {
    "PENDING": JobState.WAITING,
    "REQUEUED": JobState.WAITING,
    "REQUEUE_FED": JobState.WAITING,
    "REQUEUE_HOLD": JobState.HELD,
    "RESV_DEL_HOLD": JobState.HELD,
    "SPECIAL_EXIT": JobState.HELD,
    "CONFIGURING": JobState.RUNNING,
    "POWER_UP_NODE": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "RUNNING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "STOPPED": JobState.SUSPENDED,
    "SUSPENDED": JobState.SUSPENDED,
    "COMPLETING": JobState.ENDING,
    "STAGE_OUT": JobState.ENDING,
    "COMPLETED": JobState.DONE,
    "FAILED": JobState.DONE,
    "DEADLINE": JobState.TIMEOUT,
    "TIMEOUT": JobState.TIMEOUT,
    "OUT_OF_MEMORY": JobState.OUT_OF_MEMORY,
    "CANCELLED": JobState.CANCELLED,
    "PREEMPTED": JobState.PREEMPTED,
    "BOOT_FAIL": JobState.NODE_FAILED,
    "LAUNCH_FAILED": JobState.NODE_FAILED,
    "NODE_FAIL": JobState.NODE_FAILED,
    "RECONFIG_FAIL": JobState.NODE_FAILED,
}
# REVOKED is left out on purpose: a sibling cluster has the job, and how it fares there is not known here.

_NEVER: FrozenSet[str] = frozenset(
    {
        "AccountNotAllowed",
        "BadConstraints",
        "DependencyNeverSatisfied",
        "InvalidAccount",
        "InvalidQOS",
        "JobHeldAdmin",
        "JobHeldUser",
        "PartitionConfig",
        "PartitionNodeLimit",
        "PartitionTimeLimit",
        "QOSNotAllowed",
        "Reservation deleted",
    }
)
"""Reasons of pending jobs that do not go away by waiting."""

_LAUNCH_FAILURES: FrozenSet[str] = frozenset({"JobLaunchFailure", "LaunchFailure", "0:53"})
"""Said of a FAILED job: its script never began. The folder of its output is not to be written there, mostly."""


def read_state(word: str, reason: str = "") -> JobState:
    """The meaning of a state (`RUNNING`, `CANCELLED by 1000`, `CANCELLED+`) with its reason, or its exit code."""
    name = word.split(" ", 1)[0].rstrip("+")
    state = _STATES.get(name, JobState.UNKNOWN)
    if state is JobState.WAITING and (reason in _NEVER or "held" in reason):
        return JobState.HELD
    if name == "FAILED" and reason in _LAUNCH_FAILURES:
        return JobState.NODE_FAILED
    return state
