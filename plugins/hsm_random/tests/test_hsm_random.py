"""The laws of the strategy `random`."""

from __future__ import annotations

from collections import Counter

import hsm_random.plugin
from hsm_random.strategy import RandomChoice

from hsm_core.contract import SourceView
from hsm_core.testing.strategies import StrategyConformance


class TestRandom(StrategyConformance):
    """The contract of strategies."""

    plugin = hsm_random.plugin
    name = "random"


def test_weighted_by_free_slots():
    """A source with three times the room gets about three times the tasks, for the seed tried here."""
    strategy = RandomChoice(1)
    sources = [SourceView("test:small", 100, 100, 0), SourceView("test:large", 300, 300, 0)]
    given_to = Counter(strategy.assign([task], sources, 1)[0][1] for task in range(2000))
    assert 2.5 < given_to["test:large"] / given_to["test:small"] < 3.5


def test_free_slots_come_first():
    """What a source takes ahead has no ticket while any slot is free."""
    full = SourceView("test:full", 4, 4, 4)
    idle = SourceView("test:idle", 2, 2, 0)
    got = [source for _, source in RandomChoice(3).assign([1, 2, 3], [full, idle], 3)]
    assert got == ["test:idle", "test:idle", "test:full"]
