"""The laws of the strategy `round_robin`."""

from __future__ import annotations

from collections import Counter

import hsm_round_robin.plugin
from hsm_round_robin.strategy import RoundRobin
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.contract import SourceView
from hsm_core.testing.strategies import StrategyConformance


class TestRoundRobin(StrategyConformance):
    """The contract of strategies."""

    plugin = hsm_round_robin.plugin
    name = "round_robin"


@given(st.integers(1, 6), st.lists(st.integers(1, 7), min_size=1, max_size=20))
def test_fair(count, calls):
    """While every source has room, none is ever more than one task ahead of another, over many calls."""
    strategy, total = RoundRobin(0), Counter({f"test:{n}": 0 for n in range(count)})
    for size in calls:
        sources = [SourceView(f"test:{n}", 100, 100, 0) for n in range(count)]
        total.update(source for _, source in strategy.assign(list(range(size)), sources, size))
        assert max(total.values()) - min(total.values()) <= 1


def test_remembers_whose_turn_it_is():
    """One task a call still goes round, in the order of the sources."""
    strategy = RoundRobin(0)
    sources = [SourceView(name, 1, 1, 0) for name in ("test:a", "test:b", "test:c")]
    got = [strategy.assign([task], sources, 1)[0][1] for task in range(4)]
    assert got == ["test:a", "test:b", "test:c", "test:a"]


def test_a_missed_turn_is_not_made_up():
    """A source that was full for a while gets one task in turn when it is back, not all that it missed."""
    strategy = RoundRobin(0)
    a, b = SourceView("test:a", 9, 9, 0), SourceView("test:b", 9, 9, 0)
    strategy.assign([1, 2, 3, 4], [a], 4)
    assert [source for _, source in strategy.assign([5, 6, 7, 8], [a, b], 4)] == ["test:b", "test:a"] * 2


def test_free_slots_come_first():
    """A source that would only let a task wait gets none in turn while another has a free slot."""
    full = SourceView("test:full", 4, 4, 4)
    idle = SourceView("test:idle", 4, 2, 0)
    got = [source for _, source in RoundRobin(0).assign([1, 2, 3, 4], [full, idle], 4)]
    assert got == ["test:idle", "test:idle", "test:full", "test:idle"]
