"""What became of a submission, and what PBS allows: only what is certain is said to be."""

from __future__ import annotations

import pytest
from hsm_pbs.dialect import PbsDialect
from hsm_pbs.flavours import TORQUE

from hsm_core.contract import Acceptance
from hsm_core.toolkit.dialect import Limits, Output

PBS = PbsDialect()
SERVER = """\
Server: pbshost
    server_state = Active
    default_queue = workq
    max_queued = [g:PBS_GENERIC=300]
    max_queued = [o:PBS_ALL=2000]
    max_queued = [u:PBS_GENERIC=100]
    max_array_size = 10000
    pbs_version = 23.06.06

"""
QUEUES = """\
Queue: workq
    queue_type = Execution
    state_count = Transit:0 Queued:0 Held:0 Waiting:0 Running:0 Exiting:0 Begun
\t:0
    enabled = True

Queue: small
    queue_type = Execution
    max_queued = [u:PBS_GENERIC=5]
    max_queued = [u:me=40]
    max_array_size = 50

"""


def verdict(stderr, code=1, stdout=""):
    """What the dialect makes of it."""
    return PBS.read_submission(Output(code, stdout, stderr))


@pytest.mark.parametrize("stdout", ["5.h\n", "6[].h\n", "*** welcome ***\n5.h\n", "5.h\nhave a nice day\n", "12\n"])
def test_accepted(stdout):
    """The id stands on a line of its own, whatever a site prints around it."""
    found = verdict("", 0, stdout)
    assert found.acceptance is Acceptance.ACCEPTED
    assert found.job in stdout


@pytest.mark.parametrize("stdout", ["", "Your job was submitted\n", "5.h\n6.h\n", "5.h extra\n"])
def test_success_without_an_id_is_in_doubt(stdout):
    """An id that is missing, or two of them: the job has to be looked for."""
    assert verdict("", 0, stdout).acceptance is Acceptance.INDETERMINATE


@pytest.mark.parametrize(
    "stderr",
    ["", "qsub: Communication failure.", "qsub: End of File", "qsub: something that nobody has heard of", "Traceback"],
)
def test_what_may_have_been_submitted_is_in_doubt(stderr):
    """A connection that broke has perhaps carried the job before; unknown words promise nothing."""
    assert verdict(stderr).acceptance is Acceptance.INDETERMINATE


@pytest.mark.parametrize(
    ("stderr", "code", "acceptance"),
    [
        ("qsub: would exceed queue generic's per-user limit", 38, Acceptance.LIMIT),
        ("qsub: would exceed complex's per-user limit", 38, Acceptance.LIMIT),
        ("qsub: Maximum number of jobs for user root already in queue lim", 38, Acceptance.LIMIT),
        ("qsub: submit error (Maximum number of jobs already in queue for user)", 1, Acceptance.LIMIT),
        ("Connection refused\nqsub: cannot connect to server h (errno=15010)", 162, Acceptance.RETRY),
        ("Unknown Host.\nqsub: cannot connect to server h (errno=15008)", 160, Acceptance.RETRY),
        ("qsub: Queue is not enabled", 173, Acceptance.RETRY),
        ("sh: 1: exec: qsub: not found", 127, Acceptance.RETRY),
        ("qsub: Unknown queue", 170, Acceptance.REJECTED),
        ("qsub: Unauthorized Request ", 159, Acceptance.REJECTED),
        ("qsub: Unknown resource Resource_List.nosuchres", 187, Acceptance.REJECTED),
        ("qsub: Illegal attribute or resource value select.mem", 166, Acceptance.REJECTED),
        ("qsub: Job violates queue and/or server resource limits", 188, Acceptance.REJECTED),
        ("qsub: Array job exceeds server or queue size limit", 3, Acceptance.REJECTED),
        ("qsub: illegal -J value\nusage: qsub [-a date_time]", 2, Acceptance.REJECTED),
        ("qsub: invalid option -- 'Z'\nqsub: directive error: -Z foo ", 1, Acceptance.REJECTED),
        ("qsub: Job name is too long ", 2, Acceptance.REJECTED),
    ],
)
def test_what_is_certain(stderr, code, acceptance):
    """Limits are waited for, what is out of order is tried again, and what can never be is said at once."""
    found = verdict(stderr, code)
    assert found.acceptance is acceptance
    assert found.reason
    assert "usage" not in found.reason


def test_orders_for_what_is_over():
    """qdel fails for it, and nothing has to be done; other complaints count."""
    over = (
        "qdel: Job has finished 5.h\nqdel: Request invalid for finished array subjob 6[8].h\nqdel: Unknown Job Id 4.h\n"
    )
    assert PBS.read_order(Output(153, "", over)) == ""
    assert "Unauthorized" in PBS.read_order(Output(159, "", over + "qdel: Unauthorized Request  7.h\n"))
    assert "cannot connect" in PBS.read_order(Output(162, "", "Connection refused\nqdel: cannot connect to server h\n"))
    assert PBS.read_order(Output(1, "", "")) != ""


def limits(server=SERVER, queues=QUEUES, dialect=PBS, **options):
    """What the dialect reads from these answers."""
    return dialect.read_limits([Output(0, server, ""), Output(0, queues, "")], "me", options)


def test_limits_of_server_and_queue():
    """The smallest that counts for this user: one by name wins over that for anybody, of the same place."""
    assert limits() == Limits(array_size=10_000, queued=100)
    assert limits(queue="small") == Limits(array_size=50, queued=40)
    assert limits(queue="small@other") == Limits(array_size=50, queued=40)


def test_without_limits():
    """As many jobs as wanted; without a word on arrays, single jobs."""
    assert limits("Server: h\n    server_state = Active\n", "") == Limits(array_size=1)


def test_limits_of_torque():
    """Plain numbers."""
    server = "Server: h\n    max_job_array_size = 300\n    max_user_queuable = 70\n    default_queue = batch\n"
    queues = "Queue: batch\n    max_user_queuable = 60\n"
    assert limits(server, queues, PbsDialect(TORQUE)) == Limits(array_size=300, queued=60)


def test_limits_that_cannot_be_read():
    """Nothing is submitted then, and the person hears why."""
    refused = Output(255, "", "Connection refused\nqstat: cannot connect to server h (errno=15010)\n")
    found = PBS.read_limits([refused, refused], "me", {})
    assert "cannot connect" in found.problem
    assert PBS.read_limits([], "me", {}).problem
    assert PBS.read_limits([Output(0, "", "")], "me", {}).problem
