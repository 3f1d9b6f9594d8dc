"""The laws of the strategy `random`."""

from __future__ import annotations

from collections import Counter

from hsm_random.strategy import RandomChoice
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
    strategy = RandomChoice(seed)
    for waiting, sources, limit in calls:
        pairs = strategy.assign(waiting, sources, limit)
        given_to = Counter(source for _, source in pairs)
        assert [task for task, _ in pairs] == waiting[: len(pairs)]
        assert len(pairs) == min(len(waiting), limit, sum(view.free for view in sources))
        assert all(given_to[view.id] <= view.free for view in sources)
        assert set(given_to) <= {view.id for view in sources}


def test_plugin_offers_it():
    """The hook yields the strategy under its name."""
    from hsm_random.plugin import hsm_strategies

    (offered,) = hsm_strategies()
    assert (offered.name, offered.api) == ("random", (1, 0))
    assert offered.factory(0).assign([7], [SourceView("test:a", 1, 1, 0)], 1) == [(7, "test:a")]


@given(st.integers(), tasks, views)
def test_seeded(seed, waiting, sources):
    """The same seed gives the same choices."""
    assert RandomChoice(seed).assign(waiting, sources, 30) == RandomChoice(seed).assign(waiting, sources, 30)


def test_weighted_by_free_slots():
    """A source with three times the room gets about three times the tasks, for the seed tried here."""
    strategy = RandomChoice(1)
    sources = [SourceView("test:small", 100, 100, 0), SourceView("test:large", 300, 300, 0)]
    given_to = Counter(strategy.assign([task], sources, 1)[0][1] for task in range(2000))
    assert 2.5 < given_to["test:large"] / given_to["test:small"] < 3.5
