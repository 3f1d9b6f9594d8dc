"""What squeue and sacct print: every line is from a real cluster, or is one of those broken on purpose."""

from __future__ import annotations

import pytest
from hsm_slurm.dialect import SlurmDialect
from hsm_slurm.states import read_state
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.toolkit.dialect import ENDED_STATES, JobState, Output

SLURM = SlurmDialect()

QUEUE = """\
1_1|CANCELLED|None|n1|hsm-a-b|c
1_[2,5-6,8,10-20%3]|PENDING|JobArrayTaskLimit||hsm-a-b|c
4|PENDING|BeginTime||hsm-x
5|PENDING|PartitionConfig||hsm-x
2_[0-40:2]|PENDING|JobHeldUser||hsm-held
1_4|RUNNING|None|n1|hsm-a-b|c
1_0|SUSPENDED|None|n[1,3-4]|hsm-a-b|c
"""


def queue(stdout, stderr="", code=0):
    """What squeue said, as a listing."""
    return SLURM.read_queue(Output(code, stdout, stderr))


def accounting(stdout, stderr="", code=0):
    """What sacct said, as a listing."""
    return SLURM.read_accounting(Output(code, stdout, stderr))


def test_a_real_queue():
    """Elements that wait are one line, those that run have one each; a name may hold the separator."""
    listing = queue(QUEUE)
    assert listing.complete
    assert [(seen.job, len(seen.indices), seen.name, seen.state) for seen in listing.jobs] == [
        ("1", 1, "hsm-a-b|c", JobState.CANCELLED),
        ("1", 15, "hsm-a-b|c", JobState.WAITING),
        ("4", 0, "hsm-x", JobState.WAITING),
        ("5", 0, "hsm-x", JobState.HELD),
        ("2", 21, "hsm-held", JobState.HELD),
        ("1", 1, "hsm-a-b|c", JobState.RUNNING),
        ("1", 1, "hsm-a-b|c", JobState.SUSPENDED),
    ]
    assert listing.jobs[-1].nodes == "n[1,3-4]"
    assert listing.jobs[4].reason == "JobHeldUser"


def test_the_queue_counts_what_is_in_it():
    """Limits are on elements, of all jobs of the user, and what ended counts no more."""
    assert queue(QUEUE).queued == 15 + 1 + 1 + 21 + 1 + 1


def test_an_empty_queue_is_an_answer():
    """Nothing at all, and no complaint: there is nothing."""
    assert queue("") == queue("\n")
    assert queue("").complete
    assert queue("").queued == 0


@pytest.mark.parametrize(
    ("stderr", "code", "said"),
    [
        (
            "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
            1,
            "Unable to contact slurm controller (connect failure)",
        ),
        (
            "slurm_load_jobs error: Socket timed out on send/recv operation",
            1,
            "Socket timed out on send/recv operation",
        ),
        ("squeue: error: Invalid user: nosuchuser", 0, "Invalid user: nosuchuser"),
        ("", 1, "ended with code 1 and said nothing"),
        (
            "squeue: error: If munged is up, restart with --num-threads=10\n"
            'squeue: error: Munge encode failed: Failed to access "/m": No such file or directory\n'
            "squeue: error: slurm_send_node_msg: auth_g_create: REQUEST_JOB_INFO has authentication error\n"
            "slurm_load_jobs error: Protocol authentication error",
            1,
            'Munge encode failed: Failed to access "/m": No such file or directory; Protocol authentication error',
        ),
    ],
)
def test_a_failed_query_is_no_answer(stderr, code, said):
    """An error is never an empty queue; the person reads its sentence without the usual words around."""
    listing = queue("", stderr, code)
    assert not listing.complete
    assert listing.queued is None
    assert listing.problem == said


def test_banners_are_garbage_and_no_more():
    """Lines that cannot be jobs are listed; the rest of the answer counts."""
    listing = queue("*** Maintenance on Monday ***\n" + QUEUE + "have a | nice | day\n")
    assert len(listing.jobs) == 7
    assert listing.complete
    assert listing.garbage == ["*** Maintenance on Monday ***", "have a | nice | day"]


@pytest.mark.parametrize("torn", ["1_[3-20", "1_[3-2|PENDING|x||n", "7|RUN", "12+0|RUNNING|None|n1|hsm-a"])
def test_a_torn_line_may_have_been_ours(torn):
    """When a line that begins like a job cannot be read, absence means nothing."""
    listing = queue(QUEUE + torn)
    assert listing.garbage == [torn]
    assert not listing.complete


def test_real_accounts():
    """States as sacct writes them, with the exit code where it says something."""
    listing = accounting(
        "1_0|COMPLETED|0:0|n1|hsm-a\n1_1|CANCELLED by 1000|0:15|n1|hsm-a\n1_2|FAILED|3:0|n1|hsm-a\n"
        "2|OUT_OF_MEMORY|0:125|n2|hsm-b\n3|FAILED|0:53|n2|hsm-c\n4_[0-3]|PENDING|0:0|None assigned|hsm-d\n"
    )
    assert [(seen.state, seen.reason) for seen in listing.jobs] == [
        (JobState.DONE, ""),
        (JobState.CANCELLED, "exit code 0:15"),
        (JobState.DONE, "exit code 3:0"),
        (JobState.OUT_OF_MEMORY, "exit code 0:125"),
        (JobState.NODE_FAILED, "exit code 0:53"),
        (JobState.WAITING, ""),
    ]
    assert listing.jobs[1].word == "CANCELLED by 1000"
    assert listing.jobs[5].nodes == ""


