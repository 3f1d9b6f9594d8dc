"""What is known of one job: which of its attempts are open, and what the scheduler says of its elements. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set

from ..contract import Attempt
from .batch_plan import Plan, job_name
from .dialect import ENDED_STATES, WAITING_STATES, JobSeen, JobState

__all__ = ["Job", "Target", "fate_of"]


class Target(NamedTuple):
    """Elements of a job of ours by its name, which nobody else's has. Its id may be another's by now.

    :param indices: empty for a plain job, or for the whole of an array.
    :param waiting: only those of the indices that still wait in the queue are meant.
    """

    name: str
    indices: Sequence[int] = ()
    waiting: bool = False


@dataclass
class Job:
    """A job with attempts whose ends have not been reported.

    :param expected_at: a queue that is asked later than this, on the monotonic clock, shows it if it is there.
    :param id: as the scheduler has it; empty while it is not known.
    """

    plan: Plan
    number: int
    expected_at: float
    id: str = ""
    open: Dict[int, Set[Attempt]] = field(default_factory=dict)
    """By element."""
    rows: Dict[int, JobSeen] = field(default_factory=dict)
    """The scheduler's last word on each element."""
    gone: Dict[int, float] = field(default_factory=dict)
    """Since when an element with open attempts is not in the queue any more, or is there as ended."""
    absent: Dict[int, float] = field(default_factory=dict)
    """Since when any element, its attempts open or not, has not been in the queue, by complete listings."""
    denied: Set[int] = field(default_factory=set)
    """Elements that are not in the queue, and of which the scheduler, asked for this very job, said so too."""
    kill_at: Dict[int, float] = field(default_factory=dict)
    """When an element that was asked to end is taken out by the scheduler."""
    lent: bool = False
    """Some element ran a task of another, which may wait in the queue for nothing."""
    dismissed: Set[int] = field(default_factory=set)
    """Elements that we have taken out of the queue because nothing was left for them to do."""

    @property
    def name(self) -> str:
        """As the scheduler knows it."""
        return job_name(self.plan.token, self.number)

    @property
    def size(self) -> int:
        """Elements."""
        return len(self.plan.jobs[self.number].shares)

    @property
    def width(self) -> int:
        """How many elements may yet run at once."""
        return min(self.plan.jobs[self.number].at_once, len(self.open))

    def put(self, element: int, attempt: Attempt) -> None:
        """An attempt is open."""
        self.open.setdefault(element, set()).add(attempt)

    def drop(self, element: int, attempt: Attempt) -> None:
        """An attempt is over."""
        attempts = self.open.get(element, set())
        attempts.discard(attempt)
        if not attempts:
            self.open.pop(element, None)
            for known in (self.gone, self.kill_at):
                known.pop(element, None)

    def element_of(self, runner: str) -> Optional[int]:
        """Which of its elements a runner is; None if it is none of them."""
        name, _, number = runner.rpartition(".")
        return int(number) if name == self.name and number.isdecimal() and int(number) < self.size else None

    def target(self, wanted: Iterable[int]) -> Target:
        """Elements as commands name them."""
        indices = sorted(wanted)
        return Target(self.name, () if self.size == 1 or len(indices) == self.size else indices)

    def take_queue(self, rows: Sequence[JobSeen], complete: bool, asked_at: float) -> bool:
        """Take in what the queue says; whether it says anything new."""
        before = dict(self.rows)
        found = self._by_element(rows)
        self.rows.update(found)
        there = {element for element, row in found.items() if row.state not in ENDED_STATES}
        self.denied -= there
        if complete and asked_at >= self.expected_at:
            self.absent = {e: self.absent.get(e, asked_at) for e in range(self.size) if e not in there}
        for element in self.open:
            row = found.get(element)
            if element in there:
                self.gone.pop(element, None)
            elif row is not None or (complete and asked_at >= self.expected_at):
                self.gone.setdefault(element, asked_at)
                if row is None and self.rows.get(element) is not None:
                    self._forget_waiting(element)
        return before != self.rows

    def take_accounts(self, rows: Sequence[JobSeen]) -> None:
        """Take in what the accounts say of elements that have left the queue."""
        for element, row in self._by_element(rows).items():
            if element in self.gone and row.state in ENDED_STATES:
                self.rows[element] = row

    def take_answer(self, rows: Sequence[JobSeen]) -> bool:
        """Take in what the scheduler says when it is asked for this job alone; whether any missing element is there."""
        found = self._by_element(rows)
        living = {element for element, row in found.items() if row.state not in ENDED_STATES}
        self.rows.update(found)
        self.denied = (self.denied | set(self.gone) | set(self.absent)) - set(found)
        alive_after_all = living.intersection(self.gone)
        for known in (self.gone, self.absent):
            for element in living.intersection(known):
                del known[element]
        return bool(alive_after_all)

    def heard_of(self, element: int) -> None:
        """It has just left word: whatever the scheduler says, it was there until now."""
        self.gone.pop(element, None)
        self.denied.discard(element)

    def is_over(self, element: int) -> bool:
        """The scheduler has said that it ended, or that there is no such job. That it is not listed says neither."""
        return self.end_of(element) is not None or element in self.denied

    def unexplained(self) -> bool:
        """Some element has left the queue, and nothing says why."""
        return any(self.end_of(element) is None for element in self.gone)

    def end_of(self, element: int) -> Optional[JobSeen]:
        """The scheduler's word on how an element ended, if it has said one."""
        row = self.rows.get(element)
        return row if row is not None and row.state in ENDED_STATES else None

    def idle(self) -> List[int]:
        """Elements that wait in the queue with nothing left to do: others run their attempts, or have run them."""
        return [
            element
            for element, row in self.rows.items()
            if row.state in WAITING_STATES
            and element not in self.open
            and element not in self.absent
            and element not in self.dismissed
        ]

    def _forget_waiting(self, element: int) -> None:
        """It is not in the queue: what was said of it there is past, unless that was its end."""
        if self.rows[element].state not in ENDED_STATES:
            del self.rows[element]

    def _by_element(self, rows: Sequence[JobSeen]) -> Dict[int, JobSeen]:
        """Rows of our name by element. What lives counts whatever its id; an end counts for the id that is ours."""
        found: Dict[int, JobSeen] = {}
        living = [row for row in rows if row.state not in ENDED_STATES]
        if not self.id and rows:
            self.id = (living or rows)[0].job
        for row in rows:
            if row.job != self.id and row.state in ENDED_STATES:
                continue
            elements: Sequence[int] = row.indices if self.size > 1 and row.indices else range(self.size)
            for element in elements:
                known = found.get(element)
                # Of a job that was started again both lives may be listed: the living one counts.
                if known is None or known.state in ENDED_STATES:
                    found[element] = row
        return found


def fate_of(row: Optional[JobSeen], requeue: bool, ours: bool, dismissed: bool = False) -> Optional[Mapping[str, Any]]:
    """The exit record that a scheduler's word on a job stands for, where the task itself left none.

    :param requeue: a task that was ended for its job's walltime is to go on in another job.
    :param ours: we had asked for its end.
    :param dismissed: we had taken the job out of the queue for having nothing to do, and it was a moment quicker.
    """
    if row is None:
        return None
    words: List[str] = [row.word]
    if row.reason and row.reason.lower() not in ("none", row.word.lower()):
        words.append(row.reason)
    if row.nodes:
        words.append(f"on {row.nodes}")
    reason = " ".join(words)
    if row.state is JobState.TIMEOUT:
        return {"state": "preempted" if requeue else "timeout", "reason": reason}
    if row.state is JobState.OUT_OF_MEMORY:
        return {"state": "failed", "oom_killed": True, "reason": reason}
    if row.state is JobState.PREEMPTED or (row.state is JobState.CANCELLED and dismissed and not ours):
        return {"state": "preempted", "reason": reason}
    if row.state is JobState.CANCELLED:
        return {"state": "cancelled", "reason": reason, **({} if ours else {"by": row.word})}
    return None
