"""The laws of the engine, on a virtual clock, against sources that fail in every way that the contract allows."""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsm_core.contract import (
    Acceptance,
    Assignment,
    Attempt,
    Capabilities,
    Handle,
    HealthReport,
    Observation,
    ObservationKind,
    PollResult,
    SourceView,
    SubmitResult,
    TaskAnswer,
    TaskState,
)
from hsm_core.engine.engine import Finish
from hsm_core.engine.events import Event, make
from hsm_core.engine.interpret import MAX_LOST
from hsm_core.engine.reduce import reduce
from hsm_core.engine.state import SweepState, validate
from hsm_core.forecast.virtual import Clock, Fate, Ledger, VirtualSource
from hsm_core.testing.virtual_sweep import VirtualSweep

LAWS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

BAD_ENDS = ("failed", "timeout", "preempted", "lost", "withdrawn", "refused")
BENIGN_AFTER = 12
"""Attempts and calls after which a hostile source behaves, so that every run can end."""


class Mood(NamedTuple):
    """How hostile a source is: probabilities, but for `dies_at` and `revives_at` (seconds after the start)."""

    bad_end: float
    bad_answer: float
    breaks: float
    silent: float
    slow: float
    lies: float
    dies_at: Optional[float]
    revives_at: Optional[float]


