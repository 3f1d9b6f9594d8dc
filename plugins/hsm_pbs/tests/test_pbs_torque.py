"""Torque: an emulated one, as its source says it behaves; and Slurm's imitation of it, as far as that goes."""

from __future__ import annotations

import dataclasses
import getpass
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hsm_pbs.dialect import PbsDialect
from hsm_pbs.flavours import TORQUE
from hsm_pbs.plugin import hsm_discover_sources
from hsm_slurm.testing.cluster import Cluster, missing

from hsm_core.contract import Acceptance, DiscoverRequest
from hsm_core.testing.batch import StatesOfJobs, SweepsOnACluster
from hsm_core.toolkit.dialect import Elements, JobRequest, Output, script_text


@pytest.fixture
def site(torque_site):
    """On the emulated Torque."""
    return torque_site


@pytest.mark.parametrize("word", ["hpc", "KIND:here:16"])
def test_the_guides_sweep(site, word):
    """Found as a cluster, named as one."""
    SweepsOnACluster().test_the_guides_sweep(site, word)


@pytest.mark.parametrize(
    "name",
    [
        "test_a_running_task_that_somebody_cancels",
        "test_what_waits_and_is_cancelled",
        "test_hold_and_release",
        "test_an_administrator_cannot_make_it_run_twice",
        "test_the_walltime",
    ],
)
def test_what_others_do(site, name):
    """Each of these in Torque's words."""
    getattr(StatesOfJobs(), name)(site)


# --- slurm-wlm-torque


DIALECT = PbsDialect(TORQUE)


@pytest.fixture(scope="module")
def imitation(tmp_path_factory):
    """A real Slurm, with the commands that its package slurm-wlm-torque has: a function that runs a line of shell."""
    program = shutil.which("qsub", path=os.environ.get("HSM_SLURM_TORQUE") or os.environ["PATH"])
    if program is None or b"sbatch" not in Path(program).read_bytes():
        pytest.skip("NOT TESTED ON SLURM'S IMITATION OF TORQUE: slurm-wlm-torque is not installed")
    if missing():
        pytest.skip(f"NOT TESTED ON SLURM'S IMITATION OF TORQUE: {missing()}")
    with Cluster(nodes=2) as cluster:
        env = {**os.environ, **cluster.env}
        env["PATH"] = f"{Path(program).parent}{os.pathsep}{env['PATH']}"
        here = tmp_path_factory.mktemp("imitation")  # it leaves its output wherever it is called

        def run(argv):
            done = subprocess.run(list(argv), env=env, cwd=here, capture_output=True, text=True, check=False)
            return Output(done.returncode, done.stdout, done.stderr)

        run.env = env
        yield run


def test_slurms_imitation_is_no_pbs(imitation, monkeypatch):
    """It does not know `--version`: `hpc` finds one cluster there, not two."""
    assert DIALECT.for_version(imitation(DIALECT.version())) is None
    for name, value in imitation.env.items():
        monkeypatch.setenv(name, value)
    assert hsm_discover_sources(DiscoverRequest("/")) == []


def test_torques_words_on_slurms_imitation(imitation, tmp_path):
    """Scripts and orders are understood: name, array, throttle, resources, walltime, an id, its end."""
    (tmp_path / "out").mkdir()
    job = JobRequest(
        name="hsm-t-1.0",
        command=("bash", "-c", 'echo "$SLURM_ARRAY_TASK_ID $PWD $(umask)"; sleep 30'),
        folder=str(tmp_path),
        output=str(tmp_path / "out"),
        size=4,
        at_once=2,
        cpus=2,
        walltime_s=60,
    )
    text = script_text(DIALECT, job).replace("PBS_ARRAYID", "SLURM_ARRAY_TASK_ID")  # without its spank plugin
    (tmp_path / "job.sh").write_text(text)
    submission = DIALECT.read_submission(imitation(DIALECT.submit(job, str(tmp_path / "job.sh"))))
    assert submission.acceptance is Acceptance.ACCEPTED, submission
    shown = imitation(["scontrol", "-o", "show", "job", submission.job]).stdout
    for fact in ("JobName=hsm-t-1.0", "ArrayTaskThrottle=2", "TimeLimit=00:01:00", "NumCPUs=2"):
        assert fact in shown, shown
    deadline = time.monotonic() + 60.0
    while not (tmp_path / "out" / "1.log").exists():
        assert time.monotonic() < deadline, imitation(["squeue"]).stdout
        time.sleep(0.1)
    (command,) = DIALECT.cancel([Elements(submission.job)])
    assert DIALECT.read_order(imitation(command)) == ""
    while imitation(["squeue", "-h"]).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    single = dataclasses.replace(job, size=1, at_once=None, name="hsm-t-2.0", command=("true",))
    (tmp_path / "one.sh").write_text(script_text(DIALECT, single))
    assert DIALECT.read_submission(imitation(DIALECT.submit(single, str(tmp_path / "one.sh")))).job


def test_what_slurms_imitation_lacks(imitation):
    """Elements in listings, single elements of an array, the server: no source can stand on it."""
    assert imitation(DIALECT.queue(getpass.getuser(), [])).returncode == 2
    assert imitation(DIALECT.ping()).returncode == 2
    assert imitation(["qdel", "-t", "1", "1[]"]).returncode == 2
    assert not DIALECT.read_queue(imitation(DIALECT.queue(getpass.getuser(), []))).complete
