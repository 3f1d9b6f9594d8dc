"""The runner inside a scheduler's job: shares, signals, the walltime, restarts, and the news it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from hsm_core.runner import job as module
from hsm_core.runner import job_news
from hsm_core.runner.runner import read_status

JOB = Path(module.__file__).with_name("start_job.py")
DEADLINE_S = 30.0


class Jobs:
    """A job's files, and its elements as processes."""

    def __init__(self, python: str, sweep: Path) -> None:
        self.python = python
        self.sweep = sweep
        self.folder = sweep / ".hsm" / "jobs" / "t" / "0"
        for name in ("news", "requests"):
            (self.folder / name).mkdir(parents=True)
        (sweep / "tasks").mkdir()
        self._processes: List[subprocess.Popen[bytes]] = []

    def write(self, *shares: Any, slots: int = 1, attempt: int = 1, **head: Any) -> None:
        """The job's file: shares of argvs."""
        count = 0
        wanted = []
        for share in shares:
            tasks = []
            for argv in share:
                named = {"i": count, "a": attempt, "id": f"task_{count}"}
                tasks.append({**named, "argv": list(argv), "env": {}, "files": {}})
                count += 1
            wanted.append(tasks)
        init = {"sweep_id": "s1", "source": "fake:main", "slots": slots, "grace_s": 2.0, "env": {}, "setup": []}
        init.update(sweep_dir=str(self.sweep), project_dir=str(self.sweep.parent))
        text = job_news.job_text({"name": "t.0", "init": init, **head}, wanted)
        (self.folder / "tasks.jsonl").write_bytes(text)

    def start(self, element: int = 0, restart: int = 0, elapsed: float = 0.0) -> subprocess.Popen[bytes]:
        """Start an element, as its script does."""
        argv = [self.python, "-I", "-S", str(JOB), str(self.folder / "tasks.jsonl")]
        self._processes.append(
            subprocess.Popen([*argv, str(element), str(restart), str(elapsed)], stdout=subprocess.DEVNULL)
        )
        return self._processes[-1]

    def run(self, *numbers: float) -> None:
        """Run an element to its end."""
        assert self.start(*numbers).wait(DEADLINE_S) == 0  # type: ignore[arg-type]

    def news(self, **more: Any) -> List[Tuple[int, str, Any]]:
        """Index, kind and detail of what was left, in the order of its names."""
        request = {"sweep_dir": str(self.sweep), "jobs": [str(self.folder)], **more}
        return [(index, kind, detail) for _, index, _, kind, detail in job_news.news(request)["news"]]

    def ends(self) -> Dict[int, Dict[str, Any]]:
        """Exit records, as the news has them."""
        return {index: detail for index, kind, detail in self.news() if kind == "e"}

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait for something that a process brings about."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def running(self, index: int = 0) -> bool:
        """The task says that it is ready."""
        return (self.sweep / f"ready{index}").exists()

    def listener(self, index: int = 0, on_term: str = "exit 0", on_usr1: str = "exit 7") -> List[str]:
        """A program that says that it listens, and does something when it is told."""
        text = f"trap '{on_term}' TERM; trap '{on_usr1}' USR1; : > ready{index}; while :; do sleep 0.02; done"
        return ["/bin/sh", "-c", f"cd {self.sweep.name}; {text}"]

    def clean(self) -> None:
        """Leave nothing behind."""
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture
def jobs(python: str, sweep: Path) -> Iterator[Jobs]:
    """A job, on every interpreter."""
    made = Jobs(python, sweep)
    yield made
    made.clean()


@pytest.fixture
def here(sweep: Path) -> Iterator[Jobs]:
    """A job, on the interpreter of these tests."""
    made = Jobs(sys.executable, sweep)
    yield made
    made.clean()


def test_a_share(jobs: Jobs) -> None:
    """An element runs its own tasks, one after another; each end has a record, beside the task and in the news."""
    jobs.write([["true"]], [["false"], ["true"]])
    jobs.run(1)
    assert [(index, kind) for index, kind, _ in jobs.news()] == [(2, "e"), (1, "e")]
    assert {index: record["state"] for index, record in jobs.ends().items()} == {1: "failed", 2: "completed"}
    assert read_status(str(jobs.sweep / "tasks" / "task_1" / "status.yaml"))["runner"] == "t.0.1"
    assert not (jobs.sweep / "tasks" / "task_0").exists()


