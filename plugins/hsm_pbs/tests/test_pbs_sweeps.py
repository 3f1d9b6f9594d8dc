"""Sweeps on a PBS that has its limits, its lags and its lapses."""

from __future__ import annotations

import os
import time

import pytest

_MANY = int(os.environ.get("HSM_PBS_TASKS", "500"))
"""With 2,000 it takes nearly two minutes on a busy machine."""


def test_larger_than_an_array_may_be(own_site):
    """More tasks than one array holds are several, each submitted once; a rest of one is a plain job."""
    own_site.cluster.emulator.set(max_array_size=20)
    own_site.declare(41)
    own_site.run()
    assert own_site.submitted() == 3
    assert sum("#PBS -J " in script for script in own_site.scripts()) == 2


def test_a_limit_on_a_users_jobs_is_kept(own_site):
    """Fewer jobs are submitted than the server allows, counting those that are not ours; all tasks run."""
    cluster = own_site.cluster
    cluster.emulator.set(max_queued=12)
    cluster.run("qsub", "-h", "-J", "0-4", "--", "/bin/true")
    own_site.declare(20)
    own_site.run()
    assert own_site.submitted() <= 4


def test_a_job_that_the_server_has_forgotten(own_site):
    """PBS knows nothing of it, and it runs on: whoever can see that its runner lives repeats nothing."""
    own_site.configure(lost_grace=2, tasks_per_job=1)
    own_site.declare(2)
    own_site.behave("exec sleep 12")
    process = own_site.begin()
    own_site.began(2)
    own_site.cluster.emulator.set(forgotten=[1])
    own_site.completes(process)
    own_site.cluster.emulator.set(forgotten=[])


def test_without_history(own_site):
    """Where the server forgets what is over, records are enough."""
    own_site.cluster.emulator.set(history=False)
    own_site.declare(12)
    own_site.behave("exit $((n == 3))")
    code, said = own_site.end(own_site.begin("here:4"))
    assert code == 1, said
    assert own_site.counts("completed", "failed") == (11, 1)


def test_what_others_delete_before_it_begins(own_site):
    """One element of an array that lives: it is cancelled, as the history tells, and the others complete."""
    own_site.configure(slots=2, tasks_per_job=1, lost_grace=2)
    own_site.declare(4)
    own_site.behave("sleep 4")
    process = own_site.begin()
    own_site.began(2)
    own_site.cluster.outsider("cancel", "1[3].pbshost")
    code, said = own_site.end(process)
    assert code == 1, said
    assert own_site.counts("completed", "cancelled") == (3, 1)


def test_qdel_that_takes_its_time(own_site):
    """What was cancelled is still listed as running for seconds: that disturbs nobody."""
    own_site.cluster.emulator.set(qdel_lag_s=6.0)
    own_site.declare(3)
    own_site.behave('[ "$n" != 1 ] || exec sleep 60')
    process = own_site.begin()
    own_site.began(3)
    own_site.cluster.outsider("cancel", own_site.job_of(1))
    code, said = own_site.end(process)
    assert code == 1, said
    assert own_site.counts("completed", "cancelled") == (2, 1)
    assert "deleted by" in own_site.record(1)


@pytest.mark.slow
def test_many_tasks(own_site):
    """More tasks than two arrays hold, all complete, each once; questions do not grow with tasks."""
    own_site.cluster.emulator.set(max_array_size=_MANY * 9 // 20)
    own_site.configure(tasks_per_job=1)
    own_site.declare(_MANY)
    began = time.monotonic()
    own_site.run()
    took = time.monotonic() - began
    assert own_site.submitted() == 3
    assert own_site.counted()["qstat"] <= took / 2 + 10, (own_site.counted(), took)
