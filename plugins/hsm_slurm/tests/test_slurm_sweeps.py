"""Whole sweeps on a real Slurm, as a person runs them: everything is run once, and politely."""

from __future__ import annotations

import json
import math
import os
import time

import pytest

GUIDE = {"learning_rate": [0.001, 0.01, 0.1], "batch_size": [32, 64, 128], "hidden_dim": [64, 128, 256]}


@pytest.mark.parametrize("sources", ["slurm", "hpc", "slurm:here:16", "here"])
def test_the_guides_sweep(site, sources):
    """Twenty-seven tasks are one array, by whatever name the cluster is called, and each runs once."""
    if sources in ("slurm", "hpc"):
        config = json.loads((site.root / "hsm_config.yaml").read_text())
        (site.root / "hsm_config.yaml").write_text(json.dumps({"project": config["project"]}))
    (site.root / "sweeps" / "sweep_config.yaml").write_text(json.dumps({"grid": GUIDE}))
    site.run(sources)
    submitted = [line for line in site.calls() if line.startswith("sbatch ")]
    assert len(submitted) == 1
    (script,) = (site.layout.root / "scripts" / "job_scripts").glob("*.sh")
    assert f"--array=0-26{'%16' if sources.endswith('16') else ''}\n" in script.read_text()


def test_a_single_task_is_a_plain_job(site):
    """There is no array of one."""
    site.declare(1)
    site.run()
    (script,) = (site.layout.root / "scripts" / "job_scripts").glob("*.sh")
    assert "--array" not in script.read_text()


def test_larger_than_an_array_may_be(accounted_site):
    """More tasks than one array holds are several, each submitted once, and none runs twice."""
    accounted_site.declare(55)
    accounted_site.run()
    assert accounted_site.counted()["sbatch"] == 3


def test_hpc_is_the_cluster_that_is_described(site):
    """A cluster in the configuration is the one of this machine, not a second one beside it."""
    site.configure(partition="short")
    site.declare(2)
    site.run("hpc")
    assert "--partition=short" in next(line for line in site.calls() if line.startswith("sbatch "))


@pytest.mark.slow
def test_two_thousand_tasks_over_the_default_limit(site):
    """MaxArraySize 1001, as Slurm comes: two arrays; however many tasks, there is one query an interval."""
    site.declare(2000)
    began = time.monotonic()
    site.run("slurm")
    took = time.monotonic() - began
    counted = site.counted()
    assert counted["sbatch"] == math.ceil(2000 / 1001)
    assert counted["squeue"] <= took / 2 + 5, counted
    assert counted["sacct"] <= took / 10 + 3, counted


def test_packed_tasks_share_jobs(site):
    """With `tasks_per_job` one element runs several tasks after one another."""
    site.configure(tasks_per_job=10)
    site.declare(45)
    site.run("here")
    jobs = [line.split()[3] for line in (site.beside / "ledger").read_text().splitlines()]
    assert len(set(jobs)) == 5


@pytest.mark.parametrize("options", [{}, {"tasks_per_job": 1}])
def test_short_tasks_share_jobs_unless_they_shall_not(site, options):
    """As it comes, few jobs run all tasks that are over at once; with `tasks_per_job: 1` each has one of its own."""
    site.configure(**options)
    site.declare(60)
    site.run("here:4")
    jobs = {line.split()[3] for line in (site.beside / "ledger").read_text().splitlines()}
    assert len(jobs) == 60 if options else len(jobs) < 30


def test_queries_do_not_grow_with_tasks(site):
    """One squeue an interval for a hundred tasks, and none of another kind."""
    site.declare(100)
    site.behave("sleep 3")
    began = time.monotonic()
    site.run("slurm")
    took = time.monotonic() - began
    counted = site.counted()
    assert counted["sbatch"] == 1
    assert counted["squeue"] <= took / 2 + 5, (counted, took)
    assert counted["scontrol"] <= 3
    assert counted["sacct"] <= 3
    assert not [line for line in site.calls() if line.startswith("squeue ") and " -j" in line]


def test_slots_are_kept(site):
    """No more tasks run at once than the source has slots, over several submissions."""
    site.declare(9)
    site.behave('echo s >> "$SITE/live"; sleep 0.5; echo e >> "$SITE/live"')
    site.run("here:2")
    alive = most = 0
    for word in (site.beside / "live").read_text().split():
        alive += 1 if word == "s" else -1
        most = max(most, alive)
    assert most <= 2


def test_ends_are_told_truly(site):
    """Exit codes, signals and time limits are in the records, and in the counts."""
    site.declare(5)
    site.behave("case $n in 1) exit 3;; 2) kill -SEGV $$;; 3) sleep 60;; esac")
    code, said = site.hsm("run", "--sources", "here", "--sweep-id", "s", "--timeout", "2", "--keep-going")
    assert code == 1, said
    counts = site.facts()["counts"]
    assert (counts["completed"], counts["failed"], counts["timeout"]) == (2, 2, 1), counts
    records = [(site.layout.tasks / f"task_00{n + 1}" / "status.yaml").read_text() for n in range(5)]
    assert "exit_code: 3" in records[1]
    assert "signal: 11" in records[2]


