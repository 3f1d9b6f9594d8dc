"""The laws of the strategy `fastest`, and how near it comes to the time that no strategy can beat."""

from __future__ import annotations

from collections import Counter

import hsm_fastest.plugin
import pytest
from hsm_fastest.strategy import Fastest
from hypothesis import HealthCheck, given, settings

from hsm_core.contract import Capabilities, Outlook, SourceView
from hsm_core.forecast.model import Scenario, SourceModel
from hsm_core.forecast.simulate import at_best_s, simulate
from hsm_core.forecast.spread import between, exactly
from hsm_core.testing.strategies import StrategyConformance, scenarios

# The bounds are measured, over thousands of worlds, not proved: the same worlds every time.
WORLDS = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


class TestFastest(StrategyConformance):
    """The contract of strategies."""

    plugin = hsm_fastest.plugin
    name = "fastest"
    keeps_back = True


def pool(name, slots, speed):
    """A machine with so many slots."""
    return SourceModel(name, Capabilities(slots, None, push=True, shares_files=True), speed)


def longest_alone_s(scenario):
    """The longest task at the slowest source, its queue included: what it costs at least to learn how slow that is."""
    longest = max(map(scenario.work, range(scenario.total)))
    return max(longest / source.speed + source.queue_wait.shortest() for source in scenario.sources)


@pytest.mark.parametrize(
    ("total", "run_time", "sources"),
    [
        (200, exactly(600), [pool("a:a", 4, 1), pool("b:b", 4, 4), pool("c:c", 4, 0.25)]),
        (500, between(300, 1200), [pool("a:a", 4, 1), pool("b:b", 8, 4), pool("c:c", 16, 0.3)]),
        (500, between(60, 3600), [pool("a:a", 4, 1), pool("b:b", 8, 2)]),
        (2000, between(300, 1200), [pool("a:a", 1, 1), pool("b:b", 64, 0.5), pool("c:c", 8, 3)]),
        (300, exactly(60), [pool("a:a", 2, 8), pool("b:b", 2, 1), pool("c:c", 2, 0.5), pool("d:d", 2, 0.25)]),
    ],
)
def test_within_fifteen_percent_of_the_bound_on_unequal_speeds(total, run_time, sources):
    """No strategy, not even one that knew everything, could be faster by more than that."""
    scenario = Scenario(total, run_time, sources)
    assert simulate(scenario, Fastest(0)).makespan_s <= 1.15 * at_best_s(scenario)


@WORLDS
@given(scenarios(spreads=[1.0], queue_waits=[0.0], failures=[0.0], limits=False))
def test_equal_tasks_end_as_early_as_can_be(scenario):
    """Within 15 % of the bound, or when the first task of the slowest source ends, which nobody knew to be slow."""
    allowed_s = max(1.15 * at_best_s(scenario), longest_alone_s(scenario))
    assert simulate(scenario, Fastest(0)).makespan_s <= allowed_s + 1.0


@WORLDS
@given(scenarios(spreads=[1.5, 4.0], queue_waits=[0.0], failures=[0.0], limits=False))
def test_uneven_tasks_end_soon_after(scenario):
    """Whose run times nobody knows beforehand: within the bound and the longest task at the slowest source."""
    assert simulate(scenario, Fastest(0)).makespan_s <= at_best_s(scenario) + longest_alone_s(scenario) + 1.0


@WORLDS
@given(scenarios(failures=[0.0], limits=False))
def test_queues_cost_little_more(scenario):
    """Where tasks queue, generations pass until it is known how many to keep there: three at most, and their polls."""
    assert simulate(scenario, Fastest(0)).makespan_s <= at_best_s(scenario) + 3 * longest_alone_s(scenario) + 60.0


def test_a_slow_slot_is_left_free_at_the_end():
    """The last task is kept for the machine that will be free in a moment and end it ten times sooner."""
    slow = SourceView("test:slow", 4, 4, 0, 100.0)
    fast = SourceView("test:fast", 0, 1, 1, 10.0, 0.0, running_s=[9.0])
    assert Fastest(0).plan(Outlook([7], [slow, fast], 1, 1)) == []
    assert Fastest(0).plan(Outlook([7], [slow, fast], 1, 20)) == [(7, "test:slow")]


def test_whoever_does_not_end_is_not_waited_for():
    """A task that has run for far longer than any before is expected to go on: the slow slot is taken after all."""
    slow = SourceView("test:slow", 4, 4, 0, 100.0)
    stuck = SourceView("test:stuck", 0, 1, 1, 10.0, 0.0, running_s=[500.0])
    assert Fastest(0).plan(Outlook([7], [slow, stuck], 1, 1)) == [(7, "test:slow")]


def test_unless_its_time_limit_ends_it():
    """By then its slot is free, whatever it does."""
    slow = SourceView("test:slow", 4, 4, 0, 100.0)
    stuck = SourceView("test:stuck", 0, 1, 1, 10.0, 0.0, running_s=[500.0])
    assert Fastest(0).plan(Outlook([7], [slow, stuck], 1, 1, longest_s=501.0)) == []


def test_queue_waits_count():
    """A cluster that starts a task in an hour is no place for the last ones, however fast its nodes are."""
    here = SourceView("test:here", 2, 2, 0, 600.0, 0.0)
    cluster = SourceView("test:cluster", 16, 16, 0, 60.0, 3600.0)
    given_to = Counter(source for _, source in Fastest(0).plan(Outlook(range(8), [here, cluster], 8, 8)))
    assert given_to == {"test:here": 2}


def test_a_queue_that_does_not_move_counts_too():
    """What nobody has seen to start yet is expected to take as long again as it has taken already."""
    here = SourceView("test:here", 2, 2, 0, 600.0, 0.0)
    cluster = SourceView("test:cluster", 12, 16, 4, None, None, waiting_s=[7200.0] * 4)
    given_to = Counter(source for _, source in Fastest(0).plan(Outlook(range(8), [here, cluster], 8, 8)))
    assert given_to == {"test:here": 2}


def test_nothing_is_known_at_first():
    """Every slot gets a task, none gets one ahead, and no source more than its even share."""
    sources = [SourceView("test:a", 8, 4, 0), SourceView("test:b", 20_000, 10_000, 0)]
    given_to = Counter(source for _, source in Fastest(0).plan(Outlook(range(100), sources, 100, 100)))
    assert given_to == {"test:a": 4, "test:b": 51}


def test_without_an_outlook():
    """Asked as any strategy is, it does what it can with what it is shown."""
    sources = [SourceView("test:slow", 4, 4, 0, 100.0), SourceView("test:fast", 4, 4, 0, 10.0)]
    given_to = Counter(source for _, source in Fastest(0).assign(range(6), sources, 6))
    assert given_to == {"test:fast": 4}
