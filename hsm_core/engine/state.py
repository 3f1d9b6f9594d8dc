"""What is known of a sweep at one moment. Only `reduce` changes it; everyone may ask."""

from __future__ import annotations

from typing import Any, Counter, Dict, List, Mapping, Optional, Set, Tuple

from ..contract import FINAL_STATES, Handle, TaskState
from .events import Event
from .outcomes import Outcome, Outcomes
from .refusals import Refusals

__all__ = ["IN_FLIGHT", "UNSTARTED", "LiveTask", "SourceState", "SweepState", "validate"]

IN_FLIGHT = frozenset(
    {TaskState.ASSIGNED, TaskState.SUBMITTED, TaskState.RUNNING, TaskState.COLLECTING, TaskState.HELD}
)
"""States in which a source has, or may have, an attempt."""

UNSTARTED = frozenset({TaskState.ASSIGNED, TaskState.SUBMITTED, TaskState.HELD})
"""Those of them in which nothing has been seen of its program: it may yet turn out that it never starts."""


_NOTHING: Mapping[str, Any] = {}


class LiveTask:
    """A task that has been touched and has not ended for good."""

    __slots__ = (
        "attempt",
        "banned",
        "behind",
        "by_rule",
        "cancelling",
        "charged",
        "escalations",
        "facts",
        "given_at",
        "handle",
        "lost",
        "not_before",
        "observed",
        "resources",
        "source",
        "state",
        "token",
    )

    def __init__(self, attempt: int = 0) -> None:
        self.state = TaskState.PENDING
        self.attempt = attempt
        """The current attempt, or the last that is over while the task is pending."""
        self.charged = 0
        """Failures of its program so far, but for those that had a rule of their own."""
        self.by_rule: Mapping[str, int] = _NOTHING
        """Class of failure -> how often it was tried again by the rule for it."""
        self.escalations = 0
        """How often it was given more, because it ended for want of it."""
        self.resources: Mapping[str, Any] = _NOTHING
        """What it is given otherwise than it asks for, by the names of `TaskResources`."""
        self.lost = 0
        """Attempts that were lost so far."""
        self.source = ""
        self.token = ""
        self.given_at = 0.0
        """When its source was chosen."""
        self.behind = False
        """That it waits says nothing of the source: no slot was free there at that moment, or no controller looked."""
        self.handle: Optional[Handle] = None
        self.facts: Mapping[str, Any] = {}
        """Of the start (pid, slot, host, at), or the exit record while it is collected."""
        self.not_before = 0.0
        self.cancelling = False
        self.banned: Set[str] = set()
        """Sources that said they can never run it."""
        self.observed = ""
        """The backend's last word about it."""


