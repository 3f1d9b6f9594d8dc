"""Job scripts: what is asked for is in them, and nothing else gets in."""

from __future__ import annotations

import dataclasses

import pytest
from hsm_slurm.dialect import SlurmDialect
from hsm_slurm.script import show_time

from hsm_core.errors import ConfigError
from hsm_core.toolkit.dialect import Elements, JobRequest, script_text

SLURM = SlurmDialect()
JOB = JobRequest(name="hsm-s-1", command=("python3", "run me.py"), folder="/p", output="/p/out")


def directives(**changes):
    """The directives of a job, without their prefix."""
    lines = SLURM.directives(dataclasses.replace(JOB, **changes))
    assert all(line.startswith("#SBATCH ") for line in lines)
    return [line[len("#SBATCH ") :] for line in lines]


def test_a_plain_job():
    """What every script says, and no more."""
    assert directives() == [
        "--job-name=hsm-s-1",
        "--chdir=/p",
        "--output=/p/out/0.log",
        "--open-mode=append",
        "--nodes=1",
        "--ntasks=1",
        "--no-requeue",
    ]


def test_an_array():
    """Elements from 0, not more at once than allowed, each with output of its own."""
    found = directives(size=1001, at_once=16)
    assert "--array=0-1000%16" in found
    assert "--output=/p/out/%a.log" in found
    assert "--array=0-1" in directives(size=2)


def test_resources():
    """Every resource has its directive; the name of a GPU keeps its case."""
    found = directives(
        cpus=4,
        memory_mb=2048,
        gpus=2,
        gpu_type="A100",
        walltime_s=90_061.5,
        warning_s=59.5,
        exclude=("n1", "n2"),
        after=("7", "8"),
        options={"partition": "gpu,long", "account": "lab", "qos": "high", "constraint": "[a&b]|c*2"},
        native=("--hint=nomultithread", "--comment='a b'"),
    )
    for line in (
        "--cpus-per-task=4",
        "--mem=2048M",
        "--gres=gpu:A100:2",
        "--time=1-01:01:02",
        "--signal=B:USR1@60",
        "--exclude=n1,n2",
        "--dependency=afterany:7:8",
        "--partition=gpu,long",
        "--account=lab",
        "--qos=high",
        "--constraint=[a&b]|c*2",
        "--hint=nomultithread",
        "--comment='a b'",
    ):
        assert line in found


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, "00:00:01"), (60, "00:01:00"), (3600 * 24, "1-00:00:00"), (3599.5, "01:00:00")]
)
def test_walltimes_are_rounded_up(seconds, shown):
    """Never less than what was asked for."""
    assert show_time(seconds) == shown


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0", "a\x1b[0m", "a\u2028b", "\x7f"])
@pytest.mark.parametrize("where", ["native", "partition", "gpu_type", "exclude"])
def test_control_characters_are_refused(value, where):
    """A line break would begin another line of the script: everything with one is refused by name."""
    changes = {
        "native": {"native": (value,)},
        "partition": {"options": {"partition": value}},
        "gpu_type": {"gpus": 1, "gpu_type": value},
        "exclude": {"exclude": (value,)},
    }[where]
    with pytest.raises(ConfigError, match="control character"):
        directives(**changes)


def test_odd_folders_are_quoted():
    """Blanks, quotes, hashes and percent signs are part of the name; a backslash Slurm cannot do."""
    assert '--chdir="/a b#c\\"d"' in directives(folder='/a b#c"d')
    assert "--output=/100%%/%a.log" in directives(output="/100%", size=2)
    with pytest.raises(ConfigError, match="backslash"):
        directives(output="/a\\b")


def test_the_command_line_says_what_the_environment_could_overrule():
    """SBATCH_PARTITION of a person's profile does not win over the partition that a sweep asks for."""
    job = dataclasses.replace(JOB, options={"partition": "gpu"}, native=("--account=lab", "--hint=compute_bound"))
    assert SLURM.submit(job, "/p/s.sh") == [
        "sbatch",
        "--parsable",
        "--job-name=hsm-s-1",
        "--partition=gpu",
        "--account=lab",
        "/p/s.sh",
    ]


def test_what_an_outer_job_was_told_does_not_leak():
    """The variables of a job that hsm itself runs in stay behind; the choice of the cluster does not."""
    leaking = ("SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "SQUEUE_PARTITION", "SBATCH_ARRAY_INX", "SBATCH_TIMELIMIT")
    assert all(SLURM.leaks(name) for name in leaking)
    assert not any(SLURM.leaks(name) for name in ("SLURM_CONF", "SLURM_CLUSTERS", "SBATCH_ACCOUNT", "PATH", "HOME"))


def test_the_whole_script():
    """It is readable, and begins and ends as Slurm and the runner want it."""
    text = script_text(SLURM, dataclasses.replace(JOB, size=3, modules=("cuda/12",), setup=("echo hello",)))
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert lines[1] == "#SBATCH --job-name=hsm-s-1"
    assert "echo hello" in lines
    assert lines[-1].startswith("exec python3 'run me.py' \"${SLURM_ARRAY_TASK_ID:-0}\"")


def test_a_plain_job_does_not_look_at_the_index_of_another():
    """A plain job that is submitted from inside an array's element is number 0 all the same."""
    assert "SLURM_ARRAY_TASK_ID" not in script_text(SLURM, JOB)


def test_cancel_names_elements_in_few_words():
    """Whole jobs, and elements of arrays as ranges."""
    assert SLURM.cancel([Elements("7"), Elements("8", (0, 1, 2, 5))]) == [["scancel", "7", "8_[0-2,5]"]]
    assert SLURM.cancel([]) == []


def test_command_lines_stay_short():
    """Thousands of scattered elements are ended by a few commands, each of a length that every system takes."""
    commands = SLURM.cancel([Elements("123456", tuple(range(0, 40_000, 2)))])
    assert 1 < len(commands) < 12
    assert all(len(" ".join(argv)) < 100_000 for argv in commands)


def test_nudge_reaches_the_script_alone():
    """USR2 goes to the batch script, not to its children."""
    assert SLURM.nudge([Elements("8", (3,))]) == [["scancel", "--batch", "--signal=USR2", "8_[3]"]]
