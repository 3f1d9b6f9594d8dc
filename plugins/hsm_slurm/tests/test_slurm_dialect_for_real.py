"""The dialect against a real Slurm, without the source around it: are these really its words?"""

from __future__ import annotations

import dataclasses
import getpass
import os
import signal
import subprocess
import time

import pytest
from hsm_slurm.dialect import SlurmDialect
from hsm_slurm.plugin import hsm_discover_sources

from hsm_core.contract import Acceptance, DiscoverRequest, SourceSpec
from hsm_core.errors import NoSourceError
from hsm_core.toolkit.dialect import ENDED_STATES, Elements, JobRequest, JobState, Output, script_text

SLURM = SlurmDialect()
ME = getpass.getuser()
DEADLINE_S = 30.0


def run(argv):
    """A command, as the batch source runs it."""
    done = subprocess.run(list(argv), capture_output=True, text=True, check=False)
    return Output(done.returncode, done.stdout, done.stderr)


def discover():
    """What the package finds on this machine."""
    return hsm_discover_sources(DiscoverRequest("/"))


def until(condition):
    """Wait for what the cluster has to bring about."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, run(["squeue", "--states=all"])
        time.sleep(0.05)


def queue():
    """Element -> what the queue says of it, of all jobs by name."""
    listing = SLURM.read_queue(run(SLURM.queue(ME, [])))
    assert listing.complete, listing
    assert not listing.garbage
    return {(seen.name, index): seen for seen in listing.jobs for index in (seen.indices or (None,))}


def is_over(seen):
    """Nothing of it runs or will."""
    return seen.state in ENDED_STATES


@pytest.fixture
def bench(cluster, tmp_path):
    """Submits jobs of one line of shell."""

    class Bench:
        folder = tmp_path

        def job(self, name, shell, **changes):
            for folder in ("out", "scripts", "work"):
                (self.folder / folder).mkdir(exist_ok=True)
            return dataclasses.replace(
                JobRequest(
                    name=name,
                    command=("bash", "-c", shell),
                    folder=str(self.folder / "work"),
                    output=str(self.folder / "out"),
                ),
                **changes,
            )

        def submit(self, name, shell, **changes):
            job = self.job(name, shell, **changes)
            script = self.folder / "scripts" / f"{name}.sh"
            script.write_text(script_text(SLURM, job))
            found = SLURM.read_submission(run(SLURM.submit(job, str(script))))
            assert found.acceptance is Acceptance.ACCEPTED, found
            return found.job

    return Bench()


def test_an_array_from_the_script_to_its_end(bench):
    """Every element learns its index, prints to its own file, and is told of with its true state."""
    bench.submit("hsm-array", "test $0 -ne 1; echo $?:$0", size=3, at_once=2)
    until(lambda: sum(key[0] == "hsm-array" and seen.state is JobState.DONE for key, seen in queue().items()) == 3)
    until(lambda: len(list((bench.folder / "out").iterdir())) == 3)
    assert (bench.folder / "out" / "1.log").read_text() == "1:1\n"
    assert {key[1] for key in queue() if key[0] == "hsm-array"} == {0, 1, 2}


def test_folders_with_odd_names(cluster, bench):
    """Blanks, quotes, hashes, percent signs and dollars in the project's path: the script still runs there."""
    bench.folder = bench.folder / "a b'c\"d#e%A$HOME;x{y}é"
    bench.folder.mkdir()
    bench.submit("hsm-odd", "pwd", size=2)
    until(lambda: len(list((bench.folder / "out").iterdir())) == 2)
    until(lambda: (bench.folder / "out" / "0.log").read_text() == f"{bench.folder}/work\n")