class HostileSource(VirtualSource):
    """Answers late, partly, wrongly or not at all, dies and revives; but says nothing false of its own tasks' ends."""

    def __init__(
        self, id: str, clock: Clock, ledger: Ledger, capabilities: Capabilities, mood: Mood, seed: int
    ) -> None:
        super().__init__(id, clock, ledger, self._choose_fate, capabilities)
        self.mood = mood
        self._seed = seed
        self._random = Random(f"{seed} {id}")
        self._born = clock.now
        self._calls = 0

    def _choose_fate(self, attempt: Attempt) -> Fate:
        random = Random(f"{self._seed} {self.id} {attempt}")
        bad = attempt[1] < BENIGN_AFTER and random.random() < self.mood.bad_end
        return Fate(
            random.choice(BAD_ENDS) if bad else "completed", random.choice([0.0, 0.1, 1.0, 90.0]), random.random()
        )

    @property
    def dead(self) -> bool:
        """Every call fails now."""
        age = self._clock.now - self._born
        dies, revives = self.mood.dies_at, self.mood.revives_at
        return dies is not None and age >= dies and not (revives is not None and age >= dies + revives)

    def _breaks(self) -> bool:
        self._calls += 1
        return self._random.random() < self.mood.breaks and self._calls % BENIGN_AFTER != 0

    def submit(self, token: str, attempts: Sequence[Attempt]) -> SubmitResult:
        """Takes some, refuses some, does not say of some, and may break before or after."""
        if self.dead:
            raise OSError("dead")
        before = self._breaks() and self._random.random() < 0.5
        if before:
            raise OSError("broke before")
        answers = [answer for answer in (self._answer(token, attempt) for attempt in attempts) if answer is not None]
        if self._breaks():
            raise OSError("broke after")
        self._random.shuffle(answers)
        return SubmitResult(answers)

    def _answer(self, token: str, attempt: Attempt) -> Optional[TaskAnswer]:
        if self._random.random() >= self.mood.bad_answer or self._calls > 10 * BENIGN_AFTER:
            return self._take(token, attempt)
        what = self._random.choice(["rejected", "retry", "limit", "taken", "not taken", "taken, silent", "silent"])
        if what in ("rejected", "retry", "limit"):
            return TaskAnswer(attempt, Acceptance(what), None, what)
        if what.startswith("taken"):
            self._take(token, attempt)
        return None if what.endswith("silent") else TaskAnswer(attempt, Acceptance.INDETERMINATE)

    def find(self, token: str, attempts: Sequence[Attempt]) -> Mapping[Attempt, Handle]:
        """True, when it does not break."""
        if self.dead or self._breaks():
            raise OSError("broke")
        return super().find(token, attempts)

    def poll(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        """Leaves some out, repeats some, and adds old words and words on tasks that are not its own."""
        self.advance()
        if self.dead or self._breaks():
            raise OSError("broke")
        seen: List[Observation] = []
        for attempt in handles:
            if self._random.random() < self.mood.silent:
                continue
            seen.append(self._see(attempt))
            if self._random.random() < self.mood.lies:
                seen += self._lies(attempt)
        return PollResult(seen, complete=False)

    def _lies(self, attempt: Attempt) -> List[Observation]:
        index, number = attempt
        kind = self._random.choice(list(ObservationKind))
        harmless = self._random.choice([ObservationKind.UNKNOWN, ObservationKind.HELD, ObservationKind.QUEUED])
        strange = {"state": "completed", "exit_code": "0", "duration_s": float("nan")}
        strangers = [(0, 0), (10**9, 1), (-1, 3), *(run.attempt for run in self._ledger.runs if run.source != self.id)]
        told = [Observation(attempt, harmless, None, self._random.choice(["", "Priority"]))]
        told += [Observation((index, other), kind, strange, "old") for other in (number - 1, number + 1)]
        told += [Observation(other, kind, strange, "not mine") for other in strangers]
        return told

    def cancel(self, handles: Mapping[Attempt, Handle]) -> None:
        """May break before or after."""
        if self.dead or self._breaks():
            raise OSError("broke before")
        super().cancel(handles)
        if self._breaks():
            raise OSError("broke after")

    def collect(self, handles: Mapping[Attempt, Handle]) -> None:
        """May break."""
        if self.dead or self._breaks():
            raise OSError("broke")

    def health(self) -> HealthReport:
        """May break."""
        if self.dead:
            raise OSError("dead")
        return super().health()

    def latency_s(self) -> float:
        """Answers at once, soon, or after any deadline."""
        slow = self._random.random() < self.mood.slow and self._calls % BENIGN_AFTER != 0
        return self._random.choice([0.5, 3.0, 100.0]) if slow else 0.0


class Whimsical:
    """A strategy that breaks its contract now and then."""

    def __init__(self, seed: int, whim: float) -> None:
        self._random = Random(seed)
        self._whim = whim

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """Any source for each task; or nothing, too much, nonsense, an exception."""
        pairs = [(task, self._random.choice(sources).id) for task in tasks]
        if self._random.random() >= self._whim:
            return pairs
        whim = self._random.choice(["nothing", "twice", "strangers", "raise", "shape"])
        if whim == "raise":
            raise ValueError("a whim")
        strangers: List[Assignment] = [(10**9, sources[0].id), (tasks[0], "no:such")]
        return {"nothing": [], "twice": pairs + pairs, "strangers": strangers, "shape": [None]}[whim]  # type: ignore


class World(NamedTuple):
    """A drawn example."""

    total: int
    seed: int
    retries: int
    limit: Optional[int]
    hold_after: int
    max_failures: Optional[int]
    canary: bool
    sources: Sequence[Tuple[Capabilities, Mood]]
    whim: float
    collect_interval_s: float
    upsets: Sequence[Tuple[float, str]]
    """(seconds from the start, crash | cancel some | cancel all | interrupt | pause | resume), in order of time."""


chance = st.sampled_from([0.0, 0.0, 0.1, 0.4])
moods = st.builds(
    Mood,
    bad_end=st.sampled_from([0.0, 0.3, 0.8]),
    bad_answer=chance,
    breaks=chance,
    silent=chance,
    slow=chance,
    lies=chance,
    dies_at=st.none() | st.sampled_from([0.0, 2.0, 50.0]),
    revives_at=st.none() | st.sampled_from([10.0, 500.0, 2000.0]),
)
offers = st.builds(
    Capabilities,
    slots=st.integers(1, 4),
    lookahead=st.sampled_from([0, 0, None, 3]),
    interrupts=st.booleans(),
    shares_files=st.booleans(),
)
worlds = st.builds(
    World,
    total=st.integers(0, 12),
    seed=st.integers(0, 10**6),
    retries=st.integers(0, 2),
    limit=st.none() | st.integers(1, 4),
    hold_after=st.sampled_from([0, 0, 3]),
    max_failures=st.sampled_from([None, None, 2]),
    canary=st.sampled_from([False, False, True]),
    sources=st.lists(st.tuples(offers, moods), min_size=1, max_size=3),
    whim=chance,
    collect_interval_s=st.sampled_from([0.0, 0.0, 5.0, 1000.0]),
    upsets=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.4, 1.5, 7.0, 60.0, 400.0]),
            st.sampled_from(["crash", "crash", "cancel some", "cancel all", "interrupt", "pause", "pause", "resume"]),
        ),
        max_size=4,
    ).map(sorted),
)


