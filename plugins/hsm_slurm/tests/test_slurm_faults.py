"""Commands that fail, hang and lie, and clusters that break: no task is lost, none runs twice, nothing is made up.

Faults of one kind happen beside each other, each to a sweep of its own: nearly all of such a test is waiting.
"""

from __future__ import annotations

import json
import os
import signal

import pytest

TIMED_OUT = "Socket timed out on send/recv operation"

SUBMISSIONS = {
    "accepts, then times out": f'real "$@" >/dev/null; echo "sbatch: error: {TIMED_OUT}" >&2; exit 1',
    "accepts, then fails": 'real "$@"; exit 1',
    "accepts and says nothing": 'real "$@" >/dev/null; exit 0',
    "accepts and dies": 'real "$@" >/dev/null; kill -KILL $$',
    "accepts, with a banner": 'echo "*** Maintenance on Monday ***"; real "$@"; echo "Have a nice day"; exit 0',
    "times out": f'echo "sbatch: error: Batch job submission failed: {TIMED_OUT}" >&2; exit 1',
    "is down": 'echo "sbatch: error: Batch job submission failed: Unable to contact slurm controller" >&2; exit 1',
    "is refused for now": 'echo "sbatch: error: AssocMaxSubmitJobLimit" >&2; echo "sbatch: error: Batch job submission'
    ' failed: Job violates accounting/QOS policy (job submit limit, user size limit)" >&2; exit 1',
    "dies": "kill -KILL $$",
    "does nothing": "exit 0",
}
"""What happens to the first sbatch of a sweep."""

ANSWERS = {
    "fails": f'echo "slurm_load_jobs error: {TIMED_OUT}" >&2; exit 1',
    "fails without a word": "exit 1",
    "is empty": "exit 0",
    "is torn": 'real "$@" | head -c 20',
    "is garbage": "echo 'DNS is slow today'; echo '|||||||'; real \"$@\"",
    "lags": 'cat "$0.before"',
    "forgets one": 'real "$@" | sed 1d',
    "hangs": "sleep 8; exit 1",
}
"""What a listing does from some moment on."""

DYING = """\
if [ "$HSM_ATTEMPT$n" = 11 ]; then
    until [ -e "$SITE/die" ]; do sleep 0.1; done
    kill -KILL $PPID $$
fi
"""
"""The first attempt of the second task ends with its runner, and leaves no record."""


@pytest.mark.slow
def test_submissions_that_go_wrong(make_sites):
    """Accepted or not, and whatever sbatch said: the job is looked for by its name, and every task runs once."""
    sites = make_sites("cluster", len(SUBMISSIONS))
    begun = []
    for site, fault in zip(sites, SUBMISSIONS.values()):
        site.break_command("sbatch", fault)
        site.declare(4)
        begun.append(site.begin())
    for site, process, name in zip(sites, begun, SUBMISSIONS):
        said = site.completes(process)
        assert {attempt for _, attempt in site.ledger()} == {1}, name
        assert 1 <= site.counted()["sbatch"] <= 2, (name, said)
        if "accepts" in name:
            assert site.counted()["sbatch"] == 1, (name, said)
        if name in ("is down", "times out", "is refused for now"):
            assert "Unable to contact" in said or TIMED_OUT in said or "AssocMaxSubmitJobLimit" in said, (name, said)


def test_an_sbatch_that_never_comes_back(site):
    """While it hangs it may yet be accepted: nothing else is submitted until its job is found."""
    site.break_command("sbatch", 'real "$@" >/dev/null; exec sleep 600')
    site.declare(3)
    process = site.begin()
    site.began(3)  # a whole minute earlier than sbatch is given up
    process.send_signal(signal.SIGKILL)
    process.wait()
    site.completes(site.start("complete", "s"))
    assert site.counted()["sbatch"] == 1


def test_a_limit_on_a_users_jobs_is_kept(accounted_site):
    """Fewer jobs are submitted than the association allows, counting those that are not ours; all tasks run."""
    cluster = accounted_site.cluster
    cluster.run("sacctmgr", "-i", "modify", "user", "root", "set", "MaxSubmitJobs=12")
    try:
        other = cluster.run("sbatch", "--parsable", "-H", "--array=0-4", "-o", "/dev/null", "--wrap", "true").strip()
        accounted_site.declare(16)
        accounted_site.run()
        cluster.run("scancel", other)
    finally:
        cluster.run("sacctmgr", "-i", "modify", "user", "root", "set", "MaxSubmitJobs=-1")


