"""What others do to our jobs (cancel, hold, suspend, requeue, take nodes away): each reaches its state and reason."""

from __future__ import annotations

import re
import signal
import time

import pytest


def begin(site, *words, sources="slurm"):
    """Start the sweep `s`."""
    return site.start("run", "--sources", sources, "--sweep-id", "s", *words)


def job_of(site, index):
    """The name by which scancel knows the job that ran a task: ARRAY_INDEX, or its id."""
    line = next(line for line in (site.beside / "ledger").read_text().splitlines() if line.startswith(f"{index} "))
    text = site.cluster.run("scontrol", "-o", "show", "job", line.split()[3])
    array = re.search(r"ArrayJobId=(\d+) ArrayTaskId=(\d+)", text)
    return f"{array[1]}_{array[2]}" if array else line.split()[3]


def started(site, count):
    """Wait until so many tasks have begun."""
    site.until(lambda: len(site.ledger()) >= count)


def finish(site, process, code=0):
    """Wait for the end of the controller."""
    found, said = site.end(process)
    assert found == code, said
    return said


def status(site, index, attempt=1):
    """The record of an attempt that may have been archived."""
    folder = site.layout.tasks / f"task_{index + 1:03d}"
    archived = folder / "attempts" / str(attempt) / "status.yaml"
    return (archived if archived.exists() else folder / "status.yaml").read_text()


def test_scancel_of_a_running_task(site):
    """Somebody else ended it: it is cancelled, not failed, who did it is said, and the others complete."""
    site.declare(3)
    site.behave('[ "$n" != 1 ] || exec sleep 60')
    process = begin(site)
    started(site, 3)
    site.cluster.run("scancel", job_of(site, 1))
    finish(site, process, 1)
    counts = site.facts()["counts"]
    assert (counts["completed"], counts["cancelled"]) == (2, 1), counts
    assert "CANCELLED" in status(site, 1)


def test_what_others_cancelled_runs_again_when_asked_for(site):
    """`hsm complete` goes on with it, and no attempt runs twice."""
    site.declare(3)
    site.behave('[ "$HSM_ATTEMPT$n" != 11 ] || exec sleep 60')
    process = begin(site)
    started(site, 3)
    site.cluster.run("scancel", job_of(site, 1))
    finish(site, process, 1)
    code, said = site.hsm("complete", "s")
    assert code == 0, said
    site.check(once=False)
    assert sorted(site.ledger()) == [(0, 1), (1, 1), (1, 2), (2, 1)]


def test_scancel_of_what_waits(site):
    """Elements that had not begun are cancelled too, and never start; those that run complete."""
    site.declare(6)
    site.behave("sleep 2")
    process = begin(site, sources="slurm:2")
    started(site, 2)
    site.cluster.run("scancel", "--state=PENDING", "--user=root")
    finish(site, process, 1)
    counts = site.facts()["counts"]
    assert (counts["completed"], counts["cancelled"]) == (2, 4), counts
    assert len(site.ledger()) == 2


def test_hold_and_release(site):
    """What is held is shown as held, and runs when it is released."""
    site.declare(4)
    site.behave("sleep 2")
    process = begin(site, sources="slurm:2")
    started(site, 2)
    ids = set(site.cluster.run("squeue", "-h", "-o", "%F").split())
    site.cluster.run("scontrol", "hold", *ids)
    site.until(lambda: site.facts()["counts"].get("held"), "hsm says that tasks are held")
    site.cluster.run("scontrol", "release", *ids, check=False)  # it complains of the elements that have ended
    finish(site, process)
    site.check()


def test_suspend_and_resume(site):
    """A suspended job still runs, and comes to its end."""
    site.declare(2)
    site.behave("for i in 1 2 3 4 5 6; do sleep 0.5; done")
    process = begin(site)
    started(site, 2)
    job = job_of(site, 0)
    site.cluster.run("scontrol", "suspend", job)
    time.sleep(5)
    assert site.facts()["counts"]["completed"] <= 1
    site.cluster.run("scontrol", "resume", job)
    finish(site, process)
    site.check()