class Story(NamedTuple):
    """What came of a world."""

    journal: List[Event]
    ledger: Ledger
    state: SweepState
    finish: Finish
    seconds: float


def live_through(world: World) -> Story:
    """Run a world to its end, checking the state after every group of events."""
    clock, ledger, random = Clock(), Ledger(), Random(world.seed)
    start = clock.now
    sources = []
    for number, (offered, mood) in enumerate(world.sources):
        slots = offered.slots if world.limit is None else min(offered.slots, world.limit)
        capabilities = Capabilities(
            slots, offered.lookahead, False, 1.0, True, offered.interrupts, offered.shares_files
        )
        sources.append(HostileSource(f"kind:{number}", clock, ledger, capabilities, mood, world.seed))
    journal = VirtualSweep.declare(world.total, clock, retries=world.retries, hold_after=world.hold_after)

    def watch(state: SweepState) -> None:
        validate(state)
        for source in sources:
            running = sum(run.ended is None for run in ledger.runs if run.source == source.id)
            assert running <= source.offered.slots, "running beyond its slots"
            held = state.sources[source.id].busy if source.id in state.sources else 0
            if world.canary and source.id in state.sources and not state.sources[source.id].completed:
                assert held <= 1, "more than its canary"
            assert source.offered.lookahead != 0 or held <= source.offered.slots, "held beyond its slots"
        if world.limit is not None:
            assert sum(run.ended is None for run in ledger.runs) <= world.limit, "the sweep's limit"

    def controller() -> VirtualSweep:
        return VirtualSweep(
            sources,
            Whimsical(random.randrange(10**6), world.whim),
            clock,
            journal,
            watch,
            collect_interval_s=world.collect_interval_s,
            limit=world.limit,
            max_failures=world.max_failures,
            canary=world.canary,
        )

    sweep = controller()
    finish: Optional[Finish] = None
    for at, what in world.upsets:
        finish = sweep.run(until=start + at)
        if finish is not None:
            break
        if what == "crash":
            del journal[random.randint(sweep.acted_upon, len(journal)) :]
            sweep = controller()
        elif what == "interrupt":
            sweep.engine.interrupt("by test")
        elif what in ("pause", "resume"):
            journal += getattr(sweep.engine, what)("by test", clock.now)
        else:
            some = random.sample(range(world.total + 2), min(world.total, 3))
            journal += sweep.engine.cancel(some if what == "cancel some" else None, clock.now)
    if finish is None and sweep.engine.state.paused is not None:
        journal += sweep.engine.resume("by test", clock.now)
    finish = finish or sweep.run(until=start + 50_000)
    assert finish is not None, "it ends"
    return Story(journal, ledger, sweep.engine.state, finish, clock.now - start)


def snapshot(state: SweepState) -> Dict[str, Any]:
    """All that a state knows, as plain JSON that can be compared."""

    def plain(value: Any) -> Any:
        if isinstance(value, (set, frozenset)):
            return sorted(value)
        if isinstance(value, Mapping):
            return [[plain(key), plain(kept)] for key, kept in value.items()]
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        if hasattr(value, "__slots__"):
            return {name: plain(getattr(value, name)) for name in value.__slots__}
        return value

    known = {name: plain(value) for name, value in vars(state).items() if name != "outcomes"}
    known["outcomes"] = [[index, plain(state.outcomes.get(index))] for index in state.outcomes.indices()]
    return json.loads(json.dumps(known, sort_keys=True))


def replayed(journal: Sequence[Event]) -> SweepState:
    """The state after reading the journal from disk, checked after every single event."""
    state = SweepState()
    for event in journal:
        reduce(state, json.loads(json.dumps(event)))
        validate(state)
    return state


@LAWS
@given(worlds)
def test_every_run_ends_and_its_journal_is_its_state(world: World) -> None:
    """Whatever the sources do, a run ends in bounded time, all states sum to the total after every event, limits hold,
    and the journal alone gives the same state.
    """
    story = live_through(world)
    assert snapshot(replayed(story.journal)) == snapshot(story.state)
    if story.finish.reason == "finished":
        assert story.state.finished == world.total


