"""The laws of the strategy `least_loaded`."""

from __future__ import annotations

from collections import Counter

import hsm_least_loaded.plugin
from hsm_least_loaded.strategy import LeastLoaded
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.contract import SourceView
from hsm_core.testing.strategies import StrategyConformance


class TestLeastLoaded(StrategyConformance):
    """The contract of strategies."""

    plugin = hsm_least_loaded.plugin
    name = "least_loaded"


@given(st.integers(1, 40))
def test_equal_machines_share_equally(count):
    """Sources that are alike differ by one task at most."""
    sources = [SourceView(f"test:{n}", 40, 8, 0, 2.0) for n in range(3)]
    given_to = Counter(source for _, source in LeastLoaded(0).assign(list(range(count)), sources, count))
    assert max(given_to.values()) - min(given_to[view.id] for view in sources) <= 1


def test_prefers_the_emptier():
    """Of two machines of one size the one with fewer tasks is taken."""
    sources = [SourceView("test:busy", 1, 8, 7), SourceView("test:idle", 8, 8, 0)]
    assert LeastLoaded(0).assign([1], sources, 1) == [(1, "test:idle")]


def test_counts_slots():
    """A machine with three times the slots gets three times the tasks."""
    sources = [SourceView("test:small", 99, 4, 0), SourceView("test:large", 99, 12, 0)]
    given_to = Counter(source for _, source in LeastLoaded(0).assign(list(range(16)), sources, 16))
    assert given_to == {"test:small": 4, "test:large": 12}


def test_counts_measured_speed():
    """A machine that takes a third of the time gets three times the tasks."""
    sources = [SourceView("test:slow", 99, 4, 0, 3.0), SourceView("test:fast", 99, 4, 0, 1.0)]
    given_to = Counter(source for _, source in LeastLoaded(0).assign(list(range(16)), sources, 16))
    assert given_to == {"test:slow": 4, "test:fast": 12}


def test_the_unmeasured_count_as_usual():
    """A source that has finished nothing is neither shunned nor flooded."""
    sources = [SourceView("test:known", 9, 4, 0, 5.0), SourceView("test:new", 9, 4, 0)]
    given_to = Counter(source for _, source in LeastLoaded(0).assign(list(range(8)), sources, 8))
    assert given_to == {"test:known": 4, "test:new": 4}