def test_what_waits_is_held_or_waits(cluster, bench):
    """A dependency, a held job, and what can never run are told apart."""
    first = bench.submit("hsm-first", "sleep 60")
    bench.submit("hsm-after", "true", after=(first,))
    held = bench.submit("hsm-held", "true", size=50, native=("--hold",))
    bench.submit("hsm-never", "true", walltime_s=3600, options={"partition": "short"})
    until(lambda: queue()["hsm-first", None].state is JobState.RUNNING and queue()["hsm-never", None].reason)
    found = queue()
    assert found["hsm-after", None].state is JobState.WAITING
    assert found["hsm-never", None].state is JobState.HELD
    assert found["hsm-never", None].reason == "PartitionTimeLimit"
    assert all(found["hsm-held", index].state is JobState.HELD for index in range(50))
    cluster.run("scontrol", "suspend", first)
    assert queue()["hsm-first", None].state is JobState.SUSPENDED
    cluster.run("scontrol", "resume", first)
    cluster.run("scontrol", "release", held)
    until(lambda: all(queue()["hsm-held", index].state is JobState.DONE for index in range(50)))


def test_elements_are_cancelled_by_name_and_number(bench):
    """Those that run, those that wait, and no others; a cancelled element that had not begun leaves no trace."""
    job = bench.submit("hsm-cancel", "sleep 60", size=200, at_once=2)
    until(lambda: queue()["hsm-cancel", 1].state is JobState.RUNNING)
    gone = (0, *range(10, 200, 2))
    for argv in SLURM.cancel([Elements(job, gone)]):
        assert run(argv) == Output(0, "", "")
    until(lambda: queue()["hsm-cancel", 0].state is JobState.CANCELLED)
    found = queue()
    assert found["hsm-cancel", 1].state is JobState.RUNNING
    assert found["hsm-cancel", 11].state is JobState.WAITING
    assert ("hsm-cancel", 12) not in found or found["hsm-cancel", 12].state is JobState.CANCELLED
    (argv,) = SLURM.cancel([Elements(job)])
    run(argv)
    until(
        lambda: not [seen for seen in queue().values() if seen.name == "hsm-cancel" and seen.state is JobState.WAITING]
    )


def test_a_nudge_reaches_the_script_and_no_child(bench):
    """USR2 comes to the process that the script has become; its child lives on."""
    # A shell could not do it: it cannot trap what is ignored when it begins.
    program = """
import signal, subprocess, time
child = subprocess.Popen(["sleep", "60"])
signal.signal(signal.SIGUSR2, lambda *_: print("nudged", child.poll(), flush=True))
print("ready", flush=True)
time.sleep(60)
"""
    job = bench.submit("hsm-nudge", "", size=2, command=("python3", "-c", program))
    log = bench.folder / "out" / "1.log"
    until(lambda: log.exists() and "ready" in log.read_text())
    for argv in SLURM.nudge([Elements(job, (1,))]):
        assert run(argv) == Output(0, "", "")
    until(lambda: "nudged None" in log.read_text())
    assert "nudged" not in (bench.folder / "out" / "0.log").read_text()


def test_limits_of_a_real_cluster(cluster):
    """Read as they are: the default of Slurm here, and no accounting."""
    found = SLURM.read_limits([run(argv) for argv in SLURM.limits(ME, {})], ME, {})
    assert found.array_size == 1001
    assert found.queued is None
    assert found.problem == ""


def test_the_largest_array_is_accepted_and_one_more_is_not(bench):
    """The limit that was read is exactly the one that holds."""
    bench.submit("hsm-large", "true", size=1001, native=("--hold",))
    with pytest.raises(AssertionError, match="Invalid job array specification") as caught:
        bench.submit("hsm-larger", "true", size=1002, native=("--hold",))
    assert "REJECTED" in str(caught.value)


def test_accounting_that_is_off(cluster):
    """It says so."""
    argv = SLURM.accounting(ME, {"hsm-a": "1"}, time.time())
    assert argv is not None
    assert not SLURM.read_accounting(run(argv)).available


def test_discovery(cluster, monkeypatch):
    """A cluster counts when its controller answers; when it does not, the person hears so."""
    assert discover() == [SourceSpec("slurm", "slurm")]
    cluster.stop("slurmctld")
    try:
        with pytest.raises(NoSourceError, match="DOWN"):
            discover()
    finally:
        cluster.start_controller()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", os.devnull)
        assert discover() == []


def test_a_frozen_controller_is_noticed_in_time(cluster):
    """Discovery gives up within three seconds."""
    cluster.signal("slurmctld", signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(NoSourceError):
            discover()
        assert time.monotonic() - began < 3.0
    finally:
        cluster.signal("slurmctld", signal.SIGCONT)
