"""The contract of strategies as tests: subclass `StrategyConformance` and say how yours is made.

    from hsm_core.testing.strategies import StrategyConformance

    class TestMine(StrategyConformance):
        plugin = my_package.plugin
        name = "mine"

Needs pytest and hypothesis (`pip install hsm-core[testing]`).
"""

from __future__ import annotations

from collections import Counter
from types import ModuleType
from typing import Any, ClassVar, List, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..contract import API_VERSION, Capabilities, Outlook, Planner, SourceView, Strategy
from ..forecast.model import Scenario, SourceModel
from ..forecast.simulate import simulate
from ..forecast.spread import between, exactly

__all__ = ["StrategyConformance", "outlooks", "scenarios", "tasks", "views"]

_seconds = st.floats(0, 1e6)


def _views(least_free: int) -> st.SearchStrategy[List[SourceView]]:
    ages = st.lists(_seconds, max_size=4).map(lambda found: sorted(found, reverse=True))
    view = st.builds(
        SourceView,
        id=st.integers(0, 9).map("test:{}".format),
        free=st.integers(least_free, 5),
        slots=st.integers(1, 8),
        active=st.integers(0, 8),
        mean_duration_s=st.none() | _seconds,
        mean_wait_s=st.none() | _seconds,
        running_s=st.just(()) if least_free else ages,
        waiting_s=st.just(()) if least_free else ages,
    )
    return st.lists(view, max_size=5, unique_by=lambda one: one.id)


views = _views(1)
"""Any sources that may be shown to a strategy."""

tasks = st.lists(st.integers(0, 10**12), max_size=30, unique=True)
"""Any tasks that may wait."""

outlooks = st.builds(
    lambda waiting, sources, limit, more, longest: Outlook(waiting, sources, limit, len(waiting) + more, longest),
    tasks,
    _views(0),
    st.integers(0, 40),
    st.integers(0, 10**6),
    st.none() | st.floats(1, 1e6),
)
"""Anything that may be shown to a planner."""

_calls = st.lists(st.tuples(tasks, views, st.integers(0, 40)), max_size=5)


def _model(number: int, slots: int, speed: float, queue_wait_s: float, failures: float) -> SourceModel:
    """A pool, or where tasks queue a scheduler that is asked every ten seconds."""
    pool = Capabilities(slots, None, push=True, shares_files=True)
    batch = Capabilities(slots, 1000, poll_interval_s=10.0, query_interval_s=10.0, shares_files=True)
    return SourceModel(f"test:{number}", batch if queue_wait_s else pool, speed, exactly(queue_wait_s), failures)


def scenarios(
    spreads: Sequence[float] = (1.0, 1.5, 4.0),
    queue_waits: Sequence[float] = (0.0, 0.0, 20.0, 300.0),
    failures: Sequence[float] = (0.0, 0.0, 0.3),
    limits: bool = True,
) -> st.SearchStrategy[Scenario]:
    """Sweeps on one to four sources of unequal speed.

    :param spreads: the run times of nine tasks of ten are within this factor of a hundred seconds.
    """
    source = st.tuples(
        st.integers(1, 8),
        st.sampled_from([0.125, 0.3, 0.5, 0.9, 1.0, 1.1, 2.0, 4.0, 8.0]),
        st.sampled_from(queue_waits),
        st.sampled_from(failures),
    )
    return st.builds(
        lambda total, spread, sources, limit, retries, seed: Scenario(
            total,
            exactly(100.0) if spread == 1 else between(100.0 / spread, 100.0 * spread),
            [_model(number, *what) for number, what in enumerate(sources)],
            limit,
            retries,
            seed=seed,
        ),
        total=st.integers(1, 100),
        spread=st.sampled_from(spreads),
        sources=st.lists(source, min_size=1, max_size=4),
        limit=st.none() | st.integers(1, 8) if limits else st.none(),
        retries=st.integers(0, 2),
        seed=st.integers(0, 10**6),
    )


