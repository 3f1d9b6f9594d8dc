"""How attempts ended whose jobs are over without a word of theirs: who is asked, who is believed, what it means."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from ..contract import Attempt, Observation, ObservationKind
from .batch_followed import Followed
from .batch_jobs import Job, fate_of
from .batch_scheduler import Scheduler
from .batch_site import Site
from .dialect import JobSeen, JobState

__all__ = ["Endings", "Manners"]

_MAX_FRUITLESS = 2
"""A task whose jobs ended so often before it was started is refused: something is wrong with the job, not the task."""
_BAD_NODE = 2
"""A node that failed so often is left out."""
_NEVER_SEEN = 10
"""A job that no listing has ever shown is given up after so many times the patience for files."""


class Manners(NamedTuple):
    """How patient the watch is, and what it makes of ends.

    :param lost_grace_s: how long files may take to be seen here after their job is over.
    :param requeue: a task that its job's walltime ended goes on in another job.
    :param helping: elements run tasks of others when they are done with their own.
    """

    lost_grace_s: float = 30.0
    requeue: bool = False
    helping: bool = False


class Endings:
    """Settles the attempts of jobs that are over.

    :param say: tells a person something, each line once.
    """

    def __init__(
        self,
        followed: Followed,
        site: Site,
        scheduler: Scheduler,
        manners: Manners,
        clock: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:
        self._followed = followed
        self._site = site
        self._scheduler = scheduler
        self._manners = manners
        self._clock = clock
        self._say = say
        self.problem = ""
        """Why the scheduler could not say whether a job is there, the last time that it was asked."""
        self._fruitless: Counter[int] = Counter()
        self._failures: Counter[str] = Counter()

    def bad_nodes(self) -> Tuple[str, ...]:
        """Nodes that failed again and again."""
        return tuple(sorted(node for node, failures in self._failures.items() if failures >= _BAD_NODE))

    def has_started(self, attempt: Attempt) -> None:
        """Its job was not for nothing."""
        self._fruitless.pop(attempt[0], None)

    def settle(self) -> List[Observation]:
        """Ends of attempts whose jobs are over, where that is certain. :raises OSError: the host cannot be asked."""
        self.problem = ""
        attempts: List[Attempt] = []
        fates: Dict[Attempt, Mapping[str, Any]] = {}
        runners: List[str] = []
        shared: List[Attempt] = []
        for job in self._followed.jobs.values():
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
                    again = self._manners.requeue or attempt in self._followed.borrowed
                    ours = attempt in self._followed.told_to_end
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
        return job.end_of(element) is not None and self._followed.preempted.issuperset(job.open[element])

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
            self.problem = answer.problem
            job.gone.update(dict.fromkeys(missing, self._clock()))
        elif job.take_answer([row for row in answer.jobs if row.name == job.name]):
            self._say(f"{job.name}: the queue does not list job {job.id}, which is there; it is waited for")

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
            job, _ = self._followed.where[attempt]
            by_job.setdefault(job.name, (job, []))[1].append(attempt)
        for job, attempts in by_job.values():
            self._site.request_end(job.plan.token, job.number, attempts, 0.0, f"lost-{time.time_ns()}")

    def _conclude(self, attempt: Attempt, verdict: str, detail: Any) -> Iterator[Observation]:
        """What is said of an attempt of a job that is over."""
        job, element = self._followed.where[attempt]
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
        elif verdict == "unknown" and not (self._manners.helping and attempt in self._followed.started):
            yield Observation(attempt, ObservationKind.UNKNOWN, None, str(detail))

    def _fruitless_end(self, attempt: Attempt, word: str, row: Optional[JobSeen]) -> Observation:
        """A job ended before its task was started: again, unless that has happened before."""
        job, element = self._followed.where[attempt]
        if attempt in self._followed.told_to_end or (row is not None and row.state is JobState.PREEMPTED):
            return Observation(attempt, ObservationKind.WITHDRAWN, None, word)
        self._fruitless[attempt[0]] += 1
        last_words = self._site.last_words(job.plan.token, job.number, element)
        reason = f"its job ended before the task was started: {word}" + (f": {last_words}" if last_words else "")
        hopeless = self._fruitless[attempt[0]] >= _MAX_FRUITLESS
        return Observation(attempt, ObservationKind.REFUSED if hopeless else ObservationKind.WITHDRAWN, None, reason)

    def _blame(self, row: Optional[JobSeen]) -> None:
        if row is not None and row.state is JobState.NODE_FAILED and row.nodes:
            self._failures[row.nodes] += 1
