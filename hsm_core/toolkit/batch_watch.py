"""What becomes of jobs: their own news first, the scheduler's words for what the news leaves open."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from ..contract import Attempt, Handle, Health, HealthReport, Observation, ObservationKind, PollResult
from .batch_endings import Endings, Manners
from .batch_followed import Followed
from .batch_jobs import Job, Target
from .batch_plan import Plan
from .batch_scheduler import Scheduler
from .batch_site import News, Site
from .dialect import ENDED_STATES, JobSeen, JobState, Listing

__all__ = ["Watch"]

_END_AGAIN_S = 10.0
"""A scheduler that could not be told is left alone so long."""
_SUBMISSION_LAG_S = 2.0
"""A queue that was asked so soon after a submission need not show it."""
_ACCOUNTING_SLACK_S = 3600.0
"""Clocks of two machines may differ."""


class Watch:
    """Looks after what is followed: news of the jobs, the scheduler's words, and what follows from both."""

    def __init__(
        self,
        site: Site,
        scheduler: Scheduler,
        manners: Manners,
        clock: Callable[[], float],
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._site = site
        self._scheduler = scheduler
        self._manners = manners
        self._clock = clock
        self._say = say
        self.followed = Followed()
        self._endings = Endings(self.followed, site, scheduler, manners, clock, self._say_once)
        self._to_look: Set[Attempt] = set()
        self._said: Dict[Attempt, Tuple[ObservationKind, str]] = {}
        self._extra: List[Observation] = []
        self.unwanted: List[Target] = []
        self._end_again_at = float("-inf")
        self._told: Set[str] = set()
        self._garbage: Set[str] = set()
        self.health = HealthReport(Health.HEALTHY)
        """Whether the last question was answered."""
        self._told_health = self.health

    def add(self, plan: Plan, attempts: Iterable[Attempt], ids: Mapping[str, str], adopted: bool = False) -> None:
        """Follow these attempts of a plan.

        :param ids: of its jobs, by number, as far as they are known.
        """
        lag = min(_SUBMISSION_LAG_S, self._manners.lost_grace_s)
        new = self.followed.add(plan, attempts, ids, self._clock() + lag)
        if adopted:
            self._to_look.update(new)
        self._scheduler.hurry()

    def adopt(self, handles: Mapping[Attempt, Handle]) -> None:
        """Follow these, too; the next look says which of them cannot be followed."""
        strangers: Dict[str, Dict[Attempt, Handle]] = {}
        for attempt, handle in handles.items():
            if attempt not in self.followed.where:
                strangers.setdefault(str(handle.get("token", "")), {})[attempt] = handle
        for token, group in strangers.items():
            try:
                plan = self._site.plan(token) if token else None
                problem = "" if plan else f"nothing is known of a submission {token or 'without a token'}"
            except (OSError, ValueError) as error:
                plan, problem = None, f"the plan of submission {token} cannot be read: {error}"
            if plan is not None:
                ids = next(iter(group.values())).get("jobs")
                self.add(plan, group, ids if isinstance(ids, Mapping) else {}, adopted=True)
            for attempt in group:
                if attempt not in self.followed.where:
                    said = problem or f"it is not in the plan of submission {token}"
                    self._extra.append(Observation(attempt, ObservationKind.UNKNOWN, None, said))

    def bad_nodes(self) -> Tuple[str, ...]:
        """Nodes that failed again and again."""
        return self._endings.bad_nodes()

    # --- a look

    def look(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        """What is new."""
        for attempt in [attempt for attempt in self.followed.where if attempt not in handles]:
            self._close(attempt)
        self.adopt(handles)
        garbage: List[str] = []
        # Kept until it is told: what fails below must not take it along, for its files are taken away the next time.
        self._extra += self._read_news()
        try:
            if self.followed.jobs and self._scheduler.due():
                self._extra += self._ask_scheduler(garbage)
            self._extra += self._endings.settle()
            if self._endings.problem:
                self.health = HealthReport(Health.DEGRADED, self._endings.problem)
            self.end_unwanted()
        except OSError as error:
            self.health = HealthReport(Health.DEGRADED, str(error))
        seen, self._extra = self._extra, []
        for attempt, kind, _, _ in seen:
            if kind in _OVER:
                self._close(attempt)
        health = None if self.health == self._told_health else self.health
        self._told_health = self.health
        return PollResult(seen, complete=False, garbage=garbage, health=health)

    def close(self) -> None:
        """Take away the news that has been told; let nothing wait for which nothing is left to do."""
        self._site.news([])
        with contextlib.suppress(OSError):
            self.end_unwanted()

    def read_news(self, withdraw: Sequence[Attempt] = ()) -> None:
        """Take in the news now, to be told by the next look.

        :param withdraw: attempts that shall never start, unless they have.
        """
        self._extra += self._read_news(withdraw)

    def over(self, *kinds: ObservationKind) -> Set[Attempt]:
        """Attempts whose ends, of these kinds or of any, are known, and will be told by the next look."""
        return {seen.attempt for seen in self._extra if seen.kind in (kinds or _OVER)}

    def _read_news(self, withdraw: Sequence[Attempt] = ()) -> List[Observation]:
        if not self.followed.where and not withdraw:
            return []
        folders = [self._site.job_dir(job.plan.token, job.number) for job in self.followed.jobs.values()]
        look, self._to_look = sorted(self._to_look), set()
        seen: List[Observation] = []
        for item in self._site.news(folders, look, withdraw):
            if item.attempt in self.followed.where:
                seen += self._translate(item)
                job, element = self.followed.where[item.attempt]
                if item.kind in ("s", "e"):
                    job.heard_of(element)
        return seen

    def _translate(self, news: News) -> Iterator[Observation]:
        attempt, kind, detail = news
        record = dict(detail) if isinstance(detail, dict) else None
        if record is not None:
            self.followed.move(attempt, str(record.pop("runner", "")))
        reason = str((record or {}).get("reason") or "") if record else str(detail or "")
        if kind == "s":
            yield from self._start(attempt, record)
        elif kind == "e" and record is not None and record.get("state") == "preempted":
            self.followed.preempted.add(attempt)  # why its job was told to end, the scheduler will say
            self._scheduler.hurry()
        elif kind == "e" and record is not None:
            if "pid" in record:  # else there was no program; the start of one that is over at once is not told apart
                facts = {key: record[key] for key in ("pid", "slot", "host") if key in record}
                yield from self._start(attempt, {"at": record.get("started_at"), **facts})
            yield Observation(attempt, ObservationKind.ENDED, record, reason)
        elif kind == "w":
            yield Observation(attempt, ObservationKind.WITHDRAWN, None, reason)
        elif kind == "r" and detail == "claimed":
            self._to_look.add(attempt)  # somebody has it, or had it: its folder says what became of it
        elif kind == "r":
            yield Observation(attempt, ObservationKind.REFUSED, None, reason)

    def _start(self, attempt: Attempt, facts: Optional[Mapping[str, Any]]) -> Iterator[Observation]:
        """It was seen to start, which is told once."""
        if attempt not in self.followed.started:
            self.followed.started.add(attempt)
            self._endings.has_started(attempt)
            yield Observation(attempt, ObservationKind.STARTED, facts)

    # --- the scheduler's words

    def _ask_scheduler(self, garbage: List[str]) -> List[Observation]:
        """One query of the queue for all jobs, and one of the accounts for those that left it without a word."""
        asked_at = self._clock()
        listing = self.query(self.followed.names, counted=True)
        changed = False
        rows: Dict[str, List[JobSeen]] = {}
        for row in listing.jobs:
            rows.setdefault(row.name, []).append(row)
        for job in self.followed.jobs.values():
            changed |= job.take_queue(rows.get(job.name, ()), listing.complete, asked_at)
        unexplained = [job for job in self.followed.jobs.values() if job.unexplained()]
        garbage += self._new_garbage(listing)
        if unexplained:
            since = min(job.plan.since for job in unexplained) - _ACCOUNTING_SLACK_S
            accounts = self._scheduler.accounting({job.name: job.id for job in unexplained}, since)
            garbage += self._new_garbage(accounts)
            for job in unexplained:
                job.take_accounts([row for row in accounts.jobs if row.name == job.name])
        self._scheduler.asked(changed or bool(unexplained))
        self._tell_waiting(listing)
        self._end_overdue()
        return [seen for job in self.followed.jobs.values() for seen in self._describe(job)]

    def query(self, names: Sequence[str], counted: bool = False) -> Listing:
        """What the queue says of these jobs, or of all of this user's; how the scheduler is, is taken from it."""
        listing = self._scheduler.queue(names, counted)
        if listing.complete:
            self.followed.keep_reserved({row.name for row in listing.jobs if row.state not in ENDED_STATES})
        problem = listing.problem
        self.health = HealthReport(Health.DEGRADED, problem) if problem else HealthReport(Health.HEALTHY)
        return listing

    def _new_garbage(self, listing: Listing) -> List[str]:
        new = [line for line in listing.garbage if line not in self._garbage]
        self._garbage.update(new)
        return new

    def _describe(self, job: Job) -> Iterator[Observation]:
        """The scheduler's word on what waits or runs, when it is new."""
        for element, attempts in job.open.items():
            row = job.rows.get(element)
            if row is None or row.state in ENDED_STATES:
                continue
            for attempt in attempts:
                said = _word_on(row, attempt in self.followed.started)
                if said != self._said.get(attempt, (ObservationKind.QUEUED, "")):
                    self._said[attempt] = said
                    yield Observation(attempt, said[0], None, said[1])

    def _tell_waiting(self, listing: Listing) -> None:
        """Say why jobs wait, each reason once."""
        waiting = (row for row in listing.jobs if row.name in self.followed.jobs and row.state is JobState.WAITING)
        for reason in sorted({row.reason for row in waiting} - {""}):
            self._say_once(f"waiting in the queue: {reason}")

    def _say_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._say(line)

    def _end_overdue(self) -> None:
        """Find elements that were asked to end and are still there, and those whose tasks others have run."""
        now = self._clock()
        for job in self.followed.jobs.values():
            due = [element for element, deadline in job.kill_at.items() if deadline <= now]
            for element in due:
                job.kill_at[element] = now + self._manners.lost_grace_s
            if due:
                self.unwanted.append(job.target(due))
            idle = job.idle() if self._manners.helping else []
            if idle:
                self.unwanted.append(Target(job.name, idle, waiting=True))
                job.dismissed.update(idle)

    def end_unwanted(self) -> None:
        """Have the scheduler take out what nobody wants any more. :raises OSError: when it could not be told; later."""
        now = self._clock()
        if self.unwanted and now >= self._end_again_at:
            self._end_again_at = now + _END_AGAIN_S
            self._scheduler.cancel(self.unwanted)
            self.unwanted = []
            self._end_again_at = now

    def _close(self, attempt: Attempt) -> None:
        """Nothing more is said of an attempt."""
        self._to_look.discard(attempt)
        self._said.pop(attempt, None)
        job = self.followed.drop(attempt)
        if job is not None and job.lent:
            self.unwanted.append(Target(job.name))


_OVER = frozenset({ObservationKind.ENDED, ObservationKind.LOST, ObservationKind.WITHDRAWN, ObservationKind.REFUSED})


def _word_on(row: JobSeen, started: bool) -> Tuple[ObservationKind, str]:
    """How a scheduler's word is told."""
    if row.state is JobState.UNKNOWN:
        return ObservationKind.UNKNOWN, row.word
    if row.state is JobState.SUSPENDED or (row.state is JobState.HELD and not started):
        return ObservationKind.HELD, row.reason or row.word
    # Its runner says more; and why it waits is the same for thousands, and changes all the time: see `_tell_waiting`.
    return ObservationKind.QUEUED, ""
