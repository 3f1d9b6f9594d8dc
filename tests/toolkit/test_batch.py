"""Batch sources on a scheduler that behaves: jobs, slots, shares, cancellation, adoption."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable

import pytest

from hsm_core.contract import (
    Acceptance,
    ObservationKind,
    Previewing,
    SourceContext,
    SubmitRequest,
    TaskResources,
)
from hsm_core.testing.conformance import Lab, Rig
from hsm_core.testing.fake_cluster import FakeCluster


def states(rig: Rig) -> list:
    """What was said of each attempt in the end, in order."""
    return [(end.record or {}).get("state", end.kind.value) for _, end in sorted(rig.ends.items())]


def test_one_array_for_all(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """Tasks that ask for the same are one submission, each runs once, and the script stays readable."""
    rig.run(*lab.tasks(12, "exit", "0"))
    assert states(rig) == ["completed"] * 12
    assert lab.runs() == [(index, 1) for index in range(12)]
    assert [call[0] for call in cluster.calls].count("fake-submit") == 1
    (script,) = (lab.sweep_dir / "scripts" / "job_scripts").iterdir()
    assert script.read_text().startswith("#!/bin/bash\n#FAKE name hsm-")


def test_arrays_are_cut_at_the_limit(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """No array is larger than the scheduler allows."""
    cluster.limits = (5, 0)
    rig = make_rig()
    rig.run(*lab.tasks(12, "exit", "0"))
    assert states(rig) == ["completed"] * 12
    assert sorted(int(one.directives["size"]) for one in cluster.elements if one.index in (0, None)) == [2, 5, 5]


def test_the_users_limit_is_waited_out(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """What the user may not have in the queue is answered by `limit`, other jobs of the user counted."""
    cluster.limits, cluster.on = (1000, 6), False
    rig = make_rig()
    assert [a.acceptance for a in rig.submit(*lab.tasks(4, "exit", "0")).values()] == [Acceptance.ACCEPTED] * 4
    answers = rig.submit(*[lab.task(index, "exit", "0") for index in range(4, 9)])
    assert sorted(a.acceptance.value for a in answers.values()) == ["accepted"] * 2 + ["limit"] * 3
    assert "6 jobs" in answers[8, 1].reason
    cluster.on = True
    rig.over(*[(index, 1) for index in range(6)])


def test_no_more_is_asked_for_than_the_user_may_have(make_rig: Callable[..., Rig], cluster: FakeCluster) -> None:
    """The core is told how much fits into the queue, so that it need not be refused again and again."""
    cluster.limits = (1000, 100)
    able = make_rig(slots=4).source.capabilities()
    assert (able.slots, able.lookahead) == (4, 96)
    able = make_rig("packed", slots=4, tasks_per_job=10).source.capabilities()
    assert (able.slots, able.lookahead) == (4, 996)


def test_what_asks_for_other_resources_is_another_job(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A group that the scheduler refuses does not keep the others from running."""
    first, greedy = lab.task(0, "exit", "0"), lab.task(1, "exit", "0", gpus=99)
    answers = rig.submit(greedy, first)
    assert answers[1, 1] == (((1, 1), Acceptance.REJECTED, None, "refused: there are 8 GPUs"))
    rig.over((0, 1))
    assert lab.runs() == [(0, 1)]