class StrategyConformance:
    """Every law of strategies.

    :cvar plugin: the module that the entry point names.
    :cvar name: the strategy, as `--strategy` has it.
    :cvar keeps_back: it may keep tasks for a better source, so that giving out all that fit is not asked of it.
    """

    plugin: ClassVar[ModuleType]
    name: ClassVar[str]
    keeps_back: ClassVar[bool] = False

    def make(self, seed: int) -> Strategy:
        """A new strategy, as the core would make it: through the hook."""
        (offered,) = [one for one in self.plugin.hsm_strategies() if one.name == self.name]
        assert offered.api[0] == API_VERSION[0]
        made: Strategy = offered.factory(seed)
        return made

    # Each law is a function of its own within its test: hypothesis ties a method to one class, and these have many.

    def test_it_gives_out_what_there_is_room_for_and_never_more(self) -> None:
        """No task twice or unasked, none beyond the limit or a source's room, and in order of preference."""

        @given(seed=st.integers(), calls=_calls)
        def law(seed: int, calls: Any) -> None:
            strategy = self.make(seed)
            for waiting, sources, limit in calls:
                pairs = strategy.assign(waiting, sources, limit)
                given_to = Counter(source for _, source in pairs)
                given_out = [task for task, _ in pairs]
                assert len(set(given_out)) == len(given_out)
                assert set(given_out) <= set(waiting)
                assert all(given_to[view.id] <= view.free for view in sources)
                assert set(given_to) <= {view.id for view in sources}
                most = min(len(waiting), limit, sum(view.free for view in sources))
                assert len(pairs) <= most
                if not self.keeps_back:
                    assert given_out == list(waiting[:most])

        law()

    def test_it_plans_within_what_there_is_room_for(self) -> None:
        """The same of `plan`, where it has one: no task twice or unasked, none beyond the limit or a source's room."""

        @given(seed=st.integers(), calls=st.lists(outlooks, max_size=5))
        def law(seed: int, calls: Sequence[Outlook]) -> None:
            strategy = self.make(seed)
            if not isinstance(strategy, Planner):
                return
            for outlook in calls:
                pairs = strategy.plan(outlook)
                given_to = Counter(source for _, source in pairs)
                given_out = [task for task, _ in pairs]
                assert len(set(given_out)) == len(given_out) <= max(outlook.limit, 0)
                assert set(given_out) <= set(outlook.tasks)
                assert set(given_to) <= {view.id for view in outlook.sources}
                assert all(given_to[view.id] <= view.free for view in outlook.sources)

        law()

    def test_the_same_seed_gives_the_same_choices(self) -> None:
        """All randomness comes from the seed, and memory only from earlier calls."""

        @given(seed=st.integers(), calls=_calls)
        def law(seed: int, calls: Any) -> None:
            one, other = self.make(seed), self.make(seed)
            for call in calls:
                assert list(one.assign(*call)) == list(other.assign(*call))

        law()

    def test_a_sweep_ends_and_never_stands_still(self) -> None:
        """Under the real engine every task ends, and sooner than if the slowest slot had done them all by itself."""

        @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(seed=st.integers(0, 99), scenario=scenarios())
        def law(seed: int, scenario: Scenario) -> None:
            forecast = simulate(scenario, self.make(seed))
            assert forecast.completed + forecast.failed == scenario.total
            runs = scenario.retries + 1
            work_s = sum(map(scenario.work, range(scenario.total))) * runs / min(one.speed for one in scenario.sources)
            waits_s = max(one.queue_wait.shortest() + 20.0 for one in scenario.sources) * scenario.total * runs
            assert forecast.makespan_s <= work_s + waits_s + 60.0

        law()

    def test_the_same_seed_gives_the_same_sweep(self) -> None:
        """The same world gives the same forecast, to the last digit."""

        @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(seed=st.integers(0, 99), scenario=scenarios())
        def law(seed: int, scenario: Scenario) -> None:
            assert simulate(scenario, self.make(seed)) == simulate(scenario, self.make(seed))

        law()
