"""One sweep, one strategy, the real engine, a virtual clock: when it would be done, and what ran where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import List, Sequence

from ..contract import Strategy, TaskState
from ..engine.engine import Engine
from ..engine.events import Event, make
from ..engine.reduce import replay
from .bound import WorkTally, lower_bound_s
from .controller import VirtualController
from .model import ModelledSource, Scenario
from .virtual import Clock

__all__ = ["Forecast", "Usage", "at_best_s", "simulate"]

_LOOKS_A_TASK = 20
"""How often a strategy that keeps tasks back is asked again while one task runs."""


@dataclass(frozen=True)
class Usage:
    """What became of a source.

    :param attempts: runs of tasks that ended there.
    :param busy_s: their run times together.
    :param utilisation: the share of its slots' time, until the sweep's end, in which they ran tasks.
    :param scheduler_calls: commands of a scheduler, at most; 0 where there is none.
    """

    id: str
    slots: int
    attempts: int
    busy_s: float
    utilisation: float
    scheduler_calls: int


@dataclass(frozen=True)
class Forecast:
    """How the sweep would go.

    :param state: of the sweep when it is over, as `hsm status` has it.
    :param makespan_s: from its beginning to its end.
    """

    state: str
    reason: str
    makespan_s: float
    completed: int
    failed: int
    sources: Sequence[Usage]

    @property
    def utilisation(self) -> float:
        """The share of all slots' time in which they ran tasks."""
        slots_s = sum(source.slots for source in self.sources) * self.makespan_s
        return sum(source.busy_s for source in self.sources) / slots_s if slots_s else 0.0

    @property
    def scheduler_calls(self) -> int:
        """Commands of schedulers, at most."""
        return sum(source.scheduler_calls for source in self.sources)

    def scaled(self, factor: float) -> Forecast:
        """The same for so many times the tasks, of a sweep so long that its beginning and its end hardly count."""
        return replace(
            self,
            makespan_s=self.makespan_s * factor,
            completed=round(self.completed * factor),
            failed=round(self.failed * factor),
            sources=[
                replace(
                    source,
                    attempts=round(source.attempts * factor),
                    busy_s=source.busy_s * factor,
                    scheduler_calls=round(source.scheduler_calls * factor),
                )
                for source in self.sources
            ],
        )


def simulate(scenario: Scenario, strategy: Strategy) -> Forecast:
    """Run a sweep to its end on a virtual clock. Memory grows with what is in flight, and by some bytes a task."""
    clock = Clock()
    began = clock.now
    opening: List[Event] = [
        make("created", began, sweep_id="forecast", uid="0", total=scenario.total, retries=scenario.retries),
        make("opened", began, epoch=1, limit=scenario.limit),
    ]
    sources = [ModelledSource(model, scenario, clock) for model in scenario.sources]
    engine = Engine(replay(opening), strategy, longest_s=scenario.longest_s)
    slowest = min(model.speed for model in scenario.sources)
    look_again_s = scenario.run_time.mean() / slowest / _LOOKS_A_TASK
    controller = VirtualController(engine, sources, clock, look_again_s=max(look_again_s, 0.5))
    finish = controller.run()
    assert finish is not None  # without a time until which to run, it runs to the end
    counts = engine.state.counts
    makespan_s = clock.now - began
    return Forecast(
        finish.state,
        finish.reason,
        makespan_s,
        counts[TaskState.COMPLETED],
        counts[TaskState.FAILED] + counts[TaskState.TIMEOUT],
        [_usage(source, makespan_s) for source in sources],
    )


def at_best_s(scenario: Scenario) -> float:
    """The time that no strategy can beat, if nothing fails."""
    works = WorkTally(map(scenario.work, range(scenario.total)))
    return lower_bound_s(works, scenario.sources)


def _usage(source: ModelledSource, makespan_s: float) -> Usage:
    slots = source.offered.slots
    available_s = slots * makespan_s
    return Usage(
        source.id,
        slots,
        source.ended,
        source.busy_s,
        source.busy_s / available_s if available_s else 0.0,
        source.scheduler_calls,
    )