def test_accounting_may_be_absent():
    """A cluster without it says so, which is normal; a broken one is a problem."""
    off = accounting("", "Slurm accounting storage is disabled\n", 1)
    assert (off.available, off.complete, off.problem) == (False, False, "")
    broken = accounting("", "sacct: error: Problem talking to the database: Connection refused\n", 1)
    assert (broken.available, broken.complete) == (True, False)
    assert broken.problem == "Problem talking to the database: Connection refused"


def test_accounts_are_asked_for_with_a_beginning():
    """The window begins a day before the submission, because the zone of the cluster's clock is not known here."""
    argv = SLURM.accounting("me", {"hsm-a": "1", "hsm-b": ""}, 1_700_000_000.0)
    assert "--starttime=2023-11-13T22:13:20" in argv
    assert "--name=hsm-a,hsm-b" in argv
    assert "--user=me" in argv


def test_a_launch_that_failed_is_no_end_of_the_script():
    """FAILED may mean that the script never began: squeue and sacct say it in different words."""
    assert read_state("FAILED", "NonZeroExitCode") is JobState.DONE
    assert read_state("FAILED", "JobLaunchFailure") is JobState.NODE_FAILED


@given(st.text())
def test_unknown_words_are_never_final(word):
    """A state that is not in the table is UNKNOWN, not an end."""
    state = read_state(word)
    assert state is JobState.UNKNOWN or word.split(" ")[0].rstrip("+").isupper()
    assert read_state("REVOKED") not in ENDED_STATES
    assert read_state("UNHEARD_OF") is JobState.UNKNOWN


@given(st.text(), st.text(), st.integers(-15, 255))
def test_nothing_that_is_printed_raises(stdout, stderr, code):
    """Whatever commands print, reading it brings values."""
    output = Output(code, stdout, stderr)
    SLURM.read_queue(output)
    SLURM.read_accounting(output)
    SLURM.read_submission(output)
    SLURM.read_limits([output, output, output], "me", {})
    SLURM.read_ping(output)


def shown(job="7", array="", name="t.0", user="root", state="RUNNING"):
    """A line of `scontrol -o show job`, cut where nothing is read any more."""
    return (
        f"JobId={job} {array}JobName={name} UserId={user}(0) GroupId=root(0) MCS_label=N/A Priority=4294901759 Nice=0 "
        f"Account=(null) QOS=(null) JobState={state} Reason=None Dependency=(null) Requeue=0 Restarts=0 BatchFlag=1 "
        "Partition=debug AllocNode:Sid=localhost:4325 ReqNodeList=(null) ExcNodeList=n9 NodeList=n1 BatchHost=n1 "
        "NumNodes=1 Command=/home/user/w/a.sh JobName=fake UserId=fake(1) WorkDir=/home/user/w Power= \n"
    )


def look_up(stdout, stderr="", code=0):
    """What scontrol said of one job, as a listing."""
    return SLURM.read_look_up(Output(code, stdout, stderr), "root")


def test_what_scontrol_shows_of_one_job():
    """A plain job, or the elements of an array, those that have begun singly; each with its own name."""
    listing = look_up(shown())
    assert listing.complete
    assert listing.jobs == [("7", (), "t.0", JobState.RUNNING, "RUNNING", "", "n1")]
    listing = look_up(
        shown(array="ArrayJobId=7 ArrayTaskId=2,5-6%3 ArrayTaskThrottle=3 ", state="PENDING")
        + shown("8", array="ArrayJobId=7 ArrayTaskId=4 ", state="NODE_FAIL")
    )
    assert [(seen.job, seen.indices, seen.state) for seen in listing.jobs] == [
        ("7", (2, 5, 6), JobState.WAITING),
        ("7", (4,), JobState.NODE_FAILED),
    ]


def test_only_a_plain_no_says_that_a_job_is_gone():
    """No such job: nothing, and complete. Anything else that shows no job is no answer."""
    assert look_up("", "slurm_load_jobs error: Invalid job id specified\n", 1) == ((), True, True, None, (), "")
    for stdout, stderr, code in [
        ("", "", 0),
        ("", "", 1),
        ("No jobs in the system\n", "", 0),
        ("", "scontrol_print_job error: Invalid job id specified\n", 1),
        ("", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", 1),
        (shown()[:100], "", 0),
        (shown() + "JobId=9 Job", "", 0),
        (shown(array="ArrayJobId=7 ArrayTaskId=2,5-... "), "", 0),
    ]:
        listing = look_up(stdout, stderr, code)
        assert not listing.complete, (stdout, stderr)
        assert listing.problem


def test_another_persons_job_is_not_shown():
    """Its id was ours, once: that it has the id now says that ours is gone."""
    assert look_up(shown(user="mallory")) == ([], True, True, None, (), "")


@given(st.text(), st.text(), st.integers(0, 255))
def test_no_answer_of_scontrol_is_a_surprise(stdout, stderr, code):
    """Whatever it prints, it is read without an exception, and never as a job of ours."""
    assert not look_up(stdout, stderr, code).jobs