class SourceState:
    """What the sweep knows of a source."""

    __slots__ = (
        "barred",
        "barred_until",
        "bars",
        "collecting",
        "completed",
        "elsewhere",
        "ended",
        "facts",
        "facts_at",
        "failed",
        "failing",
        "health",
        "id",
        "in_flight",
        "last_words",
        "number",
        "on_trial",
        "open",
        "rate",
        "reason",
        "refusals",
        "running",
        "seconds",
        "since",
        "slots",
        "starts",
        "waited_s",
        "window_ended",
        "window_start",
    )

    def __init__(self, id: str, number: int) -> None:
        self.id = id
        self.number = number
        self.slots = 0
        self.open = False
        """The present controller may give it tasks."""
        self.health = "healthy"
        self.reason = ""
        self.since = 0.0
        """When its health last changed, Unix seconds."""
        self.facts: Mapping[str, Any] = _NOTHING
        """What it last said of its machine."""
        self.facts_at: Optional[float] = None
        self.barred = ""
        """Why it is given nothing, or one task at a time: what runs there fails. Empty once a task completes there."""
        self.barred_until: Optional[float] = None
        """When it is next tried, Unix seconds; None: not by this controller."""
        self.bars = 0
        """How often it was barred since a task completed there."""
        self.on_trial = False
        """It is given one task at a time until one completes."""
        self.failing = 0
        """Attempts that failed there since one completed there, or since it was barred."""
        self.last_words = ""
        """Signature of the last failure there."""
        self.elsewhere = (0, 0)
        """How many had completed and failed at other sources when the first of these failed."""
        self.refusals = Refusals()
        self.in_flight = 0
        self.collecting = 0
        self.running = 0
        self.ended = 0
        self.completed = 0
        self.failed = 0
        self.seconds = 0.0
        """Sum of the run times of the tasks that completed there."""
        self.starts = 0
        """Tasks that were seen to start there, of those that had a free slot when they were given to it."""
        self.waited_s = 0.0
        """Sum of the times from giving it these tasks until they were seen to start."""
        self.rate = 0.0
        """Tasks that ended there per second, lately."""
        self.window_start = 0.0
        self.window_ended = 0

    @property
    def busy(self) -> int:
        """Tasks that take up room there: those in flight whose programs have not ended."""
        return self.in_flight - self.collecting

    def is_barred(self, now: float) -> bool:
        """It is given nothing now, because what runs there fails."""
        return bool(self.barred) and (self.barred_until is None or now < self.barred_until)

    @property
    def mean_duration_s(self) -> Optional[float]:
        """Mean run time of the tasks that completed there; None before the first did."""
        return self.seconds / self.completed if self.completed else None

    @property
    def mean_wait_s(self) -> Optional[float]:
        """Mean time that tasks waited there to start; None before the first did."""
        return self.waited_s / self.starts if self.starts else None


