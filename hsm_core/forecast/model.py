"""What is assumed of sources and tasks, and sources that behave accordingly on a virtual clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Collection, Dict, Mapping, Optional, Sequence

from ..contract import Attempt, Capabilities, Handle, Observation, SubmitResult
from .spread import Spread, exactly, uniform
from .virtual import Clock, Fate, Job, VirtualSource

__all__ = ["ModelledSource", "Scenario", "SourceModel"]


@dataclass(frozen=True)
class SourceModel:
    """What is assumed of a source.

    :param capabilities: its slots, how it is asked, and how often.
    :param speed: a task takes its run time divided by this.
    :param queue_wait: how long a task waits there before it starts, whether or not a slot is free.
    :param failures: the share of attempts whose program fails there.
    """

    id: str
    capabilities: Capabilities
    speed: float = 1.0
    queue_wait: Spread = field(default_factory=lambda: exactly(0.0))
    failures: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """What is to be forecast.

    :param total: number of tasks.
    :param run_time: of a task at a source of speed 1.
    :param limit: the most tasks at once over all sources.
    :param retries: how many more times a task is tried when its program fails.
    :param longest_s: a task that runs longer is ended; None: none is.
    """

    total: int
    run_time: Spread
    sources: Sequence[SourceModel]
    limit: Optional[int] = None
    retries: int = 0
    longest_s: Optional[float] = None
    seed: int = 0

    def work(self, index: int) -> float:
        """How long a task runs at speed 1, seconds."""
        return self.run_time.draw(self.seed, index)

    def fate(self, source: SourceModel, attempt: Attempt) -> Fate:
        """What becomes of an attempt at a source."""
        duration = self.work(attempt[0]) / source.speed
        wait = source.queue_wait.draw(self.seed, source.id, attempt)
        if self.longest_s is not None and duration > self.longest_s:
            return Fate("timeout", self.longest_s, wait)
        failed = source.failures > 0 and uniform(self.seed, source.id, attempt, "fails") < source.failures
        return Fate("failed" if failed else "completed", duration, wait)


class ModelledSource(VirtualSource):
    """Behaves as assumed, says what is new when it would be learned, and forgets what it has told the end of."""

    def __init__(self, model: SourceModel, scenario: Scenario, clock: Clock) -> None:
        super().__init__(
            model.id, clock, fate=lambda attempt: scenario.fate(model, attempt), capabilities=model.capabilities
        )
        self._born = clock.now
        self._news: Dict[Attempt, None] = {}
        self._news_at = 0.0
        self._in_flight_since = 0.0
        self._in_flight_s = 0.0
        self.submissions = 0
        self.ended = 0
        self.busy_s = 0.0
        """Run times of all attempts together."""

    @property
    def scheduler_calls(self) -> int:
        """Calls of a scheduler: submissions, and queries as often as they may be while tasks are in flight."""
        interval = self.offered.query_interval_s
        return 0 if interval is None else self.submissions + math.ceil(self._in_flight_s / interval)

    def next_change(self) -> Optional[float]:
        """When the next poll that brings news would be made."""
        if self._news:
            return self._news_at
        event = self._next_event()
        return None if event is None else self._seen_at(event)

    def _seen_at(self, moment: float) -> float:
        """When something is learned that happens at a moment: at once, or by the next poll."""
        if self.offered.push:
            return moment
        interval = self.offered.poll_interval_s
        return max(moment, self._born + math.ceil((moment - self._born) / interval) * interval)

    def news(self) -> Optional[Collection[Attempt]]:
        """Those that started or ended since they were asked about."""
        return list(self._news) if self._news and self._clock.now >= self._news_at else ()

    def submit(self, token: str, attempts: Sequence[Attempt]) -> SubmitResult:
        """Take all."""
        self.submissions += 1
        if not self._jobs:
            self._in_flight_since = self._clock.now
        return super().submit(token, attempts)

    def cancel(self, handles: Mapping[Attempt, Handle]) -> None:
        """End those that run, and let those that wait never start."""
        super().cancel(handles)
        for attempt in handles:
            self._note(attempt)

    def _start(self, job: Job) -> None:
        super()._start(job)
        self._note(job.attempt)

    def _end(self, job: Job, end: str) -> None:
        super()._end(job, end)
        assert job.run is not None
        self.ended += 1
        self.busy_s += self._at - job.run.began
        self._note(job.attempt)

    def _note(self, attempt: Attempt) -> None:
        if not self._news:
            self._news_at = self._seen_at(self._at)
        self._news[attempt] = None

    def _see(self, attempt: Attempt) -> Observation:
        seen = super()._see(attempt)
        del self._news[attempt]
        if self._jobs[attempt].over is not None:
            # Nobody asks again in a forecast: what is over costs nothing any more.
            del self._jobs[attempt]
            if not self._jobs:
                self._in_flight_s += self._clock.now - self._in_flight_since
        return seen
