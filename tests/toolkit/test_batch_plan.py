"""Plans, lanes and fates: the pure parts of batch sources."""

from __future__ import annotations

from typing import Dict, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.contract import SubmitRequest, TaskResources, TaskSpec
from hsm_core.toolkit.batch_jobs import Job, Target, fate_of
from hsm_core.toolkit.batch_plan import Live, Plan, PlannedJob, draft_jobs, find_lane
from hsm_core.toolkit.dialect import JobSeen, JobState


def _task(index: int, **resources: int) -> TaskSpec:
    return TaskSpec(index, 1, f"task_{index}", ("true",), resources=TaskResources(**resources))


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 9), st.integers(1, 5))
def test_every_task_is_in_one_job(gpus: List[int], array_size: int, per_job: int) -> None:
    """Each task is in one share of one job, with those that ask for the same; no array and no share is too large."""
    request = SubmitRequest("t", [_task(index, gpus=count) for index, count in enumerate(gpus)])
    drafts = list(draft_jobs(request, TaskResources(), array_size, per_job))
    assert sorted(task.index for draft in drafts for task in draft.tasks) == list(range(len(gpus)))
    for draft in drafts:
        assert 1 <= len(draft.shares) <= array_size
        assert all(1 <= len(share) <= per_job for share in draft.shares)
        assert {task.resources.gpus for task in draft.tasks} == {draft.resources.gpus}


def test_the_sources_values_stand_in() -> None:
    """What a task does not say, the source says."""
    (draft,) = draft_jobs(SubmitRequest("t", [_task(0, cpus=2)]), TaskResources(cpus=8, memory_mb=100), 10, 1)
    assert (draft.resources.cpus, draft.resources.memory_mb) == (2, 100)


def test_a_plan_survives_json() -> None:
    """What is read back is what was written."""
    plan = Plan("t", "slurm:main", 12.5, (PlannedJob([[(0, 1), (1, 1)], [(2, 3)]], 2), PlannedJob([[(5, 1)]], 1)))
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.places()[2, 3] == (0, 1)
    assert plan.names() == ["t.0", "t.1"]


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'{"plan": 1}', b'{"token": "t", "source": "s", "since": 1, "jobs": [3]}']
)
def test_a_damaged_plan_is_an_error(text: bytes) -> None:
    """It is never taken for an empty one."""
    with pytest.raises(ValueError, match=r"."):
        Plan.from_json(text)


@given(st.integers(1, 20), st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=25))
def test_lanes_keep_the_slots(slots: int, arrivals: List[Tuple[int, int]]) -> None:
    """Jobs that may run beside each other never have more elements running than there are slots, whatever ends when."""
    waits: Dict[str, Tuple[int, Tuple[str, ...]]] = {}
    live: List[Live] = []
    for number, (size, ends) in enumerate(arrivals):
        lane = find_lane(live, slots, size)
        assert lane is not None
        waits[str(number)] = lane
        live.append(Live(str(number), lane[0]))
        for _ in range(ends):  # the oldest that can run ends
            there = {job.job for job in live}
            runnable = [job for job in live if not there.intersection(waits[job.job][1])]
            if not runnable:
                break
            live.remove(runnable[0])
        there = {job.job for job in live}
        assert sum(job.width for job in live if not there.intersection(waits[job.job][1])) <= slots


def test_too_many_to_wait_for() -> None:
    """A job does not wait for hundreds of others by name: it is submitted later."""
    assert find_lane([Live(str(n), 1) for n in range(200)], 200, 150) is None


ROW = JobSeen("7", (), "t.0", JobState.TIMEOUT, "TIMEOUT", "", "n1")


@pytest.mark.parametrize(
    ("row", "requeue", "ours", "fate"),
    [
        (None, False, False, None),
        (ROW, False, False, {"state": "timeout", "reason": "TIMEOUT on n1"}),
        (ROW, True, False, {"state": "preempted", "reason": "TIMEOUT on n1"}),
        (ROW._replace(state=JobState.NODE_FAILED), False, False, None),
        (ROW._replace(state=JobState.DONE), False, False, None),
        (ROW._replace(state=JobState.UNKNOWN), False, False, None),
        (
            ROW._replace(state=JobState.CANCELLED, word="CANCELLED by 5", nodes=""),
            False,
            False,
            {"state": "cancelled", "reason": "CANCELLED by 5", "by": "CANCELLED by 5"},
        ),
        (
            ROW._replace(state=JobState.CANCELLED, word="CANCELLED by 5", nodes=""),
            False,
            True,
            {"state": "cancelled", "reason": "CANCELLED by 5"},
        ),
    ],
)
def test_fates(row: JobSeen, requeue: bool, ours: bool, fate: Dict[str, str]) -> None:
    """Only a scheduler's word that is certain stands for a record, and none stands for success."""
    assert fate_of(row, requeue, ours) == fate


def test_what_was_dismissed_is_not_ended_by_a_person() -> None:
    """An element that began a task just when we took it out of the queue did nothing for which the task must pay."""
    row = ROW._replace(state=JobState.CANCELLED, word="CANCELLED by 5", nodes="")
    fate = fate_of(row, requeue=False, ours=False, dismissed=True)
    assert fate == {"state": "preempted", "reason": "CANCELLED by 5"}
    assert (fate_of(row, requeue=False, ours=True, dismissed=True) or {})["state"] == "cancelled"


def test_a_runner_is_an_element_of_its_own_job_only() -> None:
    """Names of other jobs, and numbers that the job does not have, are nobody here."""
    job = _job(3)
    assert [job.element_of(name) for name in ("t.0.2", "t.0.3", "t.1.2", "t.0.x", "")] == [2, None, None, None, None]


def _job(size: int) -> Job:
    plan = Plan("t", "slurm:main", 0.0, (PlannedJob([[(index, 1)] for index in range(size)], size),))
    job = Job(plan, 0, expected_at=10.0)
    for index in range(size):
        job.put(index, (index, 1))
    return job


def test_an_early_or_incomplete_listing_means_nothing() -> None:
    """A job that is not listed is not gone when the queue was asked too early, or did not say everything."""
    job = _job(3)
    job.take_queue([], complete=True, asked_at=9.0)
    job.take_queue([], complete=False, asked_at=11.0)
    assert job.gone == {}
    job.take_queue([], complete=True, asked_at=11.0)
    assert sorted(job.gone) == [0, 1, 2]


def test_of_two_lives_the_living_counts() -> None:
    """A job that was started again may be listed with its first end."""
    job = _job(1)
    rows = [JobSeen("7", (), "t.0", state, "") for state in (JobState.NODE_FAILED, JobState.RUNNING)]
    for order in (rows, rows[::-1]):
        job.take_queue(order, complete=True, asked_at=11.0)
        assert job.gone == {}


def test_ranges_speak_for_all_their_elements() -> None:
    """One line for a pending array is a word on each of its elements; one without indices on the whole."""
    job = _job(5)
    pending = JobSeen("7", range(1, 5), "t.0", JobState.WAITING, "PENDING")
    job.take_queue([pending, JobSeen("7", [0], "t.0", JobState.RUNNING, "RUNNING")], complete=True, asked_at=11.0)
    assert [job.rows[element].word for element in range(5)] == ["RUNNING"] + ["PENDING"] * 4
    job.take_queue([JobSeen("7", (), "t.0", JobState.CANCELLED, "CANCELLED")], complete=True, asked_at=12.0)
    assert len(job.gone) == 5
    assert job.target([1, 2]) == Target("t.0", [1, 2])
    assert job.target(range(5)) == Target("t.0")
