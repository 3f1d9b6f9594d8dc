"""Sources on a virtual clock, for forecasts, laws and benchmarks; `controller` runs sweeps on them.

Nothing sleeps and nothing is random: the same fates give the same journal. A source is honest unless a subclass says
otherwise.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Callable, Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..contract import (
    Acceptance,
    Attempt,
    Capabilities,
    Handle,
    Health,
    HealthReport,
    Observation,
    ObservationKind,
    PollResult,
    SubmitResult,
    TaskAnswer,
)

__all__ = ["Clock", "Fate", "Ledger", "Run", "VirtualSource"]

_ONE_SLOT = Capabilities(slots=1, shares_files=True)


class Clock:
    """The time, in seconds, of everything in one virtual world."""

    def __init__(self, now: float = 1e9) -> None:
        self.now = now


class Fate(NamedTuple):
    """What becomes of an attempt at a source.

    :param end: completed, failed, timeout, preempted; lost (ends without a record); withdrawn, refused (never starts).
    :param wait_s: how long it waits in the source's queue at least.
    """

    end: str = "completed"
    duration_s: float = 1.0
    wait_s: float = 0.0


@dataclass
class Run:
    """One stretch of a task's program really running, as the world knows it."""

    source: str
    attempt: Attempt
    began: float
    ended: Optional[float] = None
    end: str = ""


@dataclass
class Ledger:
    """What really happened, whatever anybody was told: the proof that the engine is held to."""

    runs: List[Run] = field(default_factory=list)


class Job:
    __slots__ = ("attempt", "fate", "over", "run", "token")

    def __init__(self, attempt: Attempt, token: str, fate: Fate) -> None:
        self.attempt = attempt
        self.token = token
        self.fate = fate
        self.run: Optional[Run] = None
        self.over: Optional[Observation] = None


class VirtualSource:
    """A source whose tasks take time on a virtual clock. It remembers all that it was given, as a scheduler's log does.

    :param ledger: where every run is noted, if anywhere.
    :param fate: what becomes of an attempt.
    """

    def __init__(
        self,
        id: str,
        clock: Clock,
        ledger: Optional[Ledger] = None,
        fate: Callable[[Attempt], Fate] = lambda attempt: Fate(),
        capabilities: Capabilities = _ONE_SLOT,
    ) -> None:
        self.id = id
        self.offered = capabilities
        self.granted: Dict[Attempt, Mapping[str, object]] = {}
        """What attempts were given otherwise than they asked for."""
        self._clock = clock
        self._ledger = ledger
        self._fate = fate
        self._jobs: Dict[Attempt, Job] = {}
        self._queue: List[Tuple[float, int, Job]] = []
        self._ends: List[Tuple[float, int, Job]] = []
        self._running = 0
        self._order = 0
        self._at = clock.now

    # --- the world goes on

    def next_change(self) -> Optional[float]:
        """When there is next something to be learned; None while nothing will happen by itself."""
        return self._next_event()

    def _next_event(self) -> Optional[float]:
        """When a task next starts or ends."""
        times = [self._ends[0][0]] if self._ends else []
        if self._queue and self._running < self.offered.slots:
            times.append(max(self._at, self._queue[0][0]))
        return min(times, default=None)

    def advance(self) -> None:
        """Let happen what the clock has passed."""
        at = self._next_event()
        while at is not None and at <= self._clock.now:
            self._at = at
            if self._ends and self._ends[0][0] <= at:
                job = heapq.heappop(self._ends)[2]
                if job.over is None:
                    self._end(job, job.fate.end)
            else:
                job = heapq.heappop(self._queue)[2]
                if job.over is None:
                    self._start(job)
            at = self._next_event()
        self._at = self._clock.now

    def _start(self, job: Job) -> None:
        if job.fate.end in ("withdrawn", "refused"):
            job.over = Observation(job.attempt, ObservationKind(job.fate.end), None, f"{job.fate.end} by fate")
            return
        job.run = Run(self.id, job.attempt, self._at)
        if self._ledger is not None:
            self._ledger.runs.append(job.run)
        self._running += 1
        self._order += 1
        heapq.heappush(self._ends, (self._at + job.fate.duration_s, self._order, job))

    def _end(self, job: Job, end: str) -> None:
        assert job.run is not None
        job.run.ended, job.run.end = self._at, end
        self._running -= 1
        if end == "lost":
            job.over = Observation(job.attempt, ObservationKind.LOST, None, "it vanished")
            return
        record = {"state": end, "started_at": job.run.began, "duration_s": self._at - job.run.began}
        record.update(
            {"exit_code": 0 if end == "completed" else 1} if end in ("completed", "failed") else {"signal": 15}
        )
        job.over = Observation(job.attempt, ObservationKind.ENDED, record)

    # --- the contract's calls

    def submit(self, token: str, attempts: Sequence[Attempt]) -> SubmitResult:
        """Take all."""
        return SubmitResult([self._take(token, attempt) for attempt in attempts])

    def _take(self, token: str, attempt: Attempt) -> TaskAnswer:
        job = self._jobs[attempt] = Job(attempt, token, self._fate(attempt))
        self._order += 1
        heapq.heappush(self._queue, (self._clock.now + job.fate.wait_s, self._order, job))
        return TaskAnswer(attempt, Acceptance.ACCEPTED, {"at": self.id})

    def find(self, token: str, attempts: Sequence[Attempt]) -> Mapping[Attempt, Handle]:
        """Those that were taken under the token."""
        taken = {attempt: self._jobs.get(attempt) for attempt in attempts}
        return {attempt: {"at": self.id} for attempt, job in taken.items() if job is not None and job.token == token}

    def news(self) -> Optional[Collection[Attempt]]:
        """The attempts that are worth asking about now; None: all."""
        return None

    def poll(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        """How each stands now."""
        self.advance()
        return PollResult([self._see(attempt) for attempt in handles])

    def _see(self, attempt: Attempt) -> Observation:
        job = self._jobs[attempt]
        if job.over is not None:
            return job.over
        if job.run is not None:
            return Observation(attempt, ObservationKind.STARTED, {"at": job.run.began})
        return Observation(attempt, ObservationKind.QUEUED)

    def cancel(self, handles: Mapping[Attempt, Handle]) -> None:
        """End those that run, and let those that wait never start."""
        self.advance()
        for attempt in handles:
            job = self._jobs[attempt]
            if job.over is None and job.run is not None:
                self._end(job, "cancelled")
            elif job.over is None:
                job.over = Observation(attempt, ObservationKind.WITHDRAWN, None, "cancelled")

    def collect(self, handles: Mapping[Attempt, Handle]) -> None:
        """Nothing has files here."""

    def health(self) -> HealthReport:
        """It is well."""
        return HealthReport(Health.HEALTHY)

    def latency_s(self) -> float:
        """How long the next call takes to be answered."""
        return 0.0
