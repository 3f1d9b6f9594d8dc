"""When files are brought home: those of failures at once, the others together."""

from __future__ import annotations

from typing import Dict, List, Sequence

from hsm_core.contract import Assignment, Attempt, Capabilities, Observation, ObservationKind, SourceView
from hsm_core.engine.engine import Collect, Engine
from hsm_core.engine.events import make
from hsm_core.engine.instructions import Submit
from hsm_core.engine.reduce import replay

FAR = Capabilities(slots=2, lookahead=0)


class FirstCome:
    """Tasks to the first source."""

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> List[Assignment]:
        return [(task, sources[0].id) for task in tasks[: sources[0].free]]


class Story:
    """A sweep on a source whose files are elsewhere."""

    def __init__(self, total: int, interval_s: float) -> None:
        created = make("created", 0.0, sweep_id="s", uid="0", total=total, retries=0)
        opened = make("opened", 0.0, epoch=1)
        self.engine = Engine(replay([created, opened]), FirstCome(), interval_s)
        self.engine.join("k:far", FAR, 2, 0.0)

    def step(self, now: float) -> Dict[str, List[Attempt]]:
        """What is asked for; submissions are accepted at once."""
        asked: Dict[str, List[Attempt]] = {"submit": [], "collect": []}
        _, instructions = self.engine.step(now)
        for one in instructions:
            if isinstance(one, Collect):
                asked["collect"] += one.handles
            elif isinstance(one, Submit):
                self.engine.found(one.source, one.attempts, {a: {} for a in one.attempts}, now)
                asked["submit"] += one.attempts
        return asked

    def ended(self, index: int, now: float, code: int = 0, attempt: int = 1) -> None:
        """A task's program has ended."""
        record = {"state": "failed" if code else "completed", "exit_code": code}
        self.engine.observe("k:far", [Observation((index, attempt), ObservationKind.ENDED, record)], now)


def test_what_ended_well_waits_for_the_interval() -> None:
    """And takes up no slot meanwhile: the next tasks start at once."""
    story = Story(5, 60.0)
    assert story.step(0.0)["submit"] == [(0, 1), (1, 1)]
    story.ended(0, 1.0)
    assert story.step(1.0) == {"submit": [(2, 1)], "collect": []}
    assert story.step(59.0)["collect"] == []
    assert story.step(61.0)["collect"] == [(0, 1)]
    assert story.step(200.0)["collect"] == [], "it was asked for"


def test_a_failure_comes_at_once() -> None:
    """Its files are wanted now; those of others are left for later."""
    story = Story(5, 60.0)
    story.step(0.0)
    story.ended(0, 1.0)
    story.ended(1, 1.0, code=3)
    assert story.step(1.0)["collect"] == [(1, 1)]


def test_at_the_end_nothing_is_waited_for() -> None:
    """When all programs have ended, or the sweep is interrupted, everything comes."""
    story = Story(2, 60.0)
    story.step(0.0)
    story.ended(0, 1.0)
    assert story.step(1.0)["collect"] == []
    story.ended(1, 2.0)
    assert story.step(2.0)["collect"] == [(0, 1), (1, 1)]
    other = Story(5, 60.0)
    other.step(0.0)
    other.ended(0, 1.0)
    other.engine.interrupt("interrupted")
    assert other.step(1.0)["collect"] == [(0, 1)]


def test_what_did_not_come_is_asked_for_again() -> None:
    """After a pause, which grows, and without waiting for the interval."""
    story = Story(2, 0.0)
    story.step(0.0)
    story.ended(0, 1.0)
    assert story.step(1.0)["collect"] == [(0, 1)]
    story.engine.not_collected([(0, 1)])
    story.engine.trouble("k:far", "no way", 1.0, call="collect")
    assert story.step(1.5)["collect"] == []
    assert story.step(10.0)["collect"] == [(0, 1)]
    story.engine.collected([(0, 1)], 10.0)
    story.engine.not_collected([(0, 1)])
    assert story.step(30.0)["collect"] == [], "it came after all"
