"""The laws of the strategy `least_loaded`."""

from __future__ import annotations

from collections import Counter

from hsm_least_loaded.strategy import LeastLoaded
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
    strategy = LeastLoaded(seed)
    for waiting, sources, limit in calls:
        pairs = strategy.assign(waiting, sources, limit)
        given_to = Counter(source for _, source in pairs)
        assert [task for task, _ in pairs] == waiting[: len(pairs)]
        assert len(pairs) == min(len(waiting), limit, sum(view.free for view in sources))
        assert all(given_to[view.id] <= view.free for view in sources)
        assert set(given_to) <= {view.id for view in sources}


def test_plugin_offers_it():
    """The hook yields the strategy under its name."""
    from hsm_least_loaded.plugin import hsm_strategies

    (offered,) = hsm_strategies()
    assert (offered.name, offered.api) == ("least_loaded", (1, 0))
    assert offered.factory(0).assign([7], [SourceView("test:a", 1, 1, 0)], 1) == [(7, "test:a")]


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
