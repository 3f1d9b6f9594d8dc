"""Commands that fail, hang and lie, and controllers that die: no task is lost, none runs twice, nothing is made up."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time

import pytest


def complete(site):
    """Finish the sweep with a new controller, and hold it to the proof."""
    code, said = site.hsm("complete", "s")
    assert code == 0, said
    return said


# --- submissions


@pytest.mark.parametrize(
    "lie",
    [
        'real "$@" >/dev/null; echo "sbatch: error: Batch job submission failed: Socket timed out" >&2; exit 1',
        'real "$@"; exit 1',
        'real "$@" >/dev/null; exit 0',
        'real "$@"; echo "*** Maintenance on Monday ***"; exit 0',
        'echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1',
        'echo "sbatch: error: Batch job submission failed: Unable to contact slurm controller" >&2; exit 1',
        "kill -KILL $$",
        "exit 0",
    ],
    ids=["accepts-then-times-out", "accepts-then-fails", "says-nothing", "banner", "times-out", "down", "dies", "mute"],
)
def test_a_submission_that_goes_wrong(site, lie):
    """Accepted or not, and whatever it said: the job is looked for by its name, and every task runs once."""
    site.break_command("sbatch", lie)
    site.declare(6)
    site.run()
    assert 1 <= site.counted()["sbatch"] <= 2


def test_a_submission_that_is_refused_for_now(site):
    """A limit is waited out, and charges nobody."""
    site.break_command(
        "sbatch",
        'echo "sbatch: error: AssocMaxSubmitJobLimit" >&2; '
        'echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit'
        ')" >&2; exit 1',
    )
    site.declare(4)
    site.run()
    assert {attempt for _, attempt in site.ledger()} == {1}


def test_a_limit_on_a_users_jobs_is_kept(accounted_site):
    """Fewer jobs are submitted than the association allows, counting those that are not ours; all tasks run."""
    cluster = accounted_site.cluster
    cluster.run("sacctmgr", "-i", "modify", "user", "root", "set", "MaxSubmitJobs=12")
    try:
        other = cluster.run("sbatch", "--parsable", "-H", "--array=0-4", "-o", "/dev/null", "--wrap", "true").strip()
        accounted_site.declare(20)
        accounted_site.run()
        cluster.run("scancel", other)
    finally:
        cluster.run("sacctmgr", "-i", "modify", "user", "root", "set", "MaxSubmitJobs=-1")


# --- listings


@pytest.mark.parametrize(
    "lie",
    [
        'echo "slurm_load_jobs error: Socket timed out on send/recv operation" >&2; exit 1',
        "exit 0",
        'real "$@" | head -c 20',
        "echo 'DNS is slow today'; echo '|||||||'; real \"$@\"",
        "sed -n 1p </dev/null; exit 1",
    ],
    ids=["fails", "empty", "torn", "garbage", "mute"],
)
def test_listings_that_are_wrong_from_some_moment_on(site, lie):
    """What the queue says or does not say is no end of a task: records are."""
    site.declare(6)
    site.behave("sleep 4")
    process = site.start("run", "--sources", "slurm", "--sweep-id", "s")
    site.until(lambda: len(site.ledger()) == 6)
    site.break_command("squeue", lie, always=True)
    code, said = site.end(process)
    assert code == 0, said
    site.check()


def test_a_queue_that_cannot_be_read_is_given_nothing(site):
    """Who could not look for what was accepted does not submit: the person hears why, and it begins when it works."""
    site.declare(3)
    site.break_command(
        "squeue", 'echo "slurm_load_jobs error: Socket timed out on send/recv operation" >&2; exit 1', always=True
    )
    process = site.start("run", "--sources", "slurm", "--sweep-id", "s")
    site.until(lambda: "Socket timed out" in site.said(process))
    assert site.counted()["sbatch"] == 0
    site.mend()
    code, said = site.end(process)
    assert code == 0, said
    site.check()


def test_a_queue_that_forgets_a_running_job(site):
    """A listing without the job, for a while, ends nothing and repeats nothing."""
    site.declare(3)
    site.behave("sleep 8")
    site.break_command("squeue", "exit 0", always=True)
    process = site.start("run", "--sources", "slurm", "--sweep-id", "s")
    site.until(lambda: len(site.ledger()) == 3)
    time.sleep(5)
    site.mend()
    assert site.end(process)[0] == 0, site.said(process)
    site.check()


# --- controllers


def kill_controller(site, process):
    """`kill -9` of hsm and of nothing else."""
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_kill_9_around_the_submission(site, when):
    """Killed before sbatch, while it has accepted and not yet answered, or right after: `hsm complete` finishes."""
    site.declare(8)
    site.behave("sleep 1")
    kill = "kill -KILL $(ps -o ppid= -p $$)"
    site.break_command(
        "sbatch",
        {
            "before": f"{kill}; exit 1",
            "during": f'real "$@" >/dev/null; {kill}; exit 0',
            "after": f'real "$@"; ( sleep 0.2; {kill} ) & exit 0',
        }[when],
    )
    process = site.start("run", "--sources", "slurm", "--sweep-id", "s")
    process.wait(60)
    assert process.returncode == -signal.SIGKILL, site.said(process)
    complete(site)
    site.check()


def test_kill_9_at_random(site):
    """Killed again and again while a sweep runs, and nothing is lost or doubled."""
    site.declare(30)
    site.behave("sleep 0.$n")
    process = site.start("run", "--sources", "slurm:8", "--sweep-id", "s")
    for pause in (0.3, 0.6, 1.1, 0.9, 1.7):
        with contextlib.suppress(Exception):
            process.wait(pause)
        kill_controller(site, process)
        if (site.layout.private / "settings.json").exists():
            process = site.start("complete", "s")
        else:
            process = site.start("run", "--sources", "slurm:8", "--sweep-id", "s")
    code, said = site.end(process)
    assert code == 0, said
    site.check()


def test_leaving_and_coming_back(site):
    """A detached controller may be killed; what it submitted runs on, and is adopted with its results."""
    site.declare(6)
    site.behave("sleep 4")
    process = site.start("run", "--sources", "slurm", "--sweep-id", "s")
    site.until(lambda: len(site.ledger()) == 6)
    kill_controller(site, process)
    site.until(lambda: not site.cluster.run("squeue", "-h"))
    complete(site)
    site.check()
    assert site.counted()["sbatch"] == 1


# --- the cluster


def test_a_controller_that_is_down_for_a_while(site):
    """slurmctld is stopped while tasks run, and started again: the sweep waits, and completes."""
    site.declare(12)
    site.behave("sleep 2")
    process = site.start("run", "--sources", "slurm:6", "--sweep-id", "s")
    site.until(lambda: len(site.ledger()) >= 3)
    site.cluster.signal("slurmctld", signal.SIGTERM)
    site.until(lambda: not site.cluster.pids("slurmctld"))
    time.sleep(2)
    site.cluster.start_controller()
    code, said = site.end(process)
    assert code == 0, said
    site.check()


def test_a_controller_that_loses_its_memory(own_site):
    """slurmctld is killed before it saved its state, and starts jobs again that had run: no attempt runs twice."""
    site = own_site
    site.declare(6)
    site.behave("sleep 1")
    process = site.start("run", "--sources", "slurm", "--sweep-id", "s")
    site.until(lambda: len(site.ledger()) >= 3)
    site.cluster.stop("slurmctld")
    site.cluster.start_controller()
    code, said = site.end(process)
    assert code == 0, said
    site.check(once=False)


def test_no_munge_for_a_while(site):
    """Without munge no command works; tasks run on, and their records count when the sweep can be asked again."""
    site.declare(5)
    site.behave("sleep 3")
    process = site.start("run", "--sources", "slurm", "--sweep-id", "s")
    site.until(lambda: len(site.ledger()) == 5)
    site.cluster.stop("munged")
    time.sleep(4)
    site.cluster.start_munge()
    code, said = site.end(process)
    assert code == 0, said
    site.check()


def test_no_controller_at_all(site):
    """`hpc` is no cluster that does not answer: the person hears so, and nothing is begun."""
    site.declare(2)
    config = json.loads((site.root / "hsm_config.yaml").read_text())
    (site.root / "hsm_config.yaml").write_text(json.dumps({"project": config["project"]}))
    site.cluster.signal("slurmctld", signal.SIGTERM)
    site.until(lambda: not site.cluster.pids("slurmctld"))
    try:
        code, said = site.hsm("run", "--sources", "hpc", "--sweep-id", "s")
    finally:
        site.cluster.start_controller()
    assert code == 4, said
    assert "DOWN" in said or "Unable to contact" in said, said


def test_a_controller_that_is_down_at_the_beginning(site):
    """A cluster that was named is waited for, the person hears why, and arrays are as large as they may be."""
    site.declare(5)
    site.cluster.signal("slurmctld", signal.SIGTERM)
    site.until(lambda: not site.cluster.pids("slurmctld"))
    try:
        process = site.start("run", "--sources", "slurm", "--sweep-id", "s")
        site.until(lambda: "DOWN" in site.said(process) or "Unable to contact" in site.said(process))
    finally:
        site.cluster.start_controller()
    code, said = site.end(process)
    assert code == 0, said
    site.check()
    assert site.counted()["sbatch"] == 1


def test_commands_that_are_not_there(site):
    """A machine without Slurm says which command is missing, before anything is submitted."""
    site.declare(2)
    for name in os.listdir(site.beside / "bin"):
        (site.beside / "bin" / name).write_text("#!/bin/sh\nexit 127\n")
    code, said = site.hsm("run", "--sources", "slurm", "--sweep-id", "s")
    assert code == 4, said
