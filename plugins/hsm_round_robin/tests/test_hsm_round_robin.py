"""The laws of the strategy `round_robin`."""

from __future__ import annotations

from collections import Counter

from hsm_round_robin.strategy import RoundRobin
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.contract import SourceView

views = st.lists(
    st.builds(
        SourceView,
        id=st.integers(0, 9).map("test:{}".format),
        free=st.integers(1, 5),
        slots=st.integers(1, 8),
        active=st.integers(0, 8),
        mean_duration_s=st.none() | st.floats(0, 1e6),
    ),
    max_size=5,
    unique_by=lambda view: view.id,
)
tasks = st.lists(st.integers(0, 10**12), max_size=30, unique=True)


@given(st.integers(), st.lists(st.tuples(tasks, views, st.integers(0, 40)), max_size=5))
def test_contract(seed, calls):
    """A call gives out all that there are tasks, limit and room for, and never more than any of the three."""
    strategy = RoundRobin(seed)
    for waiting, sources, limit in calls:
        pairs = strategy.assign(waiting, sources, limit)
        given_to = Counter(source for _, source in pairs)
        assert [task for task, _ in pairs] == waiting[: len(pairs)]
        assert len(pairs) == min(len(waiting), limit, sum(view.free for view in sources))
        assert all(given_to[view.id] <= view.free for view in sources)
        assert set(given_to) <= {view.id for view in sources}


def test_plugin_offers_it():
    """The hook yields the strategy under its name."""
    from hsm_round_robin.plugin import hsm_strategies

    (offered,) = hsm_strategies()
    assert (offered.name, offered.api) == ("round_robin", (1, 0))
    assert offered.factory(0).assign([7], [SourceView("test:a", 1, 1, 0)], 1) == [(7, "test:a")]


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
