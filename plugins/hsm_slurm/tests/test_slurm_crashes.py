"""kill -9 of the controller, at each step of a submission and at random: no task is lost, none runs twice."""

from __future__ import annotations

import random
import signal
import subprocess

import pytest

# Kills its own process at one step, `FAULT_AT`: no line of hsm knows of it.
PLUGIN = """\
import os, signal
from hsm_core.store.journal import writer
from hsm_core.toolkit.local_host import LocalHost

step = os.environ.get("FAULT_AT", "")

def reached(name):
    if name == step:
        os.kill(os.getpid(), signal.SIGKILL)

def around(what, call, *args, **more):
    reached("before " + what)
    done = call(*args, **more)
    reached("after " + what)
    return done

put, run, write_all = LocalHost.put, LocalHost.run, writer.write_all

def put_file(self, data, path, **more):
    name = os.path.basename(os.fspath(path))
    return around("script" if name.endswith(".sh") else name, put, self, data, path, **more)

def run_command(self, argv, **more):
    name = next((word for word in argv if word in ("mkdir", "sbatch", "squeue")), "")
    return around(name, run, self, argv, **more)

def write_event(fd, data, offset=0):
    for event in ("assigned", "accepted"):
        if b'{"e":"%s"' % event.encode() in data:
            return around(event, write_all, fd, data, offset)
    return write_all(fd, data, offset)

LocalHost.put, LocalHost.run, writer.write_all = put_file, run_command, write_event
"""

STEPS = [
    f"{when} {what}"
    for what in ("assigned", "mkdir", "plan.json", "tasks.jsonl", "script", "sbatch", "accepted")
    for when in ("before", "after")
]
_AT_RANDOM = 10
_SEED = 20261123


def kill(process: subprocess.Popen) -> None:
    """`kill -9` of hsm and of nothing else."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def install(site):
    """Install the plugin that kills, for the commands that are told where it is."""
    place = site.beside / "installed"
    info = place / "hsm_fault-1.dist-info"
    info.mkdir(parents=True)
    (place / "hsm_fault_of_a_test.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hsm-fault\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[hsm]\nfault = hsm_fault_of_a_test\n")
    return str(place)


@pytest.mark.slow
def test_at_each_step_of_a_submission(make_sites):
    """Before and after each file, each call and each line of the journal: `hsm complete` finishes the sweep."""
    sites = make_sites("cluster", len(STEPS))
    begun = []
    for site, step in zip(sites, STEPS):
        site.declare(3)
        begun.append(
            site.start(
                "run", "--sources", "here", "--sweep-id", "s", env={"FAULT_AT": step, "PYTHONPATH": install(site)}
            )
        )
    for site, process, step in zip(sites, begun, STEPS):
        assert process.wait(120) == -signal.SIGKILL, (step, site.said(process))
    again = [site.start("complete", "s") for site in sites]
    for site, process in zip(sites, again):
        site.completes(process)
        assert site.counted()["sbatch"] == 1, "what Slurm has, or was never told, is not submitted twice"
        assert {attempt for _, attempt in site.ledger()} == {1}


def test_while_sbatch_is_being_answered(site):
    """Slurm has the job, and hsm dies before it hears so: the job is found by its name."""
    site.declare(6)
    site.break_command("sbatch", 'real "$@" >/dev/null; kill -KILL $(ps -o ppid= -p $$); exit 0')
    assert site.begin().wait(60) == -signal.SIGKILL
    site.completes(site.start("complete", "s"))
    assert site.counted()["sbatch"] == 1


@pytest.mark.slow
def test_at_random(site):
    """Killed again and again while a sweep runs, and nothing is lost or doubled."""
    rng = random.Random(_SEED)
    site.declare(48)
    site.behave("sleep 1.$n")
    process = site.begin("here:8")
    site.until((site.layout.private / "settings.json").exists)  # what is killed before has declared nothing
    for _ in range(_AT_RANDOM):
        try:
            process.wait(rng.uniform(0.2, 1.8))
            raise AssertionError(f"it ended by itself: {site.said(process)}")
        except subprocess.TimeoutExpired:
            kill(process)
        process = site.start("complete", "s")
    site.completes(process)


def test_leaving_and_coming_back(site):
    """The controller is gone while all of its jobs end: what they left is taken from their records."""
    site.declare(6)
    site.behave(site.gate)
    process = site.begin()
    site.began(6)
    kill(process)
    site.open_gate()
    site.until(lambda: not site.cluster.run("squeue", "-h"))
    site.completes(site.start("complete", "s"))
    assert site.counted()["sbatch"] == 1