def test_slots_hold_across_jobs(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """However tasks are portioned, no more run at once than there are slots, and later jobs wait for earlier ones."""
    cluster.slots = 50
    rig = make_rig(slots=3)
    for start in (0, 5, 10):
        rig.submit(*[lab.task(index, "work", "0.05") for index in range(start, start + 5)])
    rig.over(*[(index, 1) for index in range(15)])
    assert lab.most_at_once() <= 3
    assert [bool(one.directives.get("after")) for one in cluster.elements[::5]] == [False, True, True]


def test_a_new_source_counts_what_it_has_not_been_handed(make_rig: Callable[..., Rig], lab: Lab) -> None:
    """Jobs of an earlier process take slots from the first submission on."""
    first = make_rig(slots=1)
    first.submit(lab.task(0, "gate", "go"))
    first.started(0)
    first.close()
    second = make_rig(slots=1)
    second.submit(lab.task(1, "exit", "0"))
    lab.put("go")
    second.over((1, 1))
    assert lab.most_at_once() == 1


def test_one_question_however_many_tasks(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """A look asks the queue at most once, and not at all before its time."""
    rig = make_rig(poll=3600)
    rig.submit(*lab.tasks(20, "exit", "0"))
    rig.over(*[(index, 1) for index in range(20)])
    assert "fake-queue" not in [call[0] for call in cluster.calls][3:], "records need no scheduler"


def test_shares(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """With `tasks_per_job` one element runs several tasks, one after another."""
    rig = make_rig(tasks_per_job=4)
    rig.run(*lab.tasks(10, "work", "0.01"))
    assert states(rig) == ["completed"] * 10
    assert len(cluster.elements) == 3
    assert len({(end.record or {})["host"] for end in rig.ends.values()}) == 1


def test_shares_beside_each_other(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """With `tasks_at_once` an element runs so many tasks at a time, and asks for as many times the resources."""
    rig = make_rig(slots=2, tasks_per_job=4, tasks_at_once=2)
    rig.submit(*lab.tasks(4, "gate", "go"))
    rig.started(0, 1)
    assert cluster.elements[0].directives["cpus"] == "2"
    lab.until(lambda: len(lab.runs()) == 2, "two run beside each other")
    lab.put("go")
    rig.over(*[(index, 1) for index in range(4)])
    assert lab.most_at_once() == 2


def test_cancelling_what_waits(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A pending element is withdrawn, taken from the queue at once, and does not start when the queue moves."""
    cluster.on = False
    rig.submit(*lab.tasks(3, "exit", "0"))
    rig.source.cancel({(1, 1): rig.handles[1, 1]}, 1.0)
    (seen,) = rig.over((1, 1))
    assert seen.kind is ObservationKind.WITHDRAWN
    assert [one.word for one in cluster.elements] == ["waiting", "cancelled by us", "waiting"]
    cluster.on = True
    rig.over((0, 1), (2, 1))
    assert lab.runs() == [(0, 1), (2, 1)]


def test_cancelling_what_runs(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """A running task is asked to end through its runner, which writes its record; its siblings run on."""
    rig.submit(*lab.tasks(2, "gate", "go"))
    rig.started(0, 1)
    rig.source.cancel({(0, 1): rig.handles[0, 1]}, 1.0)
    (seen,) = rig.over((0, 1))
    assert (seen.record or {})["state"] == "cancelled"
    lab.put("go")
    rig.over((1, 1))
    assert states(rig) == ["cancelled", "completed"]


def test_one_task_of_a_share_is_cancelled(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """In a job with several tasks the others run on."""
    rig = make_rig(tasks_per_job=3)
    rig.submit(lab.task(0, "gate", "go"), lab.task(1, "exit", "0"), lab.task(2, "exit", "0"))
    rig.started(0)
    rig.source.cancel({attempt: rig.handles[attempt] for attempt in ((0, 1), (2, 1))}, 1.0)
    rig.over((0, 1), (1, 1), (2, 1))
    assert states(rig) == ["cancelled", "completed", "withdrawn"]


@pytest.mark.parametrize("seen_before", [True, False])
def test_adoption(make_rig: Callable[..., Rig], lab: Lab, seen_before: bool) -> None:
    """Whoever has the handles learns what earlier processes were told, and what they were not."""
    first = make_rig()
    first.submit(lab.task(0, "gate", "go"), lab.task(1, "exit", "3"))
    if seen_before:
        first.started(0)
        first.over((1, 1))
    lab.until(lambda: (1, 1) in lab.runs("end"), "task 1 ends")
    handles = {attempt: first.handles.get(attempt, {"token": first.token, "jobs": {}}) for attempt in ((0, 1), (1, 1))}
    first.close()
    second = make_rig()
    second.adopt(handles)
    second.started(0)
    lab.put("go")
    second.over((0, 1), (1, 1))
    assert states(second) == ["completed", "failed"]


def test_time_that_does_not_suffice_is_not_begun(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """A share's rest that could not end before the walltime is given back, uncharged."""
    rig = make_rig(tasks_per_job=3)
    rig.submit(*[replace(task, resources=TaskResources(walltime_s=6.0)) for task in lab.tasks(3, "work", "0.8")])
    rig.over(*[(index, 1) for index in range(3)])
    assert states(rig) == ["completed", "withdrawn", "withdrawn"]
    assert "walltime" in rig.ends[2, 1].reason


def test_elements_help_each_other(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """With `auto` few elements run everything, each task once, and what was left to start is taken from the queue."""
    cluster.slots = 2
    rig = make_rig(tasks_per_job="auto")
    rig.run(*lab.tasks(30, "exit", "0"))
    assert states(rig) == ["completed"] * 30
    assert lab.runs() == [(index, 1) for index in range(30)]
    rig.close()
    assert all(one.over for one in cluster.elements)
    assert len([one for one in cluster.elements if one.process]) < 15


def test_a_helper_that_dies(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """A task that another element ran is lost only when that element is gone, and not when its own is."""
    cluster.slots = 1
    rig = make_rig(tasks_per_job="auto")
    rig.submit(lab.task(0, "exit", "0"), lab.task(1, "gate", "go"))
    rig.started(1)
    cluster.slots = 2
    lab.until(lambda: cluster.element(1).over, "its own element finds it taken")
    lab.until(lambda: (rig.look() and False) or (0, 1) in rig.ends, "task 0 is over")
    for _ in range(10):
        rig.look()
    assert (1, 1) not in rig.ends
    cluster.end(cluster.element(0), "node_failed", 9)
    (seen,) = rig.over((1, 1))
    assert seen.kind is ObservationKind.LOST


def test_a_preview_is_what_is_submitted(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """Before anything is begun the scripts can be seen, each at its path, as they are written afterwards."""
    lab.subject.options = {"poll": 0.02, "tasks_per_job": 2}
    spec = lab.subject.make_spec("main", 2)
    tasks = [*lab.tasks(7, "exit", "0"), replace(lab.task(7, "exit", "0"), resources=TaskResources(cpus=3))]
    source = lab.subject.make_source(spec)
    assert isinstance(source, Previewing)
    context = SourceContext("sweep_1", str(lab.sweep_dir), str(lab.project_dir), spec)
    token = "hsm-preview-1-1"
    shown = dict(source.preview(context, SubmitRequest(token, tasks)))
    assert len(shown) == 2
    assert cluster.calls == []
    source.open(context)
    source.submit(SubmitRequest(token, tasks))
    written = {str(path): path.read_text() for path in (lab.sweep_dir / "scripts" / "job_scripts").iterdir()}
    ids = sorted({one.job for one in cluster.elements}, key=int)
    assert {path: text.replace("ID0", ids[0]) for path, text in shown.items()} == written
    source.close()


@pytest.fixture
def helped(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> Rig:
    """Element 0 has done its own task and runs task 1, whose own element waits in the queue."""
    cluster.slots = 1
    rig = make_rig()
    rig.submit(lab.task(0, "exit", "0"), lab.task(1, "gate", "go"))
    rig.over((0, 1))
    rig.started(1)
    return rig


def test_the_element_of_a_helped_task_is_taken_out(helped: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """Nothing is left for it to do; the task runs on where it is."""
    lab.until(lambda: (helped.look() and False) or cluster.element(1).over, "it is taken out")
    assert cluster.element(1).word == "cancelled by us"
    lab.put("go")
    helped.over((1, 1))
    assert states(helped) == ["completed", "completed"]
    assert lab.runs() == [(0, 1), (1, 1)]


def test_a_person_cancels_the_element_of_a_helped_task(helped: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """An element is a place in the queue: the task that another one runs is not ended with it."""
    cluster.end(cluster.element(1), "cancelled by somebody")
    for _ in range(15):
        helped.look()
    assert (1, 1) not in helped.ends
    lab.put("go")
    helped.over((1, 1))
    assert states(helped) == ["completed", "completed"]


def test_a_helped_task_is_cancelled(helped: Rig, cluster: FakeCluster) -> None:
    """The element that runs it is asked, at once; its own has nothing to do with it."""
    helped.source.cancel({(1, 1): helped.handles[1, 1]}, 1.0)
    nudged = [call for call in cluster.calls if call[0] == "fake-nudge"]
    assert nudged == [["fake-nudge", "1.0"]]
    helped.over((1, 1))
    assert states(helped) == ["completed", "cancelled"]


def test_the_walltime_ends_a_helped_task(helped: Rig, cluster: FakeCluster) -> None:
    """It had only a part of the job's time, so that it is not the task's own timeout, whatever the scheduler says."""
    cluster.end(cluster.element(0), "timeout", 9)
    (seen,) = helped.over((1, 1))
    assert (seen.record or {})["state"] == "preempted"


def test_an_element_that_was_dismissed_too_late(helped: Rig, cluster: FakeCluster) -> None:
    """Our own order that hits what had begun a moment before is no person's cancellation."""
    watch = helped.source._opened.watch  # type: ignore[attr-defined]
    (job,) = watch.followed.jobs.values()
    job.dismissed.add(0)
    cluster.end(cluster.element(0), "cancelled by us")
    (seen,) = helped.over((1, 1))
    assert (seen.record or {})["state"] == "preempted"


def test_exactly_one_task_a_job(make_rig: Callable[..., Rig], lab: Lab, cluster: FakeCluster) -> None:
    """With `tasks_per_job: 1` each task has a job of its own, however short it is."""
    cluster.slots = 2
    rig = make_rig(tasks_per_job=1)
    rig.run(*lab.tasks(8, "exit", "0"))
    assert states(rig) == ["completed"] * 8
    # A task's end is news a moment before its job is over.
    rig.until(lambda: all(one.word == "done" for one in cluster.elements), "every job ends by itself")
    assert all(one.process is not None for one in cluster.elements)
    assert "fake-cancel" not in [call[0] for call in cluster.calls]


def test_what_is_over_at_once_has_started(rig: Rig, lab: Lab) -> None:
    """A task whose start was no news by itself is still seen to start before it ends."""
    rig.run(lab.task(0, "exit", "0"))
    assert [seen.kind for seen in rig.seen] == [ObservationKind.STARTED, ObservationKind.ENDED]
    assert {"at", "pid", "slot", "host"} <= set(rig.seen[0].record or {})


def test_looks_follow_the_news(rig: Rig, lab: Lab, cluster: FakeCluster) -> None:
    """After a submission the next look is due soon, and later and later, up to a second, while nothing is new."""
    cluster.on = False
    rig.submit(*lab.tasks(2, "exit", "0"))
    rig.source._clock = lambda: 1e9  # type: ignore[attr-defined]  # looks that take no time
    pauses = [rig.look().again_s or 0.0 for _ in range(8)]
    assert pauses[0] < 0.2
    assert pauses == sorted(pauses)
    assert pauses[-1] == rig.source.capabilities().poll_interval_s == 1.0