class SweepState:
    """Everything that is known of a sweep. Tasks that were never touched cost nothing."""

    def __init__(self) -> None:
        self.sweep_id = ""
        self.uid = ""
        self.total = 0
        self.digest = ""
        self.retries = 0
        self.on_oom: Optional[Mapping[str, Any]] = None
        """The rule for tasks that end for want of memory, as `retries.OnOom` writes it."""
        self.retry_rules: Mapping[str, Mapping[str, Any]] = {}
        """Class of failure -> what follows, as `retries.Rule` has it."""
        self.back_off_s = 0.0
        """How long a task waits after a failure that has no rule of its own, at first."""
        self.hold_after = 0
        self.seed = 0
        self.keep_going = False
        self.max_failures: Optional[int] = None
        self.canary = False
        self.failed_lately = 0
        """Tasks that failed for good under this controller, since the last hold was lifted."""
        self.limit: Optional[int] = None
        self.epoch = 0
        self.counts: Dict[TaskState, int] = {state: 0 for state in TaskState}
        self.cursor = 0
        """Tasks from here on were never touched."""
        self.live: Dict[int, LiveTask] = {}
        self.waiting: Dict[int, None] = {}
        """Touched tasks that are pending, in the order in which they came back."""
        self.collecting: Dict[int, None] = {}
        """Tasks that are being collected, oldest first."""
        self.ending = 0
        """How many live tasks a person asked to end."""
        self.outcomes = Outcomes()
        self.rest_cancelled = False
        """The tasks that were never touched are cancelled."""
        self.cancelling = False
        self.sources: Dict[str, SourceState] = {}
        self.unanswered: Dict[str, Set[int]] = {}
        """Token -> tasks that were assigned under it and have no answer yet."""
        self.held: Optional[str] = None
        self.paused: Optional[str] = None
        """Why nothing is started, since a person asked for it; it outlives controllers."""
        self.alike: Dict[str, Set[int]] = {}
        """Failure signature -> tasks that failed so since the last success."""
        self.failures: Counter[str] = Counter()
        self.recent_failures: List[Event] = []
        self.created_at = 0.0
        self.opened_at = 0.0
        self.first_assigned_at: Optional[float] = None
        self.first_started_at: Optional[float] = None
        self.last_event_at = 0.0
        self.closed: Optional[str] = None
        """The state at which the last controller let go; None while one holds it."""
        self.closed_reason = ""
        self.controller: Mapping[str, Any] = {}
        self.ends: List[float] = []
        """When the latest tasks ended, for the throughput."""

    # --- questions

    @property
    def finished(self) -> int:
        """Tasks in a final state."""
        return sum(self.counts[state] for state in FINAL_STATES)

    @property
    def in_flight(self) -> int:
        """Tasks that a source has, or may have."""
        return sum(self.counts[state] for state in IN_FLIGHT)

    @property
    def busy(self) -> int:
        """Tasks that count against the sweep's limit: those in flight whose programs have not ended."""
        return self.in_flight - self.counts[TaskState.COLLECTING]

    @property
    def pending(self) -> int:
        """Tasks that wait."""
        return self.counts[TaskState.PENDING]

    def asked_of(self, source: str) -> int:
        """How many tasks a source was offered and has not answered for."""
        return sum(len(tasks) for tasks in self.unanswered.values() if self.live[next(iter(tasks))].source == source)

    def ends_elsewhere(self, source: SourceState) -> Tuple[int, int]:
        """How many attempts have completed, and failed, at other sources."""
        others = [other for other in self.sources.values() if other is not source]
        return sum(other.completed for other in others), sum(other.failed for other in others)

    def state_of(self, index: int) -> TaskState:
        """Where a task stands. :raises IndexError: when the sweep has no such task."""
        if not 0 <= index < self.total:
            raise IndexError(index)
        task = self.live.get(index)
        if task is not None:
            return task.state
        outcome = self.outcomes.get(index)
        if outcome is not None:
            return outcome.state
        return TaskState.CANCELLED if self.rest_cancelled else TaskState.PENDING

    def sweep_state(self) -> str:
        """`running`, `held`, `paused`, `cancelled`, `completed`, `completed_with_failures`, `interrupted`.

        A controller that was killed could not say so: `running` needs a look at the lease as well.
        """
        completed = self.counts[TaskState.COMPLETED]
        if self.finished == self.total:
            if self.counts[TaskState.CANCELLED] and (self.cancelling or not completed):
                return "cancelled"
            return "completed" if completed == self.total else "completed_with_failures"
        if self.held is not None:
            return "held"
        if self.paused is not None:
            return "paused"
        return "running" if self.closed is None else "interrupted"

    def finished_at(self) -> Optional[float]:
        """When the sweep ended for good, Unix seconds; None while it has not."""
        return self.last_event_at if self.finished == self.total else None

    def eta_s(self) -> Optional[float]:
        """Seconds that remain at the throughput of the latest tasks; None until three have ended."""
        if len(self.ends) < 3 or self.ends[-1] <= self.ends[0]:
            return None
        rate = (len(self.ends) - 1) / (self.ends[-1] - self.ends[0])
        return (self.total - self.finished) / rate

    # --- changes, used by the reducers below

    def move(self, old: TaskState, new: TaskState, by: int = 1) -> None:
        """Count tasks from one state to another."""
        self.counts[old] -= by
        self.counts[new] += by

    def touch(self, index: int) -> LiveTask:
        """The live record of a task, made when it is first touched."""
        task = self.live.get(index)
        if task is None:
            self.skip_to(index)
            task = self.live[index] = LiveTask()
            self.waiting[index] = None
        return task

    def skip_to(self, index: int) -> None:
        """Move the cursor past `index`; what it passes waits."""
        if index >= self.cursor:
            for passed in range(self.cursor, index):
                if passed not in self.live and passed not in self.outcomes:
                    self.live[passed] = LiveTask()
                    self.waiting[passed] = None
            self.cursor = index + 1

    def enter(self, index: int, task: LiveTask, new: TaskState) -> None:
        """Change a live task's state, keeping every count."""
        old = task.state
        if old is new:
            return
        self.move(old, new)
        task.state = new
        if old is TaskState.PENDING:
            self.waiting.pop(index, None)
        elif old is TaskState.COLLECTING:
            del self.collecting[index]
        if task.source:
            source = self.sources[task.source]
            source.in_flight += (new in IN_FLIGHT) - (old in IN_FLIGHT)
            source.running += (new is TaskState.RUNNING) - (old is TaskState.RUNNING)
            source.collecting += (new is TaskState.COLLECTING) - (old is TaskState.COLLECTING)
        if task.token and new is not TaskState.ASSIGNED:
            self.answered(task.token, index)
            task.token = ""
        if new is TaskState.COLLECTING:
            self.collecting[index] = None
        elif new is TaskState.PENDING:
            self.waiting[index] = None
            task.source = ""
            task.handle = None

    def answered(self, token: str, index: int) -> None:
        """The source has said what became of a task under this token."""
        tasks = self.unanswered.get(token)
        if tasks is not None:
            tasks.discard(index)
            if not tasks:
                del self.unanswered[token]

    def finish(self, index: int, task: LiveTask, new: TaskState, record: Mapping[str, Any]) -> None:
        """A task has ended for good: keep its outcome, forget the rest."""
        number = self.sources[task.source].number if task.source else -1
        self.failed_lately += new in (TaskState.FAILED, TaskState.TIMEOUT, TaskState.LOST)
        self.enter(index, task, new)
        code = record.get("exit_code")
        if code is None and record.get("signal") is not None:
            code = -record["signal"]
        self.outcomes.set(
            index,
            Outcome(
                new,
                task.attempt,
                code,
                number,
                record.get("started_at") or 0.0,
                record.get("duration_s") or 0.0,
                record.get("max_rss_mb") or 0.0,
            ),
        )
        self.ending -= task.cancelling
        del self.live[index]

    def current(self, event: Event) -> Optional[LiveTask]:
        """The live task that an event is about, or None when that attempt is no longer the task's."""
        index, attempt = event["task"]
        task = self.live.get(index)
        return task if task is not None and task.attempt == attempt and task.state in IN_FLIGHT else None