def test_what_runs_for_a_while_is_told(here: Jobs) -> None:
    """The start of a task that goes on is news by itself; of one that is over at once its end says everything."""
    here.write([here.listener(0), ["true"]], slots=2)
    process = here.start()
    here.until(lambda: {(0, "s"), (1, "e")} <= {(index, kind) for index, kind, _ in here.news()})
    assert (1, "s") not in [(index, kind) for index, kind, _ in here.news()]
    process.send_signal(signal.SIGTERM)
    process.wait(DEADLINE_S)


def test_a_second_start_runs_nothing(jobs: Jobs) -> None:
    """Whoever starts an element again finds its tasks claimed."""
    jobs.write([["true"]])
    jobs.run(0)
    jobs.run(0)
    assert sorted(kind for _, kind, _ in jobs.news()) == ["e", "r"]


def test_news_is_taken_away_once_it_was_read(here: Jobs) -> None:
    """A listing holds what is new, not what there ever was."""
    here.write([["true"]])
    here.run()
    request = {"sweep_dir": str(here.sweep), "jobs": [str(here.folder)]}
    read = job_news.news(request)["news"]
    assert len(read) == 1
    assert job_news.news({**request, "taken": [item[0] for item in read]})["news"] == []
    assert here.news(look=[[0, 1, "task_0"]])[0][1] == "e", "the task's own folder still says it"


def test_what_shall_not_start_does_not(here: Jobs) -> None:
    """A withdrawn attempt is refused by the job that comes later; one that has started is not withdrawn."""
    here.write([["true"]], [["true"]])
    here.run(0)
    asked = here.news(withdraw=[[0, 1, "task_0"], [1, 1, "task_1"]])
    assert sorted({(index, kind) for index, kind, _ in asked if kind in "ew"}) == [(0, "e"), (1, "w")]
    here.run(1)
    assert (1, "s") not in [(index, kind) for index, kind, _ in here.news()]


@pytest.mark.parametrize(("elapsed", "state"), [(0.0, "preempted"), (96.0, "timeout")])
def test_told_to_end(jobs: Jobs, elapsed: float, state: str) -> None:
    """TERM near the walltime is a timeout; at any other time it says only that the job was ended, whatever the code."""
    jobs.write([jobs.listener()], walltime_s=100)
    process = jobs.start(0, 0, elapsed)
    jobs.until(jobs.running)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 0
    record = jobs.ends()[0]
    assert (record["state"], record["exit_code"]) == (state, 0)
    assert record["reason"]


def test_the_rest_of_a_share_is_given_back(here: Jobs) -> None:
    """A job that is told to end gives back what it has not begun, so that nobody waits for it."""
    here.write([here.listener(), ["true"], ["true"]])
    process = here.start()
    here.until(here.running)
    process.send_signal(signal.SIGTERM)
    process.wait(DEADLINE_S)
    assert sorted((index, kind) for index, kind, _ in here.news() if kind != "s") == [(0, "e"), (1, "w"), (2, "w")]


def test_a_program_that_was_quicker(here: Jobs) -> None:
    """Schedulers tell every process: a program that dies of TERM before its runner has heard of it has not failed."""
    here.write([["sleep", "60"]])
    process = here.start()
    here.until(lambda: "pid" in read_status(str(here.sweep / "tasks" / "task_0" / "status.yaml")))
    os.kill(read_status(str(here.sweep / "tasks" / "task_0" / "status.yaml"))["pid"], signal.SIGTERM)
    time.sleep(0.05)  # what lies between the two signals here is what is tested
    process.send_signal(signal.SIGTERM)
    process.wait(DEADLINE_S)
    assert here.ends()[0]["state"] == "preempted"


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc to see who listens")
def test_the_warning_reaches_who_listens(here: Jobs) -> None:
    """USR1 is passed on to programs that have a handler; it would end the others."""
    deaf = ["/bin/sh", "-c", f"cd {here.sweep.name}; : > ready2; exec sleep 1"]
    here.write([here.listener(0), deaf, ["true"]], slots=2, walltime_s=100)
    process = here.start()
    here.until(lambda: here.running(0))
    here.until(lambda: here.running(2))
    process.send_signal(signal.SIGUSR1)
    process.wait(DEADLINE_S)
    ends = here.ends()
    assert (ends[0]["state"], ends[0]["exit_code"]) == ("timeout", 7)
    assert ends[1]["state"] == "completed"
    assert (2, "w") in [(index, kind) for index, kind, _ in here.news()], "nothing is begun after the warning"


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc to see who listens")
def test_the_warning_comes_even_where_no_scheduler_gives_it(here: Jobs) -> None:
    """The runner knows its walltime: when as little is left of it as was asked for, it warns by itself."""
    here.write([here.listener(0)], walltime_s=100, warning_s=99.5)
    process = here.start()
    process.wait(DEADLINE_S)
    assert (here.ends()[0]["state"], here.ends()[0]["exit_code"]) == ("timeout", 7)


