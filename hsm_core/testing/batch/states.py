"""What others do to our jobs (cancel, hold, suspend, requeue) and what we do: each reaches its state and its reason."""

from __future__ import annotations

import time

import pytest

from .site import BatchSite

__all__ = ["StatesOfJobs"]


class StatesOfJobs:
    """Tests of ends and states that are not the tasks' own doing."""

    def test_a_running_task_that_somebody_cancels(self, site: BatchSite) -> None:
        """It is cancelled, not failed, who did it is said, and the others complete."""
        site.declare(3)
        site.behave('[ "$n" != 1 ] || exec sleep 60')
        process = site.begin()
        site.began(3)
        site.cluster.outsider("cancel", site.job_of(1))
        code, said = site.end(process)
        assert code == 1, said
        assert site.counts("completed", "cancelled") == (2, 1), site.facts()["counts"]
        assert "by: " in site.record(1)

    def test_what_others_cancelled_runs_again_when_asked_for(self, site: BatchSite) -> None:
        """`hsm complete` goes on with it, and no attempt runs twice."""
        site.declare(3)
        site.behave('[ "$HSM_ATTEMPT$n" != 11 ] || exec sleep 60')
        process = site.begin()
        site.began(3)
        site.cluster.outsider("cancel", site.job_of(1))
        assert site.end(process)[0] == 1
        site.complete()
        site.check(once=False)
        assert sorted(site.ledger()) == [(0, 1), (1, 1), (1, 2), (2, 1)]

    def test_what_waits_and_is_cancelled(self, site: BatchSite) -> None:
        """Elements that had not begun are cancelled too, and never start; those that run are ended."""
        site.configure(slots=2, lost_grace=2, tasks_per_job=1)
        site.declare(6)
        site.behave("exec sleep 60")
        process = site.begin("here")
        site.began(2)
        site.cluster.outsider("cancel", *site.cluster.jobs())
        code, said = site.end(process)
        assert code == 1, said
        assert site.counts("cancelled") == (6,), site.facts()["counts"]
        assert len(site.ledger()) == 2

    def test_hold_and_release(self, site: BatchSite) -> None:
        """What is held is shown as held, and runs when it is released."""
        site.configure(slots=2, tasks_per_job=1)
        site.declare(4)
        site.behave("sleep 2")
        process = site.begin("here")
        site.began(2)
        ids = site.cluster.jobs()
        site.cluster.outsider("hold", *ids)
        site.until(lambda: site.counts("held") > (0,), "hsm says that tasks are held")
        site.cluster.outsider("release", *ids)
        code, said = site.end(process)
        assert code == 0, said
        site.check()

    def test_suspend_and_resume(self, site: BatchSite) -> None:
        """A suspended job still runs, and comes to its end."""
        site.declare(1)
        site.behave("for i in 1 2 3 4 5 6; do sleep 0.5; done")
        process = site.begin()
        site.began(1)
        site.cluster.outsider("suspend", site.job_of(0))
        time.sleep(5)
        assert site.counts("completed") == (0,)
        site.cluster.outsider("resume", site.job_of(0))
        code, said = site.end(process)
        assert code == 0, said
        site.check()

    def test_an_administrator_cannot_make_it_run_twice(self, site: BatchSite) -> None:
        """A requeue is refused or finds the attempt claimed; either way no attempt runs twice."""
        site.configure(lost_grace=2)
        site.declare(2)
        site.behave('[ "$HSM_ATTEMPT" != 1 ] || exec sleep 3')
        process = site.begin("here")
        site.began(2)
        site.cluster.outsider("requeue", site.job_of(0))
        code, said = site.end(process)
        assert code == 0, said
        site.check(once=False)

    def test_a_runner_that_is_killed(self, site: BatchSite) -> None:
        """kill -9 of what runs a task in its job: lost for certain, not failed, and run again."""
        site.configure(lost_grace=2)
        site.declare(2)
        site.behave('[ "$HSM_ATTEMPT$n" != 11 ] || { kill -KILL $(ps -o ppid= -p $$); exec sleep 60; }')
        process = site.begin("here")
        code, said = site.end(process)
        assert code == 0, said
        site.check(once=False)
        assert sorted(site.ledger()) == [(0, 1), (1, 1), (1, 2)]

    def test_hsm_cancel_ends_what_runs_and_what_waits(self, site: BatchSite) -> None:
        """Nothing of the sweep is left in the queue, and the tasks are cancelled, not failed."""
        site.declare(8)
        site.behave("exec sleep 60")
        process = site.begin("here:3")
        site.began(3)
        code, said = site.hsm("cancel", "s")
        assert code == 0, said
        site.end(process)
        site.until(lambda: not site.cluster.jobs(), "the queue is empty")
        assert site.counts("cancelled") == (8,), site.facts()["counts"]

    def test_hsm_cancel_of_one_task(self, site: BatchSite) -> None:
        """One element ends; the others complete."""
        site.declare(3)
        site.behave('[ "$n" != 1 ] || exec sleep 60; sleep 4')
        process = site.begin()
        site.began(3)
        code, said = site.hsm("cancel", "s", "2")
        assert code == 0, said
        site.end(process)
        assert site.counts("completed", "cancelled") == (2, 1), site.facts()["counts"]

    @pytest.mark.slow
    def test_the_walltime(self, site: BatchSite) -> None:
        """A task that outlives its job's walltime is a timeout."""
        site.configure({"walltime": "6s"}, lost_grace=2)
        site.declare(1)
        site.behave("for i in $(seq 600); do sleep 0.5; done")
        code, said = site.end(site.begin("here"))
        assert code == 1, said
        assert site.counts("timeout") == (1,), site.facts()["counts"]
