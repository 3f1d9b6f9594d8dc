"""How a submission becomes jobs: groups that ask for the same, shares of one job element, arrays within limits. Pure.

What is decided is written down before anything is submitted (`plan.json`), so that whoever comes after a crash knows
which task is which element of which job.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..contract import Attempt, SubmitRequest, TaskResources, TaskSpec

__all__ = ["Draft", "Live", "Place", "Plan", "PlannedJob", "draft_jobs", "find_lane", "job_name", "merged"]

_FORMAT = 1
_MAX_DEPENDENCIES = 50
"""A job waits for so many others at the most: their ids stand in its script."""


class Draft(NamedTuple):
    """A job that is to be submitted.

    :param shares: the tasks of each element.
    :param resources: of one task.
    """

    resources: TaskResources
    shares: Sequence[Sequence[TaskSpec]]

    @property
    def tasks(self) -> Iterator[TaskSpec]:
        """All tasks of the job."""
        return (task for share in self.shares for task in share)


class PlannedJob(NamedTuple):
    """A job as it was planned.

    :param shares: the attempts of each element.
    :param at_once: how many elements may run at once.
    """

    shares: Sequence[Sequence[Attempt]]
    at_once: int


class Place(NamedTuple):
    """Where an attempt is: which job of its submission, which element."""

    job: int
    element: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """What became of one submission before it was made.

    :param since: when, in Unix seconds by the clock of the submitting machine.
    """

    token: str
    source: str
    since: float
    jobs: Tuple[PlannedJob, ...]

    def places(self) -> Dict[Attempt, Place]:
        """Where each attempt is."""
        return {
            attempt: Place(number, element)
            for number, job in enumerate(self.jobs)
            for element, share in enumerate(job.shares)
            for attempt in share
        }

    def names(self) -> List[str]:
        """The names of its jobs, in order."""
        return [job_name(self.token, number) for number in range(len(self.jobs))]

    def to_json(self) -> bytes:
        """As it is kept."""
        jobs = [{"shares": job.shares, "at_once": job.at_once} for job in self.jobs]
        kept = {"plan": _FORMAT, "token": self.token, "source": self.source, "since": self.since, "jobs": jobs}
        return json.dumps(kept).encode("ascii")

    @classmethod
    def from_json(cls, data: bytes) -> Plan:
        """As it was kept. :raises ValueError: when it makes no sense."""
        try:
            kept = json.loads(data)
            jobs = tuple(
                PlannedJob([[(int(i), int(a)) for i, a in share] for share in job["shares"]], int(job["at_once"]))
                for job in kept["jobs"]
            )
            return cls(str(kept["token"]), str(kept["source"]), float(kept["since"]), jobs)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a plan: {type(error).__name__}: {error}") from error


def job_name(token: str, number: int) -> str:
    """The name that the scheduler knows a job by."""
    return f"{token}.{number}"


def draft_jobs(request: SubmitRequest, defaults: TaskResources, array_size: int, tasks_per_job: int) -> Iterator[Draft]:
    """The jobs of a submission: tasks that ask for the same share an array, `tasks_per_job` of them an element."""
    groups: Dict[TaskResources, List[TaskSpec]] = {}
    for task in request.tasks:
        groups.setdefault(merged(task.resources, defaults), []).append(task)
    for resources, tasks in groups.items():
        shares = [tasks[i : i + tasks_per_job] for i in range(0, len(tasks), tasks_per_job)]
        for i in range(0, len(shares), max(1, array_size)):
            yield Draft(resources, shares[i : i + max(1, array_size)])


def merged(wanted: TaskResources, defaults: TaskResources) -> TaskResources:
    """What a task asks for, with the source's own values where it says nothing."""
    changes = {
        field.name: getattr(defaults, field.name)
        for field in dataclasses.fields(TaskResources)
        if getattr(wanted, field.name) == field.default
    }
    return dataclasses.replace(wanted, **changes)


class Live(NamedTuple):
    """A job that is in the queue.

    :param width: how many of its elements may yet run at once.
    """

    job: str
    width: int


def find_lane(
    live: Sequence[Live], slots: int, wanted: int, throttles: bool = True
) -> Optional[Tuple[int, Tuple[str, ...]]]:
    """How many elements of a new job may run at once, and which jobs must be over before it starts.

    All jobs that can run beside each other have together at most `slots` elements running. None: too many jobs
    would have to be waited for.

    :param live: oldest first.
    :param wanted: elements of the new job.
    :param throttles: it can be told to run fewer of them at once.
    """
    wanted = min(wanted, slots)
    free = slots - sum(job.width for job in live)
    # A job keeps its width to its end: a narrow one now would waste more than it gains.
    if free >= wanted or (throttles and free >= max(1, slots // 2)):
        return min(wanted, free), ()
    after: List[str] = []
    for job in live:
        after.append(job.job)
        free += job.width
        if free >= wanted:
            break
    return (wanted, tuple(after)) if len(after) <= _MAX_DEPENDENCIES else None