@pytest.mark.parametrize("nudged", [True, False])
def test_requests(here: Jobs, nudged: bool) -> None:
    """A request that lies there ends what it names, at once when the runner is nudged, and at its start in any case."""
    here.write([here.listener()], [["true"]])
    text = json.dumps({"op": "cancel", "tasks": [[0, 1]], "grace_s": 1.0})
    if nudged:
        process = here.start()
        here.until(here.running)
        (here.folder / "requests" / "1.json").write_text(text)
        process.send_signal(signal.SIGUSR2)
        process.wait(DEADLINE_S)
        assert here.ends()[0]["state"] == "cancelled"
    else:
        (here.folder / "requests" / "1.json").write_text(text)
        here.run(0)
        assert [kind for _, kind, _ in here.news()] == ["w"]
    here.run(1)
    assert here.ends()[1]["state"] == "completed"


def test_a_job_that_was_started_again(here: Jobs) -> None:
    """The second life finds what the first had begun, and says that it was preempted; a mere double says nothing."""
    here.write([["sleep", "60"]])
    first = here.start()
    here.until(lambda: (0, "s") in [(index, kind) for index, kind, _ in here.news()])
    here.run(0, 1)
    assert here.ends() == {}, "the first life is still there"
    first.kill()
    first.wait()
    here.run(0, 0)
    assert here.ends() == {}, "the scheduler does not say that it was started again"
    here.run(0, 1)
    assert here.ends()[0]["state"] == "preempted"
    pid = read_status(str(here.sweep / "tasks" / "task_0" / "status.yaml")).get("pid")
    assert pid is None or not Path(f"/proc/{pid}/status").exists() or os.kill(pid, signal.SIGKILL) is None


def test_helping(jobs: Jobs) -> None:
    """An element that is done runs tasks of others, each of which then finds its own taken."""
    jobs.write(*[[["true"]] for _ in range(5)], help_s=600)
    jobs.run(2)
    assert sorted(jobs.ends()) == [0, 1, 2, 3, 4]
    jobs.run(0)
    assert "r" not in [kind for _, kind, _ in jobs.news()], "that is no news"


@pytest.mark.parametrize(
    ("own", "attempt", "elapsed", "why"),
    [
        ("true", 1, 600.0, "the job is not young any more"),
        ("false", 1, 0.0, "whoever has seen a failure may be on a node that makes tasks fail"),
        ("true", 2, 0.0, "what is tried again runs in a job of its own"),
    ],
)
def test_not_helping(here: Jobs, own: str, attempt: int, elapsed: float, why: str) -> None:
    """An element helps only while that does no harm."""
    here.write([[own]], [["true"]], help_s=600, attempt=attempt)
    if attempt > 1:
        for index in (0, 1):
            (here.sweep / "tasks" / f"task_{index}").mkdir()
    here.run(0, 0, elapsed)
    assert sorted(here.ends()) == [0], why


def test_a_helped_task_has_not_had_a_whole_walltime(here: Jobs) -> None:
    """A task of another element that the walltime ends did not use it up: it is not charged, as the own one is."""
    here.write([here.listener(0)], [here.listener(1)], slots=2, help_s=600, walltime_s=100)
    process = here.start(0, 0, 96.0)
    here.until(lambda: here.running(0) and here.running(1))
    process.send_signal(signal.SIGTERM)
    process.wait(DEADLINE_S)
    ends = here.ends()
    assert [(ends[index]["state"], ends[index]["runner"]) for index in (0, 1)] == [
        ("timeout", "t.0.0"),
        ("preempted", "t.0.0"),
    ]


