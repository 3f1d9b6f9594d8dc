"""The forecast is the real engine's: what it says is what the modelled world did, quickly, and in little memory."""

from __future__ import annotations

import time
import tracemalloc
from typing import Sequence

import pytest
from hypothesis import HealthCheck, given, settings

from hsm_core.contract import Assignment, Capabilities, SourceView
from hsm_core.forecast.model import Scenario, SourceModel
from hsm_core.forecast.simulate import at_best_s, simulate
from hsm_core.forecast.spread import between, exactly
from hsm_core.testing.strategies import scenarios


class Idle:
    """Whoever has a free slot, in order."""

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """As many as there are free slots."""
        slots = [source.id for source in sources for _ in range(source.idle)]
        return list(zip(tasks, slots[:limit]))


def pool(name: str, slots: int, speed: float = 1.0, failures: float = 0.0) -> SourceModel:
    """A machine of so many slots."""
    return SourceModel(name, Capabilities(slots, None, push=True, shares_files=True), speed, failures=failures)


def batch(name: str, slots: int, wait: float) -> SourceModel:
    """A cluster that is looked at every ten seconds, and asked as often."""
    capabilities = Capabilities(slots, 1000, poll_interval_s=10.0, query_interval_s=10.0, shares_files=True)
    return SourceModel(name, capabilities, queue_wait=exactly(wait))


FIVE = [pool("a:a", 4), pool("b:b", 8, 2.0), pool("c:c", 8, 0.5), pool("d:d", 16, 3.0), pool("e:e", 32)]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(failures=[0.0]))
def test_nothing_beats_the_bound(scenario: Scenario) -> None:
    """However the engine goes about it, and all work is done exactly once, at the speed of where it ran."""
    forecast = simulate(scenario, Idle())
    assert forecast.completed == scenario.total == sum(usage.attempts for usage in forecast.sources)
    assert forecast.makespan_s >= at_best_s(scenario) * (1 - 1e-6)
    work_s = sum(map(scenario.work, range(scenario.total)))
    speeds = [source.speed for source in scenario.sources]
    done_s = sum(usage.busy_s * speed for usage, speed in zip(forecast.sources, speeds))
    assert done_s == pytest.approx(work_s, rel=1e-3)
    assert all(0.0 <= usage.utilisation <= 1.0 + 1e-9 for usage in forecast.sources)


def test_one_machine_is_arithmetic() -> None:
    """Eight tasks of ten minutes, four at once: twenty minutes, all slots busy."""
    forecast = simulate(Scenario(8, exactly(600.0), [pool("a:a", 4)]), Idle())
    assert forecast.makespan_s == pytest.approx(1200.0, abs=1.0)
    assert forecast.utilisation == pytest.approx(1.0, rel=1e-3)
    assert forecast.scheduler_calls == 0


def test_a_queue_is_waited_in_and_asked_about() -> None:
    """One generation of tasks on a cluster: its queue, the run, and a query every ten seconds of it."""
    forecast = simulate(Scenario(4, exactly(600.0), [batch("a:a", 4, 300.0)]), Idle())
    assert 900.0 <= forecast.makespan_s <= 920.0
    assert 90 <= forecast.scheduler_calls <= 94


def test_a_limit_of_the_sweep_holds() -> None:
    """Two at once, whatever the machine could."""
    forecast = simulate(Scenario(8, exactly(600.0), [pool("a:a", 8)], limit=2), Idle())
    assert forecast.makespan_s == pytest.approx(2400.0, abs=1.0)


def test_failures_are_tried_again_as_often_as_was_said() -> None:
    """Where everything fails, every task has all of its attempts and fails."""
    forecast = simulate(Scenario(5, exactly(60.0), [pool("a:a", 5, failures=1.0)], retries=2), Idle())
    assert (forecast.completed, forecast.failed, forecast.state) == (0, 5, "completed_with_failures")
    assert forecast.sources[0].attempts == 15


def test_a_time_limit_ends_what_runs_longer() -> None:
    """It fails at its limit."""
    forecast = simulate(Scenario(4, exactly(600.0), [pool("a:a", 4)], longest_s=60.0), Idle())
    assert forecast.failed == 4
    assert forecast.makespan_s == pytest.approx(60.0, abs=1.0)


def test_scaled_is_so_many_times_as_much() -> None:
    """Times, counts and calls grow; shares stay."""
    forecast = simulate(Scenario(40, exactly(600.0), [batch("a:a", 4, 300.0)]), Idle())
    larger = forecast.scaled(10.0)
    assert larger.makespan_s == pytest.approx(10 * forecast.makespan_s)
    assert larger.completed == 400
    assert larger.utilisation == pytest.approx(forecast.utilisation)


def test_ten_thousand_tasks_on_five_sources_take_two_seconds() -> None:
    """Of a processor's time, at the most; of a slower one more, as a loop beside it tells."""
    began = time.process_time()
    for number in range(2_000_000):
        number * number
    reference_s = time.process_time() - began
    began = time.process_time()
    forecast = simulate(Scenario(10_000, between(300.0, 1200.0), FIVE), Idle())
    took_s = time.process_time() - began
    assert forecast.completed == 10_000
    assert took_s < 2.0 * max(1.0, reference_s / 0.05)


def test_memory_does_not_grow_with_the_tasks() -> None:
    """But for the table of outcomes: some forty bytes a task."""
    peaks = []
    for total in (1_000, 5_000):
        tracemalloc.start()
        simulate(Scenario(total, exactly(600.0), FIVE), Idle())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 4_000 * 60