# --- listings


@pytest.mark.slow
def test_queues_that_lie(make_sites):
    """However long squeue fails, lags, forgets or is empty, what runs is neither over nor submitted again.

    There is no accounting here, and the patience for files is a second: scontrol says that the jobs are there.
    """
    sites = make_sites("cluster", len(ANSWERS))
    begun = []
    for site in sites:
        site.configure(lost_grace=1)
        site.declare(3)
        site.behave(site.gate)
        begun.append(site.begin())
    for site, fault in zip(sites, ANSWERS.values()):
        site.began(3)
        site.until(lambda: site.facts()["counts"].get("running") == 3)  # noqa: B023
        queue = site.cluster.run(*site.calls_of("squeue")[-1])
        (site.beside / "bin" / "squeue.before").write_text(queue)
        site.break_command("squeue", fault, always=True)
    before = [site.counted()["squeue"] for site in sites]
    for site, asked, name in zip(sites, before, ANSWERS):
        site.until(lambda: site.counted()["squeue"] >= asked + 3, name)  # noqa: B023
        if name == "is empty":
            site.until(lambda: any("show job" in line for line in site.calls()), "scontrol is asked")  # noqa: B023
        assert site.facts()["counts"]["running"] == 3, (name, site.facts())
    for site, process, name in zip(sites, begun, ANSWERS):
        site.open_gate()
        said = site.completes(process)
        assert site.counted()["sbatch"] == 1, (name, said)


@pytest.mark.slow
def test_accounts_that_lie(make_sites):
    """A job was killed with its runner and slurmctld has forgotten it: whatever sacct says, it is not completed.

    It is lost and runs again, or, where a word of sacct is read after all, what that says.
    """
    sites = make_sites("accounted_cluster", len(ANSWERS))
    begun = []
    for site, fault in zip(sites, ANSWERS.values()):
        site.declare(2)
        site.behave(DYING + site.gate)
        site.break_command("sacct", fault, always=True)
        (site.beside / "bin" / "sacct.before").write_text("")
        begun.append(site.begin())
    for site in sites:
        site.began(2)
        site.break_command("squeue", "exit 0", always=True)
        (site.beside / "die").touch()
    for site, process, name in zip(sites, begun, ANSWERS):
        site.until(lambda: (1, 2) in site.ledger(), f"it runs again: {name}")  # noqa: B023
        site.open_gate()
        said = site.completes(process, once=False)
        assert sorted(site.ledger()) == [(0, 1), (1, 1), (1, 2)], (name, said)
        assert "lost" in said, (name, said)


def test_a_queue_that_cannot_be_read_is_given_nothing(site):
    """Who could not look for what was accepted does not submit: the person hears why, and it begins when it works."""
    site.declare(3)
    site.break_command("squeue", ANSWERS["fails"], always=True)
    process = site.begin()
    site.until(lambda: "Socket timed out" in site.said(process))
    assert site.counted()["sbatch"] == 0
    site.mend()
    site.completes(process)


def test_nobody_says_that_a_job_is_gone(site):
    """Neither squeue nor scontrol knows anything: the person hears so, and a killed task is lost when they do."""
    site.configure(lost_grace=1)
    site.declare(2)
    site.behave(DYING + site.gate)
    process = site.begin()
    site.began(2)
    site.break_command("squeue", "exit 0", always=True)
    site.break_command("scontrol", ANSWERS["fails"], always=True)
    asked = site.counted()["squeue"]
    site.until(lambda: site.counted()["squeue"] > asked)  # what was asked before has been answered
    (site.beside / "die").touch()
    site.until(lambda: sum("show job" in line for line in site.calls()) >= 3, "scontrol is asked")
    assert site.facts()["counts"]["running"] == 2
    site.mend()
    site.until(lambda: (1, 2) in site.ledger(), "it runs again")
    site.open_gate()
    site.completes(process, once=False)


# --- the cluster


def stop_controller(cluster, site):
    """Stop slurmctld as an administrator does: it saves its state."""
    cluster.signal("slurmctld", signal.SIGTERM)
    site.until(lambda: not cluster.pids("slurmctld"))


