"""What others do to our jobs (cancel, hold, suspend, requeue, take nodes away): each reaches its state and reason."""

from __future__ import annotations

import signal
import time

import pytest


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
    process = site.begin()
    site.began(3)
    site.cluster.run("scancel", site.job_of(1))
    finish(site, process, 1)
    counts = site.facts()["counts"]
    assert (counts["completed"], counts["cancelled"]) == (2, 1), counts
    assert "CANCELLED" in status(site, 1)


def test_what_others_cancelled_runs_again_when_asked_for(site):
    """`hsm complete` goes on with it, and no attempt runs twice."""
    site.declare(3)
    site.behave('[ "$HSM_ATTEMPT$n" != 11 ] || exec sleep 60')
    process = site.begin()
    site.began(3)
    site.cluster.run("scancel", site.job_of(1))
    finish(site, process, 1)
    code, said = site.hsm("complete", "s")
    assert code == 0, said
    site.check(once=False)
    assert sorted(site.ledger()) == [(0, 1), (1, 1), (1, 2), (2, 1)]


def test_scancel_of_what_waits(site):
    """Elements that had not begun are cancelled too, and never start; those that run complete."""
    site.declare(6)
    site.behave(site.gate)
    process = site.begin("here:2")
    site.began(2)
    site.cluster.run("scancel", "--state=PENDING", "--user=root")
    site.until(lambda: site.facts()["counts"]["cancelled"] == 4, "four are cancelled")
    site.open_gate()
    finish(site, process, 1)
    counts = site.facts()["counts"]
    assert (counts["completed"], counts["cancelled"]) == (2, 4), counts
    assert len(site.ledger()) == 2


def test_hold_and_release(site):
    """What is held is shown as held, and runs when it is released."""
    site.declare(4)
    site.behave(site.gate)
    process = site.begin("here:2")
    site.began(2)
    ids = set(site.cluster.run("squeue", "-h", "-o", "%F").split())
    site.cluster.run("scontrol", "hold", *ids)
    site.until(lambda: site.facts()["counts"].get("held"), "hsm says that tasks are held")
    site.cluster.run("scontrol", "release", *ids, check=False)  # it complains of the elements that run
    site.open_gate()
    site.completes(process)


def test_suspend_and_resume(site):
    """A suspended job is not over, however often the queue says so, and comes to its end."""
    site.declare(2)
    site.behave(site.gate)
    process = site.begin()
    site.began(2)
    job = site.job_of(0)
    site.cluster.run("scontrol", "suspend", job)
    site.open_gate()
    site.until(lambda: site.facts()["counts"]["completed"] == 1)
    asked = site.counted()["squeue"]
    site.until(lambda: site.counted()["squeue"] > asked + 1)
    assert site.facts()["counts"]["completed"] == 1
    site.cluster.run("scontrol", "resume", job)
    site.completes(process)


def test_a_node_that_goes_down(site):
    """The node's failure charges no retry: the task runs again, elsewhere or later."""
    site.declare(2)
    site.behave('[ "$HSM_ATTEMPT" != 1 ] || exec sleep 60')
    process = site.begin()
    site.began(2)
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
    process = site.begin()
    site.began(2)
    site.cluster.run("scontrol", "requeue", site.job_of(0), check=False)
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
    process = site.begin("here")
    site.began(2)
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
    process = site.begin("here:3")
    site.began(3)
    code, said = site.hsm("cancel", "s")
    assert code == 0, said
    site.end(process)
    site.until(lambda: not site.cluster.run("squeue", "-h"), "the queue is empty")
    assert site.facts()["counts"]["cancelled"] == 8, site.facts()["counts"]


def test_hsm_cancel_of_one_task(site):
    """One element ends; the others complete."""
    site.declare(3)
    site.behave('[ "$n" != 1 ] || exec sleep 60; sleep 4')
    process = site.begin()
    site.began(3)
    code, said = site.hsm("cancel", "s", "2")
    assert code == 0, said
    site.end(process)
    counts = site.facts()["counts"]
    assert (counts["completed"], counts["cancelled"]) == (2, 1), counts


@pytest.mark.slow
def test_the_walltime(make_sites):
    """A task that outlives its walltime is warned, ended, and its state is timeout.

    With `requeue: true` it goes on in another job, from what it saved when it was warned, and no retry is charged.
    """
    plain, again = make_sites("cluster", 2)
    plain.configure({"walltime": "1m"}, warning=20)
    again.configure({"walltime": "1m"}, warning=20, requeue=True)
    for site in (plain, again):
        site.declare(1)
        site.behave(
            """\
saved="$SITE/checkpoint"; step=0
[ ! -e "$saved" ] || { echo "from $(cat "$saved")" > "$SITE/resumed"; exit 0; }
trap 'echo $step > "$saved"' USR1
while :; do sleep 0.5; step=$((step + 1)); done"""
        )
    begun = [plain.begin(), again.begin()]
    finish(plain, begun[0], 1)
    assert plain.facts()["counts"]["timeout"] == 1
    assert int((plain.beside / "checkpoint").read_text()) > 0
    said = again.completes(begun[1], once=False)
    assert again.ledger() == [(0, 1), (0, 2)]
    assert (again.beside / "resumed").read_text() == f"from {(again.beside / 'checkpoint').read_text()}"
    assert "preempted: TIMEOUT" in said or "reached its walltime" in said, said
    assert 'state: "preempted"' in status(again, 0)


@pytest.mark.parametrize("partition", ["mild", "hard"])
def test_preemption(site, partition):
    """What makes way for an urgent job, by being requeued or cancelled, runs again, and no retry is charged."""
    site.configure(partition=partition)
    site.declare(2)
    site.behave('[ "$HSM_ATTEMPT" != 1 ] || exec sleep 600')
    process = site.begin("here", "--retries", "0")
    site.began(2)
    site.cluster.run(
        "sbatch", "--partition=urgent", "--nodes=4", "--exclusive", "--output=/dev/null", "--wrap", "sleep 1"
    )
    said = site.completes(process, once=False)
    assert sorted(site.ledger()) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert "PREEMPTED" in said, said
    assert 'state: "preempted"' in status(site, 0)


def test_gpus(site):
    """Each task sees the GPUs that it asked for, and of two beside each other in a job each sees another."""
    site.configure({"gpus": 1, "gpu_type": "tesla"}, tasks_per_job=2, tasks_at_once=2)
    site.declare(4)
    site.behave(
        'echo "$CUDA_VISIBLE_DEVICES" > "$SITE/gpu.$n"; '
        + 'until [ "$(ls "$SITE" | grep -c gpu)" = 4 ]; do sleep 0.1; done'
    )
    site.run()
    seen = [(site.beside / f"gpu.{n}").read_text().strip() for n in range(4)]
    assert sorted(seen[:2]) == sorted(seen[2:]) == ["0", "1"]


def test_a_gpu_that_is_spelt_otherwise(site):
    """Names of GPUs are case-sensitive: the tasks fail at once, with Slurm's own sentence."""
    site.configure({"gpus": 1, "gpu_type": "Tesla"})
    site.declare(2)
    said = finish(site, site.begin(), 1)
    assert "Requested node configuration is not available" in said
    assert site.ledger() == []


def test_the_end_of_a_job_that_slurm_has_forgotten(accounted_site):
    """Long after, the queue has forgotten the job: accounting says how it ended, where nothing else can."""
    site = accounted_site
    site.declare(2)
    site.behave('[ "$HSM_ATTEMPT" != 1 ] || exec sleep 60')
    process = site.begin()
    site.began(2)
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
