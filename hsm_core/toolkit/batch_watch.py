"""What becomes of jobs: their own news first, the scheduler's words for what the news leaves open."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ..contract import Attempt, Handle, Health, HealthReport, Observation, ObservationKind, PollResult
from .batch_jobs import Job, Target, fate_of
from .batch_plan import Live, Place, Plan
from .batch_scheduler import Scheduler
from .batch_site import News, Site
from .dialect import ENDED_STATES, JobSeen, JobState, Listing

__all__ = ["Manners", "Watch"]

_MAX_FRUITLESS = 2
"""A task whose jobs ended so often before it was started is refused: something is wrong with the job, not the task."""
_END_AGAIN_S = 10.0
"""A scheduler that could not be told is left alone so long."""
_BAD_NODE = 2
"""A node that failed so often is left out."""
_SUBMISSION_LAG_S = 2.0
"""A queue that was asked so soon after a submission need not show it."""
_NEVER_SEEN = 10
"""A job that no listing has ever shown is given up after so many times the patience for files."""
_ACCOUNTING_SLACK_S = 3600.0
"""Clocks of two machines may differ."""


class Manners(NamedTuple):
    """How patient the watch is, and what it makes of ends.

    :param lost_grace_s: how long files may take to be seen here after their job is over.
    :param requeue: a task that its job's walltime ended goes on in another job.
    :param helping: elements run tasks of others when they are done with their own.
    """

    lost_grace_s: float = 30.0
    requeue: bool = False
    helping: bool = False


class Watch:
    """All jobs with attempts whose ends have not been reported."""

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
        self.jobs: Dict[str, Job] = {}
        self._where: Dict[Attempt, Tuple[Job, int]] = {}
        self._to_look: Set[Attempt] = set()
        self._started: Set[Attempt] = set()
        self._told_to_end: Set[Attempt] = set()
        self._preempted: Set[Attempt] = set()
        self._borrowed: Set[Attempt] = set()
        self._said: Dict[Attempt, Tuple[ObservationKind, str]] = {}
        self._extra: List[Observation] = []
        self._reserved: Dict[str, Live] = {}
        self.unwanted: List[Target] = []
        self._end_again_at = float("-inf")
        self._told: Set[str] = set()
        self._fruitless: Counter[int] = Counter()
        self._failures: Counter[str] = Counter()
        self._garbage: Set[str] = set()
        self._health = HealthReport(Health.HEALTHY)
        self._told_health = self._health

    # --- which jobs there are

    def add(self, plan: Plan, attempts: Iterable[Attempt], ids: Mapping[str, str], adopted: bool = False) -> None:
        """Follow these attempts of a plan.

        :param ids: of its jobs, by number, as far as they are known.
        """
        places = plan.places()
        for attempt in attempts:
            place = places.get(attempt)
            if place is None or attempt in self._where:
                continue
            job = self._job(plan, place, ids)
            job.put(place.element, attempt)
            self._reserved.pop(job.name, None)
            self._where[attempt] = (job, place.element)
            if adopted:
                self._to_look.add(attempt)
        self._scheduler.hurry()

    def _job(self, plan: Plan, place: Place, ids: Mapping[str, str]) -> Job:
        lag = min(_SUBMISSION_LAG_S, self._manners.lost_grace_s)
        job = Job(plan, place.job, self._clock() + lag, str(ids.get(str(place.job), "")))
        return self.jobs.setdefault(job.name, job)

    def adopt(self, handles: Mapping[Attempt, Handle]) -> None:
        """Follow these, too; the next look says which of them cannot be followed."""
        strangers: Dict[str, Dict[Attempt, Handle]] = {}
        for attempt, handle in handles.items():
            if attempt not in self._where:
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
                if attempt not in self._where:
                    said = problem or f"it is not in the plan of submission {token}"
                    self._extra.append(Observation(attempt, ObservationKind.UNKNOWN, None, said))

    def live(self) -> List[Live]:
        """Jobs that take slots, oldest first."""
        jobs = sorted(self.jobs.values(), key=lambda job: (job.plan.since, job.number))
        earlier = [live for name, live in self._reserved.items() if name not in self.jobs]
        return earlier + [Live(job.id, job.width) for job in jobs if job.id]

    def reserve(self, name: str, live: Live) -> None:
        """A job in the queue whose attempts have not been handed to us takes slots all the same, while it is there."""
        self._reserved[name] = live

    def bad_nodes(self) -> Tuple[str, ...]:
        """Nodes that failed again and again."""
        return tuple(sorted(node for node, failures in self._failures.items() if failures >= _BAD_NODE))

    def expect_end(self, attempts: Iterable[Attempt]) -> None:
        """These are being cancelled by us."""
        self._told_to_end.update(attempts)

    def place(self, attempt: Attempt) -> Optional[Tuple[Job, int]]:
        """Where an attempt is, None if it is not followed."""
        return self._where.get(attempt)

    def has_started(self, attempt: Attempt) -> bool:
        """Its program was seen to start."""
        return attempt in self._started

    # --- a look

    def look(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        """What is new."""
        for attempt in [attempt for attempt in self._where if attempt not in handles]:
            self._close(attempt)
        self.adopt(handles)
        garbage: List[str] = []
        # Kept until it is told: what fails below must not take it along, for its files are taken away the next time.
        self._extra += self._read_news()
        try:
            if self.jobs and self._scheduler.due():
                self._extra += self._ask_scheduler(garbage)
            self._extra += self._settle_gone()
            self.end_unwanted()
        except OSError as error:
            self._health = HealthReport(Health.DEGRADED, str(error))
        seen, self._extra = self._extra, []
        for attempt, kind, _, _ in seen:
            if kind in _OVER:
                self._close(attempt)
        health = None if self._health == self._told_health else self._health
        self._told_health = self._health
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
        if not self._where and not withdraw:
            return []
        folders = [self._site.job_dir(job.plan.token, job.number) for job in self.jobs.values()]
        look, self._to_look = sorted(self._to_look), set()
        seen: List[Observation] = []
        for item in self._site.news(folders, look, withdraw):
            if item.attempt in self._where:
                seen += self._translate(item)
                job, element = self._where[item.attempt]
                if item.kind in ("s", "e"):
                    job.heard_of(element)
        return seen

    def _translate(self, news: News) -> Iterator[Observation]:
        attempt, kind, detail = news
        record = dict(detail) if isinstance(detail, dict) else None
        if record is not None:
            self._move(attempt, str(record.pop("runner", "")))
        reason = str((record or {}).get("reason") or "") if record else str(detail or "")
        if kind == "s" and attempt not in self._started:
            self._started.add(attempt)
            self._fruitless.pop(attempt[0], None)
            yield Observation(attempt, ObservationKind.STARTED, record)
        elif kind == "e" and record is not None and record.get("state") == "preempted":
            self._preempted.add(attempt)  # why its job was told to end, the scheduler will say
            self._scheduler.hurry()
        elif kind == "e" and record is not None:
            yield Observation(attempt, ObservationKind.ENDED, record, reason)
        elif kind == "w":
            yield Observation(attempt, ObservationKind.WITHDRAWN, None, reason)
        elif kind == "r" and detail == "claimed":
            self._to_look.add(attempt)  # somebody has it, or had it: its folder says what became of it
        elif kind == "r":
            yield Observation(attempt, ObservationKind.REFUSED, None, reason)

    def _move(self, attempt: Attempt, runner: str) -> None:
        """An attempt is where it runs, which need not be where it was planned to."""
        job, planned = self._where[attempt]
        element = job.element_of(runner)
        if element is not None and element != planned:
            job.drop(planned, attempt)
            job.put(element, attempt)
            job.lent = True
            self._where[attempt] = (job, element)
            self._borrowed.add(attempt)

    # --- the scheduler's words

    def _ask_scheduler(self, garbage: List[str]) -> List[Observation]:
        """One query of the queue for all jobs, and one of the accounts for those that left it without a word."""
        asked_at = self._clock()
        listing = self.query([*self.jobs, *self._reserved], counted=True)
        changed = False
        rows: Dict[str, List[JobSeen]] = {}
        for row in listing.jobs:
            rows.setdefault(row.name, []).append(row)
        for job in self.jobs.values():
            changed |= job.take_queue(rows.get(job.name, ()), listing.complete, asked_at)
        unexplained = [job for job in self.jobs.values() if job.unexplained()]
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
        return [seen for job in self.jobs.values() for seen in self._describe(job)]

    def query(self, names: Sequence[str], counted: bool = False) -> Listing:
        """What the queue says of these jobs, or of all of this user's; how the scheduler is, is taken from it."""
        listing = self._scheduler.queue(names, counted)
        if listing.complete and self._reserved:
            there = {row.name for row in listing.jobs if row.state not in ENDED_STATES}
            self._reserved = {name: live for name, live in self._reserved.items() if name in there}
        problem = listing.problem
        self._health = HealthReport(Health.DEGRADED, problem) if problem else HealthReport(Health.HEALTHY)
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
                said = _word_on(row, attempt in self._started)
                if said != self._said.get(attempt, (ObservationKind.QUEUED, "")):
                    self._said[attempt] = said
                    yield Observation(attempt, said[0], None, said[1])

    def _tell_waiting(self, listing: Listing) -> None:
        """Say why jobs wait, each reason once."""
        waiting = (row for row in listing.jobs if row.name in self.jobs and row.state is JobState.WAITING)
        for reason in sorted({row.reason for row in waiting} - {""}):
            self._say_once(f"waiting in the queue: {reason}")

    def _say_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._say(line)

    def _end_overdue(self) -> None:
        """Find elements that were asked to end and are still there, and those whose tasks others have run."""
        now = self._clock()
        for job in self.jobs.values():
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

    # --- jobs that are over

    def _settle_gone(self) -> List[Observation]:
        attempts: List[Attempt] = []
        fates: Dict[Attempt, Mapping[str, Any]] = {}
        runners: List[str] = []
        shared: List[Attempt] = []
        for job in self.jobs.values():
            due = self._due(job)
            vouched = self._vouched(job) if due else []
            runners += [f"{job.name}.{element}" for element in vouched]
            for element in due:
                job.gone[element] = self._clock()  # if it cannot be settled, try again after another while
                for attempt in job.open[element]:
                    attempts.append(attempt)
                    if self._manners.helping and len(vouched) < job.size:
                        shared.append(attempt)
                    # Other tasks had a part of the job's walltime: this one has not had the time it asked for.
                    again = self._manners.requeue or attempt in self._borrowed
                    ours = attempt in self._told_to_end
                    fate = fate_of(job.end_of(element), again, ours, element in job.dismissed)
                    if fate is not None:
                        fates[attempt] = fate
        if not attempts:
            return []
        verdicts = self._site.settle(attempts, runners, fates, shared)
        self._fence([attempt for attempt, (verdict, _) in verdicts.items() if verdict == "lost"])
        return [seen for attempt, verdict in verdicts.items() for seen in self._conclude(attempt, *verdict)]

    def _due(self, job: Job) -> List[int]:
        """Elements that have been gone for long enough, and certainly are."""
        patient = self._clock() - self._manners.lost_grace_s
        due = [element for element, since in job.gone.items() if since <= patient or self._was_told(job, element)]
        # With helpers any element may have run the task.
        if due and not all(map(job.is_over, job.absent if self._manners.helping else due)):
            self._look_up(job, due)
        return [element for element in due if element in job.gone and job.is_over(element)]

    def _was_told(self, job: Job, element: int) -> bool:
        """Its runner has said that it was told to end, and the scheduler, why: nothing is left to wait for."""
        return job.end_of(element) is not None and self._preempted.issuperset(job.open[element])

    def _look_up(self, job: Job, missing: Iterable[int]) -> None:
        """Ask for a job that the queue does not list any more. Only a plain answer says that it is gone."""
        if not job.id:
            # It was never listed, and so has no id to ask for: all that is left is to wait far longer.
            if self._clock() - job.expected_at >= _NEVER_SEEN * self._manners.lost_grace_s:
                job.take_answer(())
            return
        answer = self._scheduler.look_up(job.id)
        if answer is None:
            return
        if not answer.complete:
            self._health = HealthReport(Health.DEGRADED, answer.problem)
            job.gone.update(dict.fromkeys(missing, self._clock()))
        elif job.take_answer([row for row in answer.jobs if row.name == job.name]):
            self._say_once(f"{job.name}: the queue does not list job {job.id}, which is there; it is waited for")

    def _vouched(self, job: Job) -> List[int]:
        """Elements of which the scheduler says that they are no more."""
        if not self._manners.helping:
            return [element for element in job.gone if job.is_over(element)]
        # Any element may have run the task: the one that did must be gone, and for as long as files may take.
        patient = self._clock() - self._manners.lost_grace_s
        return [element for element, since in job.absent.items() if since <= patient and job.is_over(element)]

    def _fence(self, lost: Iterable[Attempt]) -> None:
        """Should a runner be alive although its scheduler knows nothing of it, it ends what others will run again."""
        by_job: Dict[str, Tuple[Job, List[Attempt]]] = {}
        for attempt in lost:
            job, _ = self._where[attempt]
            by_job.setdefault(job.name, (job, []))[1].append(attempt)
        for job, attempts in by_job.values():
            self._site.request_end(job.plan.token, job.number, attempts, 0.0, f"lost-{time.time_ns()}")

    def _conclude(self, attempt: Attempt, verdict: str, detail: Any) -> Iterator[Observation]:
        """What is said of an attempt of a job that is over."""
        job, element = self._where[attempt]
        row = job.end_of(element)
        word = f"{row.word} {row.reason}".strip() if row is not None else "left the queue without a trace"
        if verdict == "ended":
            yield Observation(attempt, ObservationKind.ENDED, detail, str(detail.get("reason") or ""))
        elif verdict == "lost":
            self._blame(row)
            yield Observation(attempt, ObservationKind.LOST, None, f"{word}: {detail}")
        elif verdict == "withdrawn":
            self._blame(row)
            yield self._fruitless_end(attempt, word, row)
        elif verdict == "unknown" and not (self._manners.helping and attempt in self._started):
            yield Observation(attempt, ObservationKind.UNKNOWN, None, str(detail))

    def _fruitless_end(self, attempt: Attempt, word: str, row: Optional[JobSeen]) -> Observation:
        """A job ended before its task was started: again, unless that has happened before."""
        job, element = self._where[attempt]
        if attempt in self._told_to_end or (row is not None and row.state is JobState.PREEMPTED):
            return Observation(attempt, ObservationKind.WITHDRAWN, None, word)
        self._fruitless[attempt[0]] += 1
        last_words = self._site.last_words(job.plan.token, job.number, element)
        reason = f"its job ended before the task was started: {word}" + (f": {last_words}" if last_words else "")
        hopeless = self._fruitless[attempt[0]] >= _MAX_FRUITLESS
        return Observation(attempt, ObservationKind.REFUSED if hopeless else ObservationKind.WITHDRAWN, None, reason)

    def _blame(self, row: Optional[JobSeen]) -> None:
        if row is not None and row.state is JobState.NODE_FAILED and row.nodes:
            self._failures[row.nodes] += 1

    def _close(self, attempt: Attempt) -> None:
        """Nothing more is said of an attempt."""
        found = self._where.pop(attempt, None)
        for known in (self._started, self._told_to_end, self._preempted, self._borrowed, self._to_look):
            known.discard(attempt)
        self._said.pop(attempt, None)
        if found is not None:
            job, element = found
            job.drop(element, attempt)
            if not job.open:
                del self.jobs[job.name]
                if job.lent:
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
