"""A pool of slots, with a runner that is a script of answers: what is told to it, and what is made of what it says."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import IO, Any, Dict, List, Mapping, Optional, Sequence

import pytest

from hsm_core.contract import (
    Acceptance,
    Channel,
    Completed,
    Health,
    ObservationKind,
    SourceContext,
    SourceSpec,
    SubmitRequest,
    TaskResources,
    TaskSpec,
)
from hsm_core.toolkit import PoolSource


class Script:
    """The runner's end of a channel, played by the test."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self.stdin: IO[bytes] = os.fdopen(writer, "wb", buffering=0)
        self._operations = os.fdopen(reader, "rb")
        reader, writer = os.pipe()
        self.stdout: IO[bytes] = os.fdopen(reader, "rb", buffering=0)
        self._events = os.fdopen(writer, "wb", buffering=0)

    def say(self, *messages: Any) -> None:
        """Report; what is no text goes as JSON."""
        for message in messages:
            self._events.write((message if isinstance(message, bytes) else json.dumps(message).encode()) + b"\n")

    def told(self) -> Dict[str, Any]:
        """The next operation."""
        operation: Dict[str, Any] = json.loads(self._operations.readline())
        return operation

    def end(self) -> None:
        """End, as a runner does that is killed."""
        self._events.close()
        self._operations.close()

    def wait(self, timeout_s: Optional[float] = None) -> Optional[int]:
        return 0

    def drop(self) -> None:
        self.end()

    def kill(self) -> None:
        self.end()


class FakeHost:
    """A host on which runners are scripts and `settle` gives the verdicts that the test has put there."""

    name = "fake"
    is_here = True

    def __init__(self) -> None:
        self.files: Dict[str, bytes] = {}
        self.scripts: List[Script] = []
        self.verdicts: Dict[int, List[Any]] = {}
        self.asked: List[Any] = []

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", cwd: Optional[str] = None, timeout_s: float = 60.0
    ) -> Completed:
        question = json.loads(input)
        self.asked.append((argv[-1], [tuple(task[:2]) for task in question["tasks"]]))
        tasks = [[index, attempt, *self.verdicts.get(index, ["queued", ""])] for index, attempt, _ in question["tasks"]]
        return Completed(0, json.dumps({"tasks": tasks}).encode(), b"")

    def start(self, argv: Sequence[str], *, cwd: Optional[str] = None, stderr: Optional[str] = None) -> Channel:
        self.scripts.append(Script())
        return self.scripts[-1]

    def put(self, data: bytes, path: str, *, mode: int = 0o644) -> None:
        self.files[path] = data

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def close(self) -> None:
        for script in self.scripts:
            script.end()


class Pool:
    """A pool source on a fake host, and the clock that it sees."""

    def __init__(self, tmp_path: Path, **options: Any) -> None:
        self.host = FakeHost()
        self.now = 100.0
        self.woken = threading.Event()
        self.source = PoolSource(self.host, SourceSpec("fake", "box", 2, options), clock=lambda: self.now)
        context = SourceContext("s", str(tmp_path), str(tmp_path), SourceSpec("fake", "box"), wake=self.woken.set)
        self.source.open(context)

    def submit(self, *indices: int, **resources: Any) -> Any:
        """Submit first attempts."""
        tasks = [
            TaskSpec(index, 1, f"task_{index + 1:03d}", ("true",), resources=TaskResources(**resources))
            for index in indices
        ]
        return {answer.attempt: answer for answer in self.source.submit(SubmitRequest("token", tasks)).answers}

    @property
    def runner(self) -> Script:
        """The latest runner."""
        return self.host.scripts[-1]

    def hear(self, *messages: Any, handles: Optional[Mapping[Any, Any]] = None) -> Any:
        """Let the runner say something; what the source makes of it."""
        self.woken.clear()
        self.runner.say(*messages)
        assert self.woken.wait(30.0)
        return self.source.poll(handles or {})


@pytest.fixture
def pool(tmp_path: Path) -> Any:
    """A pool of two slots."""
    made = Pool(tmp_path)
    yield made
    made.host.close()
    made.source.close()


def test_the_runner_starts_with_the_first_submission(pool: Pool) -> None:
    """Opening costs nothing; then the runner's text is put there, and it learns who it is before it gets tasks."""
    assert not pool.host.files
    assert not pool.host.scripts
    answers = pool.submit(0, 1)
    assert [path.rpartition("/")[2] for path in pool.host.files] == ["runner.py"]
    init, reserve, run = pool.runner.told(), pool.runner.told(), pool.runner.told()
    assert (init["op"], init["slots"], init["sweep_id"]) == ("init", 2, "s")
    assert (reserve["op"], reserve["slots"]) == ("reserve", [])
    assert [(task["i"], task["a"], task["id"]) for task in run["tasks"]] == [(0, 1, "task_001"), (1, 1, "task_002")]
    assert {answer.acceptance for answer in answers.values()} == {Acceptance.ACCEPTED}
    assert {json.dumps(answer.handle) for answer in answers.values()} == {json.dumps({"runner": init["runner"]})}
    pool.submit(2)
    assert len(pool.host.scripts) == 1


def test_a_task_that_asks_for_more_gpus_than_there_are_is_rejected(tmp_path: Path) -> None:
    """It can never run here; the others are taken."""
    pool = Pool(tmp_path, gpus=1)
    assert pool.submit(0, gpus=1)[0, 1].acceptance is Acceptance.ACCEPTED
    refusal = pool.submit(1, gpus=2)[1, 1]
    assert refusal.acceptance is Acceptance.REJECTED
    assert refusal.reason == "it asks for 2 GPUs, fake:box has 1"
    pool.host.close()
    pool.source.close()


