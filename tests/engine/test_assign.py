"""What strategies are told, and how many tasks a source may hold beyond its slots."""

from __future__ import annotations

from typing import List, Optional, Sequence

import pytest

from hsm_core.contract import (
    Acceptance,
    Assignment,
    Attempt,
    Capabilities,
    Observation,
    ObservationKind,
    Outlook,
    SourceView,
    SubmitResult,
    TaskAnswer,
)
from hsm_core.engine.engine import Engine, Submit
from hsm_core.engine.events import make
from hsm_core.engine.reduce import reduce, replay

NOW = 1e9


class Curious:
    """A planner that remembers what it was told, and gives each source what it was told to."""

    def __init__(self) -> None:
        self.told: List[Outlook] = []

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """Never called: it plans."""
        raise AssertionError

    def plan(self, outlook: Outlook) -> Sequence[Assignment]:
        """Everything that fits, source by source."""
        self.told.append(outlook)
        slots = [view.id for view in outlook.sources for _ in range(view.free)]
        return list(zip(outlook.tasks, slots[: outlook.limit]))


class World:
    """An engine whose sources do as they are told."""

    def __init__(self, total: int, *sources: Capabilities, longest_s: Optional[float] = None) -> None:
        self.planner = Curious()
        opened = [make("created", NOW, sweep_id="s", uid="u", total=total), make("opened", NOW, epoch=1)]
        self.engine = Engine(replay(opened), self.planner, longest_s=longest_s)
        for number, capabilities in enumerate(sources):
            self.engine.join(f"k:{number}", capabilities, capabilities.slots, NOW)

    def step(self, now: float) -> List[Submit]:
        """Let it decide, and take all that it submits."""
        submissions = [one for one in self.engine.step(now)[1] if isinstance(one, Submit)]
        for submit in submissions:
            answers = [TaskAnswer(attempt, Acceptance.ACCEPTED, {}) for attempt in submit.attempts]
            self.engine.answered(submit.source, submit.token, submit.attempts, SubmitResult(answers), now)
        return submissions

    def start(self, source: str, attempts: Sequence[Attempt], now: float) -> None:
        """These are seen to run."""
        seen = [Observation(attempt, ObservationKind.STARTED, {"pid": 1}) for attempt in attempts]
        self.engine.observe(source, seen, now)

    def end(self, source: str, attempts: Sequence[Attempt], now: float, duration_s: float, state: str) -> None:
        """These are seen to end."""
        record = {"state": state, "exit_code": 0 if state == "completed" else 1, "duration_s": duration_s}
        self.engine.observe(source, [Observation(one, ObservationKind.ENDED, record) for one in attempts], now)

    def held(self, source: str) -> int:
        """How many tasks it has."""
        return self.engine.state.sources[source].busy


POOL = Capabilities(2, None, push=True, shares_files=True)
BATCH = Capabilities(4, 1000, shares_files=True)


def test_a_planner_is_told_of_full_sources_and_of_how_long_tasks_have_been_at_it() -> None:
    """Ages by the core's clock, waits of tasks that had a free slot, and how much is left in all."""
    world = World(100, POOL, POOL, longest_s=3600.0)
    first = world.step(NOW)
    assert [view.free for view in world.planner.told[0].sources] == [2, 2]
    assert world.planner.told[0].longest_s == 3600.0
    one, other = first[0].attempts, first[1].attempts
    world.start("k:0", one, NOW + 3.0)
    world.start("k:1", other[:1], NOW + 5.0)
    world.end("k:1", other[:1], NOW + 15.0, 9.0, "completed")
    world.step(NOW + 20.0)
    outlook = world.planner.told[-1]
    full, free = outlook.sources
    assert (full.free, full.active, list(full.running_s), full.mean_wait_s) == (0, 2, [17.0, 17.0], 3.0)
    assert (free.active, free.mean_duration_s, free.mean_wait_s, list(free.waiting_s)) == (1, 9.0, 5.0, [20.0])
    assert outlook.waiting == 96
    assert len(outlook.tasks) <= outlook.limit


def test_time_in_which_nobody_looked_is_no_wait() -> None:
    """What was submitted before a controller was gone for a day, and started meanwhile, did not queue for a day."""
    world = World(100, BATCH)
    first = world.step(NOW)[0].attempts
    state = world.engine.state
    reduce(state, make("opened", NOW + 86_400.0, epoch=2))
    reduce(state, make("started", NOW + 86_401.0, task=first[0]))
    assert state.sources["k:0"].mean_wait_s is None


def test_failures_do_not_make_a_source_fast() -> None:
    """A machine where everything fails at once has no run time: strategies would flood it."""
    world = World(100, POOL)
    attempts = world.step(NOW)[0].attempts
    world.end("k:0", attempts, NOW + 1.0, 0.01, "failed")
    assert world.engine.state.sources["k:0"].mean_duration_s is None


@pytest.mark.parametrize(("duration_s", "ahead"), [(0.002, 150), (0.1, 3), (1.0, 1), (60.0, 0), (3600.0, 0)])
def test_short_tasks_are_given_ahead_and_long_ones_are_not(duration_s: float, ahead: int) -> None:
    """As many as start within a moment; nothing before the first has completed, for nobody knows how long they run."""
    world = World(10_000, POOL)
    first = world.step(NOW)[0].attempts
    assert len(first) == 2
    world.end("k:0", first[:1], NOW + duration_s, duration_s, "completed")
    world.step(NOW + duration_s)
    assert world.held("k:0") == 2 + ahead


def test_a_cluster_by_itself_takes_as_much_as_it_likes() -> None:
    """Its queue is where tasks wait best."""
    world = World(10_000, BATCH)
    world.step(NOW)
    assert world.held("k:0") == 1004


def test_a_cluster_beside_others_takes_what_keeps_it_busy() -> None:
    """One task ahead for each slot at first, then by Little's law, as far as its run times are known."""
    world = World(10_000, BATCH, POOL)
    first = next(one for one in world.step(NOW) if one.source == "k:0").attempts
    assert world.held("k:0") == 8
    world.start("k:0", first[:4], NOW + 600.0)
    world.end("k:0", first[:4], NOW + 700.0, 100.0, "completed")
    world.step(NOW + 700.0)
    assert world.held("k:0") == 4 + 8, "what four tasks tell is not believed for more than four more"
    for index in range(40):
        waiting = [i for i, task in world.engine.state.live.items() if task.source == "k:0"]
        world.end("k:0", [(i, 1) for i in waiting[:4]], NOW + 800.0 + index, 100.0, "completed")
        world.step(NOW + 800.0 + index)
    assert 4 + 27 <= world.held("k:0") <= 4 + 36, "1.5 * 4 slots * 600 s / 100 s, given in quarters"