def test_a_node_that_goes_down(site):
    """The node's failure charges no retry: the task runs again, elsewhere or later."""
    site.declare(2)
    site.behave('[ "$HSM_ATTEMPT" != 1 ] || exec sleep 60')
    process = begin(site)
    started(site, 2)
    nodes = set(site.cluster.run("squeue", "-h", "-o", "%N").split())
    for node in nodes:
        site.cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        time.sleep(1)
    finally:
        for node in nodes:
            site.cluster.run("scontrol", "update", f"nodename={node}", "state=resume", check=False)
    finish(site, process)
    site.check(once=False)
    assert sorted(site.ledger()) == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_an_administrator_cannot_make_it_run_twice(site):
    """A requeue is refused by Slurm or finds the attempt claimed; either way no attempt runs twice."""
    site.declare(2)
    site.behave('[ "$HSM_ATTEMPT" != 1 ] || exec sleep 3')
    process = begin(site)
    started(site, 2)
    site.cluster.run("scontrol", "requeue", job_of(site, 0), check=False)
    finish(site, process)
    site.check(once=False)


def test_a_runner_that_is_killed(site):
    """kill -9 of what runs a task in its job: lost for certain, not failed, and run again, beside nobody.

    Without cgroups its program lives on: the next runner on that machine ends it before it begins the task again.
    """
    site.configure(lost_grace=2)
    site.declare(2)
    site.behave(
        """\
case $HSM_ATTEMPT$n in
    11) ps -o ppid= -p $$ > "$SITE/parent"; echo $$ > "$SITE/former"; exec sleep 600;;
    21) if kill -0 "$(cat "$SITE/former")" 2>/dev/null; then touch "$SITE/both"; fi;;
esac"""
    )
    process = begin(site, sources="here")
    started(site, 2)
    inside = int(site.until(lambda: (site.beside / "parent").exists() and (site.beside / "parent").read_text().strip()))
    site.until(lambda: (site.beside / "former").exists() and (site.beside / "former").read_text().strip())
    site.cluster.kill_inside(inside, signal.SIGKILL)
    finish(site, process)
    site.check(once=False)
    assert sorted(site.ledger()) == [(0, 1), (1, 1), (1, 2)]
    assert not (site.beside / "both").exists(), "two attempts lived at once"


def test_hsm_cancel_ends_what_runs_and_what_waits(site):
    """Nothing of the sweep is left in the queue, and the tasks are cancelled, not failed."""
    site.declare(8)
    site.behave("exec sleep 60")
    process = begin(site, sources="slurm:3")
    started(site, 3)
    code, said = site.hsm("cancel", "s")
    assert code == 0, said
    site.end(process)
    site.until(lambda: not site.cluster.run("squeue", "-h"), "the queue is empty")
    assert site.facts()["counts"]["cancelled"] == 8, site.facts()["counts"]


def test_hsm_cancel_of_one_task(site):
    """One element ends; the others complete."""
    site.declare(3)
    site.behave('[ "$n" != 1 ] || exec sleep 60; sleep 4')
    process = begin(site)
    started(site, 3)
    code, said = site.hsm("cancel", "s", "2")
    assert code == 0, said
    site.end(process)
    counts = site.facts()["counts"]
    assert (counts["completed"], counts["cancelled"]) == (2, 1), counts


@pytest.mark.slow
def test_the_walltime(site):
    """A task that outlives its walltime is warned, ended, and its state is timeout."""
    site.configure({"walltime": "1m"}, warning=20)
    site.declare(1)
    site.behave('trap "echo warned >> $SITE/warned" USR1; for i in $(seq 600); do sleep 0.5; done')
    code, said = site.hsm("run", "--sources", "here", "--sweep-id", "s")
    assert code == 1, said
    assert site.facts()["counts"]["timeout"] == 1
    assert (site.beside / "warned").exists()


def test_the_end_of_a_job_that_slurm_has_forgotten(accounted_site):
    """Long after, the queue has forgotten the job: accounting says how it ended, where nothing else can."""
    site = accounted_site
    site.declare(2)
    site.behave('[ "$HSM_ATTEMPT" != 1 ] || exec sleep 60')
    process = begin(site)
    started(site, 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    site.cluster.run("scancel", "--user=root")
    site.until(lambda: not site.cluster.run("squeue", "-h", "--states=all"), "slurmctld has forgotten")
    _, said = site.hsm("complete", "s")
    assert site.facts()["counts"]["cancelled"] == 2, said
    assert "CANCELLED by 0" in status(site, 0)


def test_out_of_memory(strict_site):
    """The kernel kills what needs more than it was given: the task is failed, and its record says why."""
    site = strict_site
    site.configure({"memory": "64M"})
    site.declare(2)
    site.behave("""[ "$n" != 1 ] || exec python3 -c 'b = bytearray(400_000_000)'""")
    code, said = site.hsm("run", "--sources", "here", "--sweep-id", "s")
    assert code == 1, said
    counts = site.facts()["counts"]
    assert (counts["completed"], counts["failed"]) == (1, 1), counts
    assert "oom_killed: true" in status(site, 1)