def test_events_become_observations_and_garbage_is_reported(pool: Pool) -> None:
    """Started, ended and refused are handed on with their evidence; a line that makes no sense harms nobody."""
    pool.submit(0, 1)
    batch = {
        "ev": [["started", 0, 1, {"pid": 5}], ["ended", 0, 1, {"state": "completed"}], ["refused", 1, 1, "no GPU"]]
    }
    news = pool.hear({"hello": {}}, b"\xff not json", batch)
    while len(news.observations) < 3:  # the reader may have woken us at the first line
        more = pool.source.poll({})
        news = type(news)([*news.observations, *more.observations], garbage=[*news.garbage, *more.garbage])
    assert [seen.kind for seen in news.observations] == [
        ObservationKind.STARTED,
        ObservationKind.ENDED,
        ObservationKind.REFUSED,
    ]
    assert news.observations[1].record == {"state": "completed"}
    assert news.observations[2].reason == "no GPU"
    assert len(news.garbage) == 1
    assert not news.complete


def test_what_find_found_is_settled_before_any_runner_lives(pool: Pool) -> None:
    """After a crash between intention and answer nobody knows; the first poll settles it, runner or none."""
    handles = pool.source.find("token", [(0, 1), (1, 1)])
    pool.host.verdicts = {0: ["ended", {"state": "completed"}], 1: ["withdrawn", "never started"]}
    news = pool.source.poll(handles)
    assert pool.host.asked == [("settle", [(0, 1), (1, 1)])]
    assert [seen.kind for seen in news.observations] == [ObservationKind.ENDED, ObservationKind.WITHDRAWN]
    assert not pool.host.scripts


def test_adopted_tasks_are_looked_at_now_and_then_and_keep_their_slots(pool: Pool) -> None:
    """Once a second, not at every poll; the new runner is told which slots and GPUs they still use, until they end."""
    handles = {(0, 1): {"runner": "old"}}
    pool.host.verdicts = {0: ["running", {"slot": 1, "pid": 7, "gpus": ["3"]}]}
    assert pool.source.poll(handles).observations[0].kind is ObservationKind.STARTED
    pool.source.poll(handles)
    assert len(pool.host.asked) == 1
    pool.submit(1)
    pool.runner.told()
    assert pool.runner.told() == {"op": "reserve", "slots": [1], "gpus": ["3"]}
    assert pool.runner.told()["op"] == "run"
    pool.now += 1.0
    pool.host.verdicts = {0: ["lost", "its runner died"]}
    assert pool.source.poll(handles).observations[0].kind is ObservationKind.LOST
    assert pool.runner.told() == {"op": "reserve", "slots": [], "gpus": []}


def test_the_tasks_of_a_runner_that_died_are_settled(pool: Pool) -> None:
    """Its end of the pipe closes: all that it had is looked at, and the next submission starts another runner."""
    handles = {attempt: answer.handle for attempt, answer in pool.submit(0).items()}
    pool.woken.clear()
    pool.runner.end()
    assert pool.woken.wait(30.0)
    pool.host.verdicts = {0: ["lost", "its runner died"]}
    seen = []
    while not seen:
        seen = list(pool.source.poll(handles).observations)
    assert [one.kind for one in seen] == [ObservationKind.LOST]
    pool.submit(1)
    assert len(pool.host.scripts) == 2


def test_a_runner_that_does_not_answer_is_unhealthy_until_it_does(pool: Pool) -> None:
    """It is asked at one health check, and should have answered at the next."""
    assert pool.source.health().health is Health.HEALTHY
    pool.submit(0)
    assert pool.source.health().health is Health.HEALTHY
    assert pool.source.health().health is Health.UNHEALTHY
    assert "does not answer" in pool.source.health().detail
    for operation in ("init", "reserve", "run", "ping"):
        assert pool.runner.told()["op"] == operation
    news = pool.hear({"pong": 1})
    assert news.health is not None
    assert news.health.health is Health.HEALTHY
    assert pool.source.health().health is Health.HEALTHY


def test_a_full_disk_degrades_the_source_until_there_is_room(pool: Pool) -> None:
    """What the runner says of itself is the source's health; it is told once when it changes."""
    pool.submit(0)
    news = pool.hear({"ev": [["blocked", 0, 0, "No space left on device"]]})
    assert (news.health.health, news.health.detail) == (Health.DEGRADED, "No space left on device")
    assert pool.source.poll({}).health is None
    assert pool.hear({"ev": [["unblocked", 0, 0, ""]]}).health.health is Health.HEALTHY


def test_cancelling_goes_through_the_runner_or_past_it(pool: Pool) -> None:
    """Our runner is told; tasks of another are ended by the script, which works without any runner."""
    handles: Dict[Any, Any] = {attempt: answer.handle for attempt, answer in pool.submit(0).items()}
    pool.source.cancel({**handles, (5, 2): {"runner": "old"}, (6, 1): {"runner": None}}, 3.0)
    for _ in range(3):
        pool.runner.told()
    assert pool.runner.told() == {"op": "cancel", "tasks": [[0, 1]], "grace_s": 3.0}
    assert pool.host.asked == [("end", [(5, 2), (6, 1)])]
