"""What became of a submission: only what is certain is said to be."""

from __future__ import annotations

import pytest
from hsm_slurm.dialect import SlurmDialect

from hsm_core.contract import Acceptance
from hsm_core.toolkit.dialect import Output

FAILED = "sbatch: error: Batch job submission failed: "


def verdict(stderr, code=1, stdout=""):
    """What the dialect makes of it."""
    return SlurmDialect().read_submission(Output(code, stdout, stderr))


@pytest.mark.parametrize(
    "stdout", ["12\n", "12;cluster\n", "*** welcome ***\n12\n", "12\nhave a nice day, user 7\n", "  12 \r\n"]
)
def test_accepted(stdout):
    """The id stands on a line of its own, whatever a site prints around it."""
    assert verdict("", 0, stdout) == (Acceptance.ACCEPTED, "12", "")


@pytest.mark.parametrize("stdout", ["", "Submitted batch job\n", "12\n13\n", "12abc\n"])
def test_success_without_an_id_is_in_doubt(stdout):
    """An id that is missing, or two of them: the job has to be looked for."""
    assert verdict("", 0, stdout).acceptance is Acceptance.INDETERMINATE


@pytest.mark.parametrize(
    "stderr",
    [
        "",
        FAILED + "Socket timed out on send/recv operation",
        FAILED + "Unable to contact slurm controller (connect failure)",
        FAILED + "Zero Bytes were transmitted or received",
        FAILED + "Protocol authentication error",
        FAILED + "Unspecified error",
        FAILED + "Something that nobody has heard of",
        "Traceback (most recent call last):",
    ],
)
def test_what_may_have_been_submitted_is_in_doubt(stderr):
    """A connection that broke has perhaps carried the job before; unknown words promise nothing."""
    assert verdict(stderr).acceptance is Acceptance.INDETERMINATE


def test_an_id_that_comes_with_an_error_is_in_doubt():
    """Accepted, and then failed: the job exists, and is found by its name."""
    assert verdict(FAILED + "Socket timed out", 1, "12\n").acceptance is Acceptance.INDETERMINATE


@pytest.mark.parametrize(
    "stderr",
    [
        "sbatch: error: AssocMaxSubmitJobLimit\n"
        + FAILED
        + "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "sbatch: error: QOSMaxSubmitJobPerUserLimit\n" + FAILED + "Job violates accounting/QOS policy (…)",
        FAILED + "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n"
        + FAILED
        + "Resource temporarily unavailable",
    ],
)
def test_limits_are_waited_for(stderr):
    """Jobs end and make room."""
    assert verdict(stderr).acceptance is Acceptance.LIMIT


@pytest.mark.parametrize(
    ("stderr", "code"),
    [
        ("sbatch: error: invalid partition specified: nosuch\n" + FAILED + "Invalid partition name specified", 1),
        (FAILED + "Invalid account or account/partition combination specified", 1),
        (FAILED + "Invalid qos specification", 1),
        ("sbatch: error: Invalid --time specification", 255),
        (FAILED + "Requested time limit is invalid (missing or exceeds some limit)", 1),
        (FAILED + "More processors requested than permitted", 1),
        (
            "sbatch: error: Memory specification can not be satisfied\n"
            + FAILED
            + "Requested node configuration is not available",
            1,
        ),
        (FAILED + "Invalid node name specified", 1),
        (FAILED + "Invalid job array specification", 1),
        (FAILED + "Pathname of a file, directory or other parameter too long", 1),
        ("sbatch: error: Invalid generic resource (gres) specification", 1),
        (FAILED + "Invalid feature specification", 1),
        ("sbatch: error: Unable to open file nosuch.sh", 1),
        ("sbatch: error: Invalid directive found in batch script: not", 1),
        ("sbatch: unrecognized option '--nosuchopt'\nTry \"sbatch --help\" for more information", 255),
        (FAILED + "Job dependency problem", 1),
        (
            "sbatch: error: AssocMaxWallDurationPerJobLimit\n" + FAILED + "Job violates accounting/QOS policy (…)",
            1,
        ),
    ],
)
def test_what_can_never_run_is_rejected_with_its_words(stderr, code):
    """The reason is Slurm's sentence, on one line, without the name of the command."""
    found = verdict(stderr, code)
    assert found.acceptance is Acceptance.REJECTED
    assert found.reason
    assert "\n" not in found.reason
    assert "sbatch: error" not in found.reason


def test_without_munge_nothing_was_sent():
    """The message could not be made: it is tried again, and nothing has to be looked for."""
    text = (
        'sbatch: error: Munge encode failed: Failed to access "/m/s": No such file or directory\n'
        "sbatch: error: slurm_send_node_msg: auth_g_create: REQUEST_SUBMIT_BATCH_JOB has authentication error\n"
        + FAILED
        + "Protocol authentication error"
    )
    assert verdict(text).acceptance is Acceptance.RETRY


def test_one_controller_that_is_up_is_enough():
    """A backup that is down is no trouble; without any, the person reads Slurm's words without its stars."""
    both = "Slurmctld(primary) at a is DOWN\nSlurmctld(backup) at b is UP\n"
    assert SlurmDialect().read_ping(Output(0, both, "")) == ""
    stars = "Slurmctld(primary) at a is DOWN\n*****\n** RESTORE SLURMCTLD DAEMON TO SERVICE **\n*****\n"
    assert SlurmDialect().read_ping(Output(1, stars, "")) == "Slurmctld(primary) at a is DOWN"
    assert SlurmDialect().read_ping(Output(-1, "", "did not end within 40 s")) == "did not end within 40 s"