def test_time_that_does_not_suffice(here: Jobs) -> None:
    """What took longer than the time that is left is not begun again."""
    here.write([["sleep", "0.5"], ["true"]], walltime_s=100)
    here.run(0, 0, 94.6)
    assert sorted((index, kind) for index, kind, _ in here.news()) == [(0, "e"), (0, "s"), (1, "w")]


def test_a_file_that_is_not_there_yet(here: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the login node wrote may be seen late; for ever late is an error that names the file."""
    here.write([["true"]])
    hidden = (here.folder / "tasks.jsonl").rename(here.folder / "late")
    process = here.start()
    time.sleep(0.2)
    hidden.rename(here.folder / "tasks.jsonl")
    assert process.wait(DEADLINE_S) == 0
    monkeypatch.setattr(module, "SPEC_PATIENCE_S", -1.0)
    with pytest.raises(FileNotFoundError):
        module.wait_for_job(os.fsencode(here.folder / "none"), 0)


def elsewhere(sweep: Path, name: str, runner: str) -> Path:
    """The folder of a task that runs on another machine, as far as it says."""
    folder = sweep / "tasks" / name
    folder.mkdir(parents=True)
    status = {"state": "running", "task_id": name, "attempt": 1, "started_at": 12.5, "runner": runner, "host": "n1"}
    status.update(host_key="n1/boot/ns", runner_pid=77, runner_start="9", slot=0)
    (folder / "status.yaml").write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in status.items()))
    return folder


def test_a_schedulers_word_is_taken_for_its_own_runners_only(sweep: Path, settle: Callable[..., Any]) -> None:
    """A runner on another machine is gone when the scheduler says so; of others nothing is known from here."""
    elsewhere(sweep, "a", "t.0.1")
    elsewhere(sweep, "b", "t.0.2")
    tasks = [(0, 1, "a"), (1, 1, "b"), (2, 1, "c")]
    assert [word for word, _ in settle(*tasks)] == ["unknown", "unknown", "queued"]
    assert [word for word, _ in settle(*tasks, gone=["t.0.1"], withdraw=True)] == ["lost", "unknown", "withdrawn"]


@pytest.mark.parametrize(
    ("state", "fate", "verdict"),
    [
        ("running", {"state": "timeout", "reason": "TIMEOUT"}, "timeout"),
        ("preempted", {"state": "cancelled", "by": "somebody"}, "cancelled"),
        ("completed", {"state": "cancelled", "by": "somebody"}, "completed"),
        ("failed", {"state": "timeout"}, "failed"),
    ],
)
def test_a_schedulers_word_stands_in_for_a_record(
    sweep: Path, settle: Callable[..., Any], state: str, fate: Dict[str, Any], verdict: str
) -> None:
    """It is written where there is no record, or one that cannot know why; it never changes what a program did."""
    status = elsewhere(sweep, "a", "t.0.1") / "status.yaml"
    status.write_text(status.read_text().replace("running", state))
    ((word, record),) = settle((0, 1, "a"), gone=["t.0.1"], fates={"0.1": fate})
    assert (word, record["state"], record["started_at"]) == ("ended", verdict, 12.5)
    assert read_status(str(status))["state"] == verdict
    assert record.get("by") == ("somebody" if verdict == "cancelled" else None)


def test_only_a_cancellation_is_the_end_of_what_never_started(sweep: Path, settle: Callable[..., Any]) -> None:
    """A job that timed out before its task began has not run it; one that a person took away is not sent again."""
    (sweep / "tasks").mkdir()
    fates = {"0.1": {"state": "timeout"}, "1.1": {"state": "cancelled", "by": "somebody"}}
    answers = settle((0, 1, "a"), (1, 1, "b"), gone=["t.0.1"], fates=fates, withdraw=True)
    assert [word for word, _ in answers] == ["withdrawn", "ended"]


def test_what_another_element_may_be_starting_is_not_lost(sweep: Path, settle: Callable[..., Any]) -> None:
    """A claim without a status is a dead runner's only if no element is left that may have made it."""
    (sweep / "tasks" / "a").mkdir(parents=True)
    assert [word for word, _ in settle((0, 1, "a"), gone=["t.0.1"], shared=["a"])] == ["unknown"]
    assert [word for word, _ in settle((0, 1, "a"), gone=["t.0.1"])] == ["lost"]
