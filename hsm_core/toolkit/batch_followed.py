"""The attempts that a batch source has in its care: where each is, and what is known of it besides its end. Pure."""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, Optional, Set, Tuple

from ..contract import Attempt
from .batch_jobs import Job
from .batch_plan import Live, Plan

__all__ = ["Followed"]


class Followed:
    """All jobs with attempts whose ends have not been reported."""

    def __init__(self) -> None:
        self.jobs: Dict[str, Job] = {}
        """By name."""
        self.where: Dict[Attempt, Tuple[Job, int]] = {}
        """The job and the element of each."""
        self.started: Set[Attempt] = set()
        """Their programs were seen to start."""
        self.told_to_end: Set[Attempt] = set()
        """They are being cancelled by us."""
        self.preempted: Set[Attempt] = set()
        """Their runners were told to end, and could not know why."""
        self.borrowed: Set[Attempt] = set()
        """They run in an element which is not the one that they were planned for."""
        self._reserved: Dict[str, Live] = {}

    def add(self, plan: Plan, attempts: Iterable[Attempt], ids: Mapping[str, str], expected_at: float) -> List[Attempt]:
        """Follow these attempts of a plan; those of them that are new.

        :param ids: of its jobs, by number, as far as they are known.
        :param expected_at: when the queue shows a new job for certain.
        """
        places = plan.places()
        new: List[Attempt] = []
        for attempt in attempts:
            place = places.get(attempt)
            if place is None or attempt in self.where:
                continue
            job = Job(plan, place.job, expected_at, str(ids.get(str(place.job), "")))
            job = self.jobs.setdefault(job.name, job)
            job.put(place.element, attempt)
            self._reserved.pop(job.name, None)
            self.where[attempt] = (job, place.element)
            new.append(attempt)
        return new

    def move(self, attempt: Attempt, runner: str) -> None:
        """An attempt is where it runs, which need not be where it was planned to."""
        job, planned = self.where[attempt]
        element = job.element_of(runner)
        if element is not None and element != planned:
            job.drop(planned, attempt)
            job.put(element, attempt)
            job.lent = True
            self.where[attempt] = (job, element)
            self.borrowed.add(attempt)

    def drop(self, attempt: Attempt) -> Optional[Job]:
        """Nothing more is said of an attempt; its job, if that was the last of it."""
        found = self.where.pop(attempt, None)
        for known in (self.started, self.told_to_end, self.preempted, self.borrowed):
            known.discard(attempt)
        if found is None:
            return None
        job, element = found
        job.drop(element, attempt)
        return None if job.open else self.jobs.pop(job.name)

    # --- slots

    def live(self) -> List[Live]:
        """Jobs that take slots, oldest first."""
        jobs = sorted(self.jobs.values(), key=lambda job: (job.plan.since, job.number))
        earlier = [live for name, live in self._reserved.items() if name not in self.jobs]
        return earlier + [Live(job.id, job.width) for job in jobs if job.id]

    def reserve(self, name: str, live: Live) -> None:
        """A job in the queue whose attempts have not been handed to us takes slots all the same, while it is there."""
        self._reserved[name] = live

    def keep_reserved(self, there: Set[str]) -> None:
        """Of the reserved jobs only these are in the queue."""
        self._reserved = {name: live for name, live in self._reserved.items() if name in there}

    @property
    def names(self) -> List[str]:
        """All jobs that the queue is asked for."""
        return [*self.jobs, *self._reserved]
