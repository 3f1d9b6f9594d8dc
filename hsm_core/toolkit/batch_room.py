"""What a cluster lets its user have, and what it has of theirs: learnt before the first submission, never assumed."""

from __future__ import annotations

from typing import Callable, Iterable, List, Tuple

from ..contract import Acceptance, SourceSpec, TaskAnswer
from .batch_plan import Draft, Live
from .batch_scheduler import Scheduler
from .batch_site import Site
from .batch_watch import Watch
from .dialect import ENDED_STATES

__all__ = ["Room", "answer_all"]

_ASK_AGAIN_S = 10.0
"""A cluster that does not tell its limits, or its queue, is left alone so long."""


class Room:
    """The room that there is for jobs.

    :param scheduler_name: for messages.
    """

    def __init__(
        self,
        scheduler_name: str,
        spec: SourceSpec,
        scheduler: Scheduler,
        site: Site,
        watch: Watch,
        clock: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:
        self._name = scheduler_name
        self._spec = spec
        self._scheduler = scheduler
        self._site = site
        self._watch = watch
        self._clock = clock
        self._say = say
        self.limits = scheduler.limits(spec.options)
        self._problem = self.limits.problem
        self._known = False
        self._ask_again_at = clock() + _ASK_AGAIN_S

    def learn(self, token: str) -> str:
        """Find out what the user may have, and has; why that cannot be said, if it cannot.

        :param token: of the submission that is to be made.
        """
        if self._known:
            return ""
        now = self._clock()
        if not self._problem or now >= self._ask_again_at:
            if self.limits.problem:
                self.limits = self._scheduler.limits(self._spec.options)
            problem = self.limits.problem or self._learn_live(token)
            if problem and problem != self._problem:
                self._say(problem)
            self._problem = problem
            self._known = not problem
            self._ask_again_at = now + _ASK_AGAIN_S
        return self._problem

    def fit(self, drafts: Iterable[Draft]) -> Tuple[List[Draft], List[TaskAnswer]]:
        """What the user may have in the queue now, other jobs counted, and answers for the rest, which waits."""
        most = self.limits.queued
        if most is None:
            return list(drafts), []
        room = max(0, most - (self._watch.query([]).queued or 0))
        reason = f"{self._name} lets this user have {most} jobs in the queue; waiting for some to end"
        fitting: List[Draft] = []
        answers: List[TaskAnswer] = []
        for resources, shares in drafts:
            if shares[:room]:
                fitting.append(Draft(resources, shares[:room]))
            answers += answer_all(Draft(resources, shares[room:]), Acceptance.LIMIT, reason)
            room = max(0, room - len(shares))
        return fitting, answers

    def _learn_live(self, token: str) -> str:
        """Jobs of earlier controllers, which may not have been handed to us yet, use slots too. What went wrong."""
        sweep = token.rsplit("-", 2)[0] + "-"
        listing = self._watch.query([])
        if not listing.complete:
            return listing.problem or f"{self._name}: the queue cannot be read"
        for row in listing.jobs:
            earlier, _, _ = row.name.rpartition(".")
            if not row.name.startswith(sweep) or row.name in self._watch.followed.jobs or row.state in ENDED_STATES:
                continue
            plan = self._site.plan(earlier)
            if plan is not None and plan.source == self._spec.id and row.name in plan.names():
                self._watch.followed.reserve(row.name, Live(row.job, plan.jobs[plan.names().index(row.name)].at_once))
        return ""


def answer_all(draft: Draft, acceptance: Acceptance, reason: str) -> List[TaskAnswer]:
    """The same answer for all tasks of a job."""
    return [TaskAnswer((task.index, task.attempt), acceptance, reason=reason) for task in draft.tasks]