def validate(state: SweepState) -> None:
    """Check what must always hold; for tests. :raises AssertionError: naming what does not."""
    assert sum(state.counts.values()) == state.total, "all states sum to the total"
    assert all(count >= 0 for count in state.counts.values()), "no count is negative"
    assert all(task.state not in FINAL_STATES for task in state.live.values()), "a live task is not final"
    in_flight = [task for task in state.live.values() if task.state in IN_FLIGHT]
    assert len(in_flight) == state.in_flight, "counts of tasks in flight agree"
    for source in state.sources.values():
        mine = [task for task in in_flight if task.source == source.id]
        assert len(mine) == source.in_flight, f"{source.id}: in flight"
        assert sum(task.state is TaskState.RUNNING for task in mine) == source.running, f"{source.id}: running"
        collecting_there = sum(task.state is TaskState.COLLECTING for task in mine)
        assert collecting_there == source.collecting, f"{source.id}: collecting"
    waiting = {index for index, task in state.live.items() if task.state is TaskState.PENDING}
    assert waiting == set(state.waiting), "exactly the pending live tasks wait"
    collecting = {index for index, task in state.live.items() if task.state is TaskState.COLLECTING}
    assert collecting == set(state.collecting), "exactly the collected tasks are noted as such"
    ending = [task for task in state.live.values() if task.cancelling]
    assert len(ending) == state.ending, "the count of tasks that are to end agrees"
    assert all(task.state in IN_FLIGHT for task in ending), "what waits ends at once"
    assert not any(index in state.outcomes for index in state.live), "no live task has an outcome"
    assigned = {index for index, task in state.live.items() if task.state is TaskState.ASSIGNED}
    assert assigned == set().union(*state.unanswered.values()), "each assigned task has an unanswered token"
