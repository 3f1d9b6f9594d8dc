"""Batch sources on a scheduler that fails, lies and forgets: nothing lost or doubled, no success without a record."""

from __future__ import annotations

import dataclasses
import signal
from typing import Any, Callable, List, Tuple

import pytest

from hsm_core.contract import Acceptance, Completed, Health, Observation, ObservationKind
from hsm_core.runner.runner import read_status
from hsm_core.testing.conformance import Lab, Rig
from hsm_core.testing.fake_cluster import FakeCluster
from hsm_core.toolkit.batch_jobs import Target

SOCKET_TIMED_OUT = Completed(1, b"", b"error: Socket timed out on send/recv operation")


def hang(done: Completed) -> Completed:
    """The command never comes back."""
    raise TimeoutError("fake-submit did not end within 60 s")


def begin(rig: Rig, lab: Lab, index: int = 0, *words: str) -> None:
    """A task that runs until the gate `go` opens."""
    rig.submit(lab.task(index, *(words or ("gate", "go"))))
    rig.started(index)
    lab.until(lambda: (index, 1) in lab.runs(), "the program runs")


def end_of(rig: Rig, index: int = 0) -> Tuple[str, str]:
    """The state and the reason of a task's end."""
    (seen,) = rig.over((index, 1))
    record = seen.record or {}
    return record.get("state", seen.kind.value), record.get("reason", seen.reason)


# --- submissions


@pytest.mark.parametrize("fault", [lambda done: SOCKET_TIMED_OUT, hang, lambda done: Completed(0, b"Welcome!\n", b"")])
def test_accepted_and_then_failed(rig: Rig, lab: Lab, cluster: FakeCluster, fault: Any) -> None:
    """A job that was accepted although its submission failed is found by its name, and runs once."""
    cluster.spoil["submit"] = fault
    answers = rig.submit(*lab.tasks(3, "exit", "0"))
    assert {answer.acceptance for answer in answers.values()} == {Acceptance.INDETERMINATE}
    assert sorted(rig.handles) == [(0, 1), (1, 1), (2, 1)], "`find` has them"
    rig.over((0, 1), (1, 1), (2, 1))
    assert lab.runs() == [(0, 1), (1, 1), (2, 1)]