def test_what_a_script_asks_for_is_what_slurm_gives(site):
    """Processors, memory, walltime and native directives arrive; the task sees them."""
    site.configure({"cpus": 2, "memory": "1G", "walltime": "3m", "native": ["--comment='why not'"]}, partition="short")
    site.declare(1)
    site.behave('scontrol -o show job "$SLURM_JOB_ID" > "$SITE/job"; nproc > "$SITE/cpus"')
    site.run("here")
    job = (site.beside / "job").read_text()
    for fact in ("Partition=short", "CPUs/Task=2", "MinMemoryNode=1G", "TimeLimit=00:03:00", "Comment=why not"):
        assert fact in job, job


def test_a_partition_that_is_not_there_is_said_at_once(site):
    """The tasks fail with Slurm's own sentence, and nothing is tried again and again."""
    site.configure(partition="nosuch")
    site.declare(3)
    code, said = site.hsm("run", "--sources", "here", "--sweep-id", "s")
    assert code != 0
    assert "invalid partition specified: nosuch" in said
    assert site.counted()["sbatch"] == 1


def test_nothing_of_an_outer_job_leaks(site, monkeypatch):
    """hsm may itself run in a job: its variables change neither scripts nor listings nor tasks."""
    for name, value in {
        "SLURM_ARRAY_TASK_ID": "7",
        "SLURM_RESTART_COUNT": "3",
        "SLURM_JOB_ID": "12345",
        "SLURM_OUTER": "1",
        "SBATCH_JOB_NAME": "other",
        "SBATCH_TIMELIMIT": "0:01",
        "SQUEUE_PARTITION": "short",
        "SQUEUE_FORMAT": "%i",
    }.items():
        monkeypatch.setenv(name, value)
    site.declare(2)
    site.behave('env > "$SITE/env.$n"')
    site.run()
    for n in range(2):
        env = (site.beside / f"env.{n}").read_text().splitlines()
        assert "SLURM_OUTER=1" not in env
        assert "SLURM_ARRAY_TASK_ID=7" not in env, "an element may run a task of another, but it is one of our job"


def test_a_project_in_an_odd_folder(site):
    """Blanks, quotes and a percent sign in the project's path, and all of it still runs."""
    odd = site.root.parent / "a b'c\"d%j $HOME;é"
    os.rename(site.root, odd)
    site.root = odd
    site.declare(3)
    site.run()


def test_setup_in_a_batch_shell(site):
    """Setup lines run in the job, `~` is the home folder, and tasks get the environment that they leave behind."""
    config = json.loads((site.root / "hsm_config.yaml").read_text())
    config["project"]["setup"] = ["export WHERE=~", 'export MODE="a b"']
    (site.root / "hsm_config.yaml").write_text(json.dumps(config))
    site.declare(2)
    site.behave('echo "$WHERE|$MODE" > "$SITE/setup.$n"')
    site.run("here")
    assert (site.beside / "setup.1").read_text() == f"{os.path.expanduser('~')}|a b\n"


def test_modules_in_a_batch_shell(site, tmp_path, monkeypatch):
    """The command `module` is found although no login shell has set it up; what it loads reaches the tasks."""
    (tmp_path / "modules" / "init").mkdir(parents=True)
    (tmp_path / "modules" / "init" / "bash").write_text('module() { [ "$2" != none ] && export LOADED="$2"; }\n')
    monkeypatch.setenv("MODULESHOME", str(tmp_path / "modules"))
    site.configure(modules=["cuda/12.2"])
    site.declare(2)
    site.behave('echo "$LOADED" > "$SITE/loaded.$n"')
    site.run("here")
    assert (site.beside / "loaded.1").read_text() == "cuda/12.2\n"


def test_a_module_that_is_not_there(site):
    """The job ends before its task begins: after another try the task is refused, with the job's last line."""
    site.configure(modules=["none"], lost_grace=1)
    site.declare(1)
    code, said = site.hsm("run", "--sources", "here", "--sweep-id", "s")
    assert code == 1, said
    assert site.ledger() == []
    assert "module: command not found" in said
    assert site.counted()["sbatch"] == 2


def test_setup_that_fails_is_said(site):
    """The tasks fail, and the person reads what the line said."""
    config = json.loads((site.root / "hsm_config.yaml").read_text())
    config["project"]["setup"] = ["echo no such module >&2; exit 4"]
    (site.root / "hsm_config.yaml").write_text(json.dumps(config))
    site.declare(2)
    code, said = site.hsm("run", "--sources", "here", "--sweep-id", "s")
    assert code != 0
    assert "no such module" in said
    assert site.ledger() == []
