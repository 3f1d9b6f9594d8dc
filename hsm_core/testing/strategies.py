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
from typing import Any, ClassVar

from hypothesis import given
from hypothesis import strategies as st

from ..contract import API_VERSION, SourceView, Strategy

__all__ = ["StrategyConformance", "tasks", "views"]

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
"""Any sources that may be shown to a strategy."""

tasks = st.lists(st.integers(0, 10**12), max_size=30, unique=True)
"""Any tasks that may wait."""

_calls = st.lists(st.tuples(tasks, views, st.integers(0, 40)), max_size=5)


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

    def test_the_same_seed_gives_the_same_choices(self) -> None:
        """All randomness comes from the seed, and memory only from earlier calls."""

        @given(seed=st.integers(), calls=_calls)
        def law(seed: int, calls: Any) -> None:
            one, other = self.make(seed), self.make(seed)
            for call in calls:
                assert list(one.assign(*call)) == list(other.assign(*call))

        law()