def test_a_controller_that_is_down_for_a_while(site):
    """slurmctld is stopped while tasks run, and started again: the sweep waits, and completes."""
    site.declare(12)
    site.behave(site.gate)
    process = site.begin("here:6")
    site.began(6)
    stop_controller(site.cluster, site)
    try:
        site.until(lambda: "Unable to contact" in site.said(process) or "DOWN" in site.said(process))
        assert process.poll() is None
        site.open_gate()
    finally:
        site.cluster.start_controller()
    site.completes(process)


def test_a_controller_that_loses_its_last_minutes(own_site):
    """slurmctld is killed before it saved its state, and starts jobs again that had run: no attempt runs twice."""
    site = own_site
    site.declare(6)
    site.behave("sleep 1")
    process = site.begin()
    site.began(3)
    site.cluster.stop("slurmctld")
    site.cluster.start_controller()
    site.completes(process, once=False)


@pytest.mark.parametrize("then", ["complete", "cancel"])
def test_ids_that_are_given_again(own_site, then):
    """slurmctld has lost everything, and a stranger's job has our id: it is not taken for ours, and not ended."""
    site = own_site
    site.declare(2)
    site.behave(f'[ "$HSM_ATTEMPT" != 1 ] || exec sleep 600; {site.gate}')
    process = site.begin()
    site.began(2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    ours = site.cluster.run("squeue", "-h", "-o", "%F").split()[0]
    site.cluster.stop("slurmctld")
    site.cluster.forget_everything()
    site.cluster.start_controller()
    strangers = [
        site.cluster.run(
            "sbatch", "--parsable", "-J", "other", "-o", "/dev/null", *words, "--wrap", "sleep 600"
        ).strip()
        for words in ([], ["--array=0-1"])
    ]
    assert ours in strangers
    if then == "cancel":
        code, said = site.hsm("cancel", "s")
        assert code == 0, said
    else:
        site.open_gate()
        site.completes(site.start("complete", "s"), once=False)
        assert sorted(site.ledger()) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    left = site.cluster.run("squeue", "-h", "-o", "%j|%T", "-r").split()
    assert {line.partition("|")[0] for line in left} == {"other"}
    assert len(left) == 3, left
    assert not [line for line in site.calls() if line.startswith("scancel ")]


def test_no_munge_for_a_while(site):
    """Without munge no command works; tasks run on, and their records count when the sweep can be asked again."""
    site.declare(5)
    site.behave(site.gate)
    process = site.begin()
    site.began(5)
    asked = len(site.calls())
    site.cluster.stop("munged")
    try:
        site.until(lambda: len(site.calls()) > asked)
        site.open_gate()
    finally:
        site.cluster.start_munge()
    site.completes(process)


def test_no_controller_at_all(site):
    """`hpc` is no cluster that does not answer: the person hears so, and nothing is begun."""
    site.declare(2)
    config = json.loads((site.root / "hsm_config.yaml").read_text())
    (site.root / "hsm_config.yaml").write_text(json.dumps({"project": config["project"]}))
    stop_controller(site.cluster, site)
    try:
        code, said = site.hsm("run", "--sources", "hpc", "--sweep-id", "s")
    finally:
        site.cluster.start_controller()
    assert code == 4, said
    assert "DOWN" in said or "Unable to contact" in said, said


def test_a_controller_that_is_down_at_the_beginning(site):
    """A cluster that was named is waited for, the person hears why, and arrays are as large as they may be."""
    site.declare(5)
    stop_controller(site.cluster, site)
    try:
        process = site.begin()
        site.until(lambda: "DOWN" in site.said(process) or "Unable to contact" in site.said(process))
    finally:
        site.cluster.start_controller()
    site.completes(process)
    assert site.counted()["sbatch"] == 1


def test_commands_that_are_not_there(site):
    """A machine without Slurm says which command is missing, before anything is submitted."""
    site.declare(2)
    for name in os.listdir(site.beside / "bin"):
        (site.beside / "bin" / name).write_text("#!/bin/sh\nexit 127\n")
    code, said = site.hsm("run", "--sources", "slurm", "--sweep-id", "s")
    assert code == 4, said