@LAWS
@given(worlds)
def test_no_task_runs_twice_at_once(world: World) -> None:
    """By the world's own ledger: no attempt starts twice, and no two attempts of a task overlap, crashes or not."""
    runs = live_through(world).ledger.runs
    assert max(Counter(run.attempt for run in runs).values(), default=1) == 1, "an attempt started twice"
    last: Dict[int, float] = {}
    for run in runs:
        index = run.attempt[0]
        assert last.get(index, 0.0) <= run.began, f"task {index} runs twice at once"
        last[index] = float("inf") if run.ended is None else run.ended


@LAWS
@given(worlds)
def test_success_needs_evidence_and_is_final(world: World) -> None:
    """The outcome table agrees with the ledger, and a task seen to complete is never assigned again."""
    story = live_through(world)
    ends = {run.attempt: run.end for run in story.ledger.runs}
    for index in story.state.outcomes.indices():
        outcome = story.state.outcomes.get(index)
        assert outcome is not None
        end = ends.get((index, outcome.attempt))
        if outcome.state in (TaskState.COMPLETED, TaskState.TIMEOUT, TaskState.LOST):
            assert end == outcome.state.value
        if outcome.state is TaskState.FAILED:
            assert end != "completed"
    done = set()
    for event in story.journal:
        if event["e"] == "ended" and event["record"]["state"] == "completed":
            done.add(event["task"][0])
        elif event["e"] == "assigned":
            assert done.isdisjoint(index for index, _ in event["tasks"])
    if story.finish.reason == "finished":
        completed = {attempt[0] for attempt, end in ends.items() if end == "completed"}
        assert all(story.state.state_of(index) is TaskState.COMPLETED for index in completed)


@LAWS
@given(worlds)
def test_retries_are_charged_to_programs_only(world: World) -> None:
    """A task is tried again for failures of its program at most `retries` times, for vanishing at most so often."""
    story = live_through(world)
    charged: Counter[int] = Counter()
    lost: Counter[int] = Counter()
    for event in story.journal:
        if event["e"] == "ended" and event["record"]["state"] in ("failed", "timeout"):
            charged[event["task"][0]] += 1
        elif event["e"] == "ended":
            assert not event.get("again", {}).get("charged"), "only failures of the program are charged"
        elif event["e"] == "lost":
            lost[event["task"][0]] += 1
    assert max(charged.values(), default=0) <= world.retries + 1
    assert max(lost.values(), default=0) <= MAX_LOST
    for index, task in story.state.live.items():
        uncounted = task.state is TaskState.COLLECTING and task.facts["record"]["state"] in ("failed", "timeout")
        assert task.charged == charged[index] - uncounted


@LAWS
@given(worlds)
def test_nothing_is_given_away_while_paused(world: World) -> None:
    """From `paused` to `resumed` no source is given a task, whoever is the controller."""
    paused = False
    for event in live_through(world).journal:
        paused = event["e"] == "paused" or (paused and event["e"] != "resumed")
        assert not (paused and event["e"] == "assigned")


@LAWS
@given(worlds)
def test_same_world_same_journal(world: World) -> None:
    """The engine is deterministic: the same world gives the same journal, event by event."""
    assert live_through(world).journal == live_through(world).journal


@LAWS
@given(worlds, st.sampled_from([["failed", "timeout"], ["cancelled"], ["lost", "cancelled", "failed", "timeout"]]))
def test_restored_tasks_run_again_under_higher_numbers(world: World, states: List[str]) -> None:
    """After a close, restored tasks wait again, keep every count, and never reuse the number of an attempt that ran."""
    story = live_through(world)
    clock = Clock(2e9)
    journal = [*story.journal, make("closed", clock.now, state=story.finish.state, reason="test")]
    journal.append(make("restored", clock.now, states=states, reason="test"))
    journal.append(make("resumed", clock.now, reason="test"))
    state = replayed(journal)
    assert all(state.counts[TaskState(name)] == 0 for name in states)
    ran = {run.attempt for run in story.ledger.runs}
    source = VirtualSource("kind:new", clock, Ledger(), capabilities=Capabilities(3, shares_files=True))
    sweep = VirtualSweep([source], Whimsical(0, 0.0), clock, journal, validate)
    finish = sweep.run(until=clock.now + 50_000)
    assert finish is not None
    again = {
        tuple(attempt)
        for event in journal[len(story.journal) :]
        if event["e"] == "assigned"
        for attempt in event["tasks"]
    }
    assert again.isdisjoint(ran)
    assert snapshot(replayed(journal)) == snapshot(sweep.engine.state)
    assert state.pending == 0 or finish.reason == "finished" or sweep.engine.state.in_flight