def test_failed_and_never_accepted(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A submission that left no trace is found to have none, and can be made again with the same attempts."""

    def fail(done: Completed) -> Completed:
        cluster.elements.clear()
        return SOCKET_TIMED_OUT

    cluster.on = False
    cluster.spoil["submit"] = fail
    rig.submit(*lab.tasks(2, "exit", "0"))
    assert rig.handles == {}
    cluster.spoil.clear()
    cluster.on = True
    rig.run(*lab.tasks(2, "exit", "0"))
    assert lab.runs() == [(0, 1), (1, 1)]


def test_nobody_knows_yet(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """While the queue cannot be read, `find` raises instead of saying that nothing was submitted."""
    rig.run(lab.task(0, "exit", "0"))
    cluster.spoil["submit"] = cluster.spoil["queue"] = lambda done: SOCKET_TIMED_OUT
    with pytest.raises(OSError, match="Socket timed out"):
        rig.submit(lab.task(1, "exit", "0"))
    cluster.spoil.clear()
    rig.adopt(rig.source.find(rig.token, [(1, 1)]))
    rig.over((1, 1))
    assert lab.runs() == [(0, 1), (1, 1)]


@pytest.mark.parametrize("command", ["limits", "queue"])
def test_nothing_is_assumed_of_a_cluster(
    make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster, command: str
) -> None:
    """Before its limits and what is in its queue are known, nothing is submitted, and it is not pestered."""
    cluster.spoil[command] = lambda done: Completed(1, b"", b"cannot contact the controller")
    rig = make_rig()
    before = len(cluster.calls)
    for _ in range(5):
        answers = rig.submit(*lab.tasks(2, "exit", "0"))
        assert {answer.acceptance for answer in answers.values()} == {Acceptance.RETRY}
        assert answers[0, 1].reason
    assert len(cluster.calls) <= before + 2
    assert not cluster.elements


def test_found_by_its_work(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A job that the scheduler has forgotten was accepted all the same, if it has claimed a task."""
    begin(rig, lab)
    cluster.forget(cluster.element(), accounts=False)
    assert list(rig.source.find(rig.token, [(0, 1)])) == [(0, 1)]
    lab.put("go")
    assert end_of(rig)[0] == "completed"


def test_the_rest_waits_when_one_job_is_in_doubt(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """After a submission without an answer nothing more is submitted in its wake."""
    cluster.limits = (2, 0)
    rig = make_rig()
    cluster.spoil["submit"] = lambda done: SOCKET_TIMED_OUT
    answers = rig.submit(*lab.tasks(4, "exit", "0"))
    assert [answers[index, 1].acceptance.value for index in range(4)] == ["indeterminate"] * 2 + ["retry"] * 2
    assert len(cluster.elements) == 2


def test_a_job_that_is_started_twice(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """The second start of an element finds its task claimed, and runs nothing."""
    rig.run(lab.task(0, "exit", "0"))
    with cluster._lock:
        cluster.element().word, cluster.element().process = "waiting", None
    lab.until(lambda: cluster.element().over, "it was started again")
    assert lab.runs() == [(0, 1)]


# --- ends


def test_outage_is_no_end(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """While the scheduler does not answer, tasks go on, and the source says that it is unwell."""
    begin(rig, lab)
    cluster.spoil["queue"] = lambda done: Completed(1, b"", b"cannot contact the controller")
    told: List[Any] = []
    lab.until(lambda: told.append(rig.look().health) or any(told), "it says so")
    assert (told[-1].health, told[-1].detail) == (Health.DEGRADED, "cannot contact the controller")
    assert rig.source.health() == told[-1], "that it answers a ping is not all"
    assert not rig.ends
    lab.put("go")
    assert end_of(rig)[0] == "completed"


@pytest.mark.parametrize("answer", [b"", b"1|||garbage\n", b"9||somebody-elses|running||\n"])
def test_what_is_not_listed_may_run(rig: Rig, lab: Lab, cluster: FakeCluster, answer: bytes) -> None:
    """A running task that the queue does not show, or shows as garbage, is not called over while it is seen to live."""
    begin(rig, lab)
    cluster.spoil["queue"] = cluster.spoil["accounts"] = lambda done: Completed(0, answer, b"")
    asked = len(cluster.calls)
    rig.until(lambda: len(cluster.calls) > asked + 4, "it is looked for")
    assert not rig.ends
    lab.put("go")
    assert end_of(rig)[0] == "completed"


def ask_again(rig: Rig, cluster: FakeCluster, command: str, times: int = 3) -> None:
    """Until the scheduler has been asked so often."""
    before = cluster.count(command)
    rig.until(lambda: cluster.count(command) >= before + times, f"{command} was run {times} times")


def test_an_empty_queue_is_no_evidence(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """However long the queue says nothing, and without accounts: a job that its scheduler still shows is waited for."""
    cluster.accounting = False
    begin(rig, lab)
    rig.until(lambda: cluster.count("fake-queue") > 1, "the queue was seen")
    cluster.spoil["queue"] = lambda done: Completed(0, b"", b"")
    ask_again(rig, cluster, "fake-show")
    assert not rig.ends
    lab.put("go")
    assert end_of(rig)[0] == "completed"


@pytest.mark.parametrize("answer", [Completed(0, b"", b""), SOCKET_TIMED_OUT, Completed(0, b"???\n", b"")])
def test_nobody_says_that_it_is_gone(rig: Rig, lab: Lab, cluster: FakeCluster, answer: Completed) -> None:
    """A job that vanished is not lost while the scheduler cannot be made to say so; then it is."""
    begin(rig, lab)
    cluster.end(cluster.element(), "timeout", signal.SIGKILL)
    cluster.forget(cluster.element(), accounts=False)
    cluster.spoil["show"] = lambda done: answer
    ask_again(rig, cluster, "fake-show")
    assert not rig.ends
    cluster.spoil.clear()
    assert end_of(rig)[0] == "lost"


def test_what_waits_is_not_given_up_for_an_empty_queue(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """Not submitted again, either, while its job is there."""
    cluster.on = False
    rig.submit(*lab.tasks(3, "exit", "0"))
    cluster.spoil["queue"] = lambda done: Completed(0, b"", b"")
    ask_again(rig, cluster, "fake-show")
    cluster.spoil.clear()
    cluster.on = True
    rig.over((0, 1), (1, 1), (2, 1))
    assert lab.runs() == [(0, 1), (1, 1), (2, 1)]


def test_a_job_that_no_listing_ever_showed(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """It has no id to ask for: it is waited for ten times as long, and then lost."""
    first = make_rig()
    begin(first, lab)
    elsewhere(lab, 0)
    cluster.end(cluster.element(), "done", signal.SIGKILL)
    cluster.forget(cluster.element(), accounts=False)
    later = make_rig("later")
    later.adopt(later.source.find(first.token, [(0, 1)]))
    assert later.handles[0, 1]["jobs"] == {}
    ask_again(later, cluster, "fake-queue", 2)
    assert not later.ends
    assert end_of(later)[0] == "lost"
    assert not cluster.count("fake-show")


def test_an_id_that_was_given_again(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A scheduler that lost its memory gives ids a second time: another's job is neither taken for ours nor ended."""
    begin(rig, lab)
    ours = cluster.element()
    cluster.end(ours, "done", signal.SIGKILL)
    cluster.forget(ours, accounts=False)
    other = dataclasses.replace(ours, name="somebody-elses", word="running", process=None)
    with cluster._lock:
        cluster.spoil["queue"] = lambda done: Completed(0, b"%s||somebody-elses|running||\n" % ours.job.encode(), b"")
        cluster.spoil["show"] = cluster.spoil["accounts"] = cluster.spoil["queue"]
    rig.source.cancel(dict(rig.handles), 0.1)
    state, reason = end_of(rig)
    assert (state, reason.startswith("left the queue without a trace")) == ("lost", True), reason
    assert other.word == "running"
    assert not [call for call in cluster.calls if call[0] in ("fake-cancel", "fake-nudge")]


def test_a_script_that_was_submitted_again_by_hand(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A second job of our name under another id: its end is not ours, but while it lives nothing is called lost."""
    begin(rig, lab)
    rig.until(lambda: cluster.count("fake-queue") > 1, "the queue was seen")
    name = cluster.element().name
    cluster.spoil["queue"] = lambda done: Completed(0, done.stdout + f"99||{name}|cancelled|||\n"[:-2].encode(), b"")
    ask_again(rig, cluster, "fake-queue", 5)
    assert not rig.ends
    cluster.spoil["queue"] = lambda done: Completed(0, f"99||{name}|running||\n".encode(), b"")
    cluster.end(cluster.element(), "done", signal.SIGKILL)
    ask_again(rig, cluster, "fake-queue", 5)
    assert not rig.ends
    cluster.spoil.clear()
    assert end_of(rig)[0] == "lost"


def test_taken_for_dead(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A runner that lives on although its scheduler denies it is told to end; the next attempt is not spoilt."""
    begin(rig, lab)
    process = cluster.element().process
    assert process is not None
    elsewhere(lab, 0)
    cluster.forget(cluster.element(), accounts=False)
    assert end_of(rig)[0] == "lost"
    rig.submit(lab.task(0, "gate", "go", attempt=2))
    rig.until(lambda: (0, 2) in lab.runs(), "it runs again")
    process.send_signal(signal.SIGUSR2)  # or it would look after ten seconds
    lab.until(lambda: process.poll() is not None, "the former runner is gone")
    assert read_status(str(lab.folder(0) / "status.yaml"))["attempt"] == 2
    lab.put("go")
    rig.over((0, 2))
    assert (rig.ends[0, 2].record or {})["state"] == "completed"


def elsewhere(lab: Lab, index: int) -> None:
    """Make the status of a task say that it runs on another machine, which cannot be looked at from here."""
    path = lab.folder(index) / "status.yaml"
    path.write_text(
        "".join(
            'host_key: "far/away/pid:[1]"\n' if line.startswith("host_key") else line
            for line in path.read_text().splitlines(keepends=True)
        )
    )


def test_garbage_is_told_once(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A line that makes no sense is reported, the first time."""
    begin(rig, lab)
    told: List[str] = []
    cluster.spoil["queue"] = lambda done: Completed(0, b"slurm_load_jobs: hm\n" + done.stdout, b"")
    asked = len(cluster.calls)
    lab.until(lambda: told.extend(rig.look().garbage) or len(cluster.calls) > asked + 2, "it is asked again and again")
    assert told == ["slurm_load_jobs: hm"]
    lab.put("go")
    rig.over((0, 1))


def test_unknown_states_are_unknown(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A word that the dialect does not know is told, and ends nothing."""
    cluster.on = False
    rig.submit(lab.task(0, "exit", "0"))
    cluster.element().word = "levitating"
    rig.until(lambda: rig.seen, "it is told")
    assert rig.seen[-1] == Observation((0, 1), ObservationKind.UNKNOWN, None, "levitating")
    cluster.element().word = "held"
    rig.until(lambda: rig.seen[-1].kind is ObservationKind.HELD, "it is held")
    cluster.element().word, cluster.on = "waiting", True
    rig.over((0, 1))


def test_suspended_is_told(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A running job that stands still is told as held back; it is not over."""
    begin(rig, lab)
    process = cluster.element().process
    assert process is not None
    cluster.element().word = "suspended"
    rig.until(lambda: rig.seen[-1].kind is ObservationKind.HELD, "it is told")
    assert rig.seen[-1].reason == "suspended"
    cluster.element().word = "running"
    lab.put("go")
    assert end_of(rig)[0] == "completed"


def test_why_jobs_wait_is_said_once(lab: Lab, make_rig: Callable[..., Rig], cluster: FakeCluster) -> None:
    """Not for each of a thousand tasks, nor each time that the scheduler changes its mind."""
    rig = make_rig()
    said: List[str] = []
    rig.source.close()
    rig.source.open(dataclasses.replace(rig.context, say=said.append))
    cluster.on = False
    rig.submit(*lab.tasks(3, "exit", "0"))
    for reason in ("Priority", "Resources", "Priority"):
        asked = len(cluster.calls)
        for one in cluster.elements:
            one.reason = reason
        lab.until(lambda: (rig.look() and False) or len(cluster.calls) > asked, "it is asked again")  # noqa: B023
    assert said == ["waiting in the queue: Priority", "waiting in the queue: Resources"]
    assert not rig.seen
    cluster.on = True
    rig.over((0, 1), (1, 1), (2, 1))


@pytest.mark.parametrize(
    ("word", "state", "reason"),
    [
        ("timeout", "timeout", "timeout"),
        ("out_of_memory", "failed", "out_of_memory"),
        ("preempted", "preempted", "preempted"),
        ("node_failed", "lost", "node_failed"),
        ("cancelled by 1000", "cancelled", "cancelled by 1000"),
        ("done", "lost", "done"),
    ],
)
def test_killed_with_its_runner(rig: Rig, lab: Lab, cluster: FakeCluster, word: str, state: str, reason: str) -> None:
    """Where even the runner was killed, the scheduler's word says how a task ended, and is written beside it."""
    begin(rig, lab)
    cluster.end(cluster.element(), word, signal.SIGKILL)
    found, said = end_of(rig)
    assert (found, said.startswith(reason)) == (state, True), said
    if state != "lost":
        assert read_status(str(lab.folder(0) / "status.yaml"))["state"] == state


@pytest.mark.parametrize(
    ("word", "state"), [("cancelled by 1000", "cancelled"), ("preempted", "preempted"), ("timeout", "timeout")]
)
def test_told_to_end_with_its_job(rig: Rig, lab: Lab, cluster: FakeCluster, word: str, state: str) -> None:
    """A task whose whole job gets TERM is not failed: the scheduler's word says what it is."""
    begin(rig, lab)
    cluster.end(cluster.element(), word)
    found, reason = end_of(rig)
    assert found == state
    assert reason.startswith(word)
    if word.startswith("cancelled"):
        assert (rig.ends[0, 1].record or {})["by"] == word


def test_walltime(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """A job that reaches its walltime is `timeout`, as its own runner says; with `requeue` it goes on elsewhere."""
    for index, (requeue, state) in enumerate([(False, "timeout"), (True, "preempted")]):
        rig = make_rig(f"rig{index}", requeue=requeue)
        rig.submit(_with_walltime(lab, index))
        found, reason = end_of(rig, index)
        assert (found, "walltime" in reason or "timeout" in reason) == (state, True), reason


def _with_walltime(lab: Lab, index: int) -> Any:
    task = lab.task(index, "gate", "never")
    return dataclasses.replace(task, resources=dataclasses.replace(task.resources, walltime_s=0.7))


def test_cancelled_by_somebody_while_it_waited(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A person took it from the queue: cancelled, not submitted again."""
    cluster.on = False
    rig.submit(lab.task(0, "exit", "0"))
    cluster.end(cluster.element(), "cancelled by 1000")
    assert end_of(rig) == ("cancelled", "cancelled by 1000")
    assert (rig.ends[0, 1].record or {})["by"] == "cancelled by 1000"


def test_vanished_while_it_waited(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """What left the queue without a trace and never started is withdrawn; a late start then runs nothing."""
    cluster.on = False
    rig.submit(lab.task(0, "exit", "0"))
    element = cluster.element()
    cluster.forget(element, accounts=False)
    assert end_of(rig)[0] == "withdrawn"
    cluster.elements.append(element)
    cluster.on = True
    lab.until(lambda: element.over, "it starts after all")
    assert lab.runs() == []


def test_accounts_that_lag(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """The word on a job that left the queue is waited for as long as its files are."""
    begin(rig, lab)
    element = cluster.element()
    cluster.end(element, "timeout", signal.SIGKILL)
    lag: List[int] = []
    cluster.spoil["accounts"] = lambda done: done if len(lag) > 3 else (lag.append(1), Completed(0, b"", b""))[1]
    cluster.forget(element)
    assert end_of(rig)[0] == "timeout"


def test_without_accounts(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """Where there are none, a task that is gone without a record is lost, and says what little is known."""
    cluster.accounting = False
    begin(rig, lab)
    cluster.end(cluster.element(), "timeout", signal.SIGKILL)
    cluster.forget(cluster.element())
    state, reason = end_of(rig)
    assert (state, reason.startswith("left the queue without a trace")) == ("lost", True), reason


def test_a_job_that_never_starts_its_task(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """When its script fails, a task gets another job, and is then refused with the script's last words."""
    rig = make_rig(setup=["echo no such module >&2; exit 1"])
    rig.submit(lab.task(0, "exit", "0"))
    assert end_of(rig)[0] == "withdrawn"
    rig.submit(lab.task(0, "exit", "0", attempt=2))
    (seen,) = rig.over((0, 2))
    assert seen.kind is ObservationKind.REFUSED
    assert "no such module" in seen.reason
    assert lab.runs() == []


def test_a_bad_node_is_left_out(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """After two jobs that died with their node, new jobs are kept from it."""
    for attempt in (1, 2):
        rig.submit(lab.task(0, "gate", "go", attempt=attempt))
        rig.until(lambda: [s for s in rig.seen if s.attempt == (0, attempt)], "it starts")  # noqa: B023
        cluster.end(cluster.elements[-1], "node_failed", signal.SIGKILL)
        (seen,) = rig.over((0, attempt))
        assert seen.kind is ObservationKind.LOST
    rig.submit(lab.task(0, "exit", "0", attempt=3))
    assert cluster.elements[-1].directives["exclude"] == "node0"
    rig.over((0, 3))


def test_started_again_by_the_scheduler(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """An administrator's requeue: the job's second life finds its task claimed, and says that it was preempted."""
    begin(rig, lab)
    cluster.restart(cluster.element())
    state, reason = end_of(rig)
    assert (state, "started its job again" in reason) == ("preempted", True), reason
    assert lab.runs() == [(0, 1)]


def test_news_survives_a_scheduler_that_cannot_be_told(
    make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster
) -> None:
    """What jobs have left word of is told even when everything else in that look fails."""
    rig = make_rig()
    rig.submit(*lab.tasks(2, "exit", "0"))
    watch = rig.source._opened.watch  # type: ignore[attr-defined]
    cluster.spoil["queue"] = cluster.spoil["cancel"] = hang
    watch.unwanted.append(Target("other.0"))
    lab.until(lambda: len(lab.runs("end")) == 2, "both end")
    rig.over((0, 1), (1, 1))
    assert Target("other.0") in watch.unwanted, "it is told later"


def test_cancelling_while_the_scheduler_is_away(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """What waits is claimed in any case; what runs is asked by files, and not forgotten."""
    rig.submit(*lab.tasks(6, "gate", "go"))
    rig.started(0, 1, 2, 3)
    lab.until(lambda: len(lab.runs()) == 4, "four run")
    cluster.spoil["cancel"] = cluster.spoil["nudge"] = hang
    with pytest.raises(TimeoutError):
        rig.source.cancel(dict(rig.handles), 0.2)
    rig.over((4, 1), (5, 1))
    cluster.spoil.clear()
    rig.source.cancel(dict(rig.handles), 0.2)
    rig.over(*[(index, 1) for index in range(4)])
    lab.put("go")
    assert len(lab.runs()) == 4


def test_strange_requests(rig: Rig, lab: Lab) -> None:
    """Handles without sense, and a token that never was, harm nothing."""
    begin(rig, lab)
    assert rig.source.find("hsm-kit-never-1", [(5, 1)]) == {}
    result = rig.source.poll({**rig.handles, (7, 1): {}, (8, 1): {"token": rig.token}, (9, 1): {"token": "hsm-x-1"}})
    kinds = {seen.attempt: seen.kind for seen in result.observations}
    assert kinds == dict.fromkeys([(7, 1), (8, 1), (9, 1)], ObservationKind.UNKNOWN)
    lab.put("go")
    assert end_of(rig)[0] == "completed"
