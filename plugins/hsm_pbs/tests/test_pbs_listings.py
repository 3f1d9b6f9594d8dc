"""What qstat prints of jobs: as a real PBS does, and broken in every way."""

from __future__ import annotations

import json

import pytest
from hsm_pbs.dialect import PbsDialect
from hsm_pbs.flavours import OPENPBS, TORQUE
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.contract import Acceptance
from hsm_core.toolkit.dialect import ENDED_STATES, JobState, Output

PBS = PbsDialect(OPENPBS)
TQ = PbsDialect(TORQUE)


def job(state="R", **more):
    """Attributes as JSON has them."""
    return {"Job_Name": "hsm-a-1.0", "Job_Owner": "me@pbshost", "job_state": state, **more}


def element(state, index, **more):
    """An element that has a record of its own."""
    return job(state, array_id="6[].h", array_index=index, **more)


def answer(jobs, code=0, stderr=""):
    """An answer in JSON."""
    head = {"timestamp": 1795431380, "pbs_version": "23.06.06", "pbs_server": "h"}
    return Output(code, json.dumps({**head, **({"Jobs": jobs} if jobs else {})}, indent="\t"), stderr)


def text(jobs):
    """The same jobs as text."""
    lines = []
    for id, attributes in jobs.items():
        lines += [f"Job Id: {id}", *(f"    {name} = {value}" for name, value in attributes.items()), ""]
    return Output(0, "\n".join([*lines, ""]), "")


ARRAY = {
    "6[].h": job("B", array="True", Exit_status=1, comment="Job Array Began at Mon Nov 23 at 10:57"),
    "6[0].h": element("R", 0, exec_host="n1/0*4+n2/1"),
    "6[1].h": element("X", 1, Exit_status=1, substate=93),
    "6[2].h": element("X", 2, Exit_status=-29, substate=93),
    "6[3].h": job("X", Exit_status=0, substate=70, comment="Subjob finished"),
    "6[4].h": job("Q", Exit_status=0),
}


@pytest.mark.parametrize("form", [answer, text], ids=["json", "text"])
def test_an_array_that_lives(form):
    """Each element by its own record; one that is over without a record is not there; of the whole nothing is said."""
    listing = PBS.read_queue(form(ARRAY))
    assert listing.complete
    assert [(seen.job, seen.indices, seen.state) for seen in listing.jobs] == [
        ("6[].h", (0,), JobState.RUNNING),
        ("6[].h", (1,), JobState.DONE),
        ("6[].h", (2,), JobState.TIMEOUT),
        ("6[].h", (4,), JobState.WAITING),
    ]
    assert listing.queued == 2
    assert listing.jobs[0].nodes == "n1,n2"


def test_the_status_of_another_is_not_believed():
    """An element without a record shows its array's exit status; in the history that means that it never ran."""
    listing = PBS.read_accounting(answer({**ARRAY, "6[].h": job("F", Exit_status=1, substate=91)}))
    (deleted,) = [seen for seen in listing.jobs if seen.indices == (3,)]
    assert (deleted.state, deleted.word, deleted.reason) == (JobState.CANCELLED, "deleted", "")


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        (job("F", Exit_status=0, substate=92), JobState.DONE),
        (job("F", Exit_status=3, substate=93), JobState.DONE),
        (job("F", Exit_status=137, substate=93), JobState.DONE),
        (job("F", Exit_status=271, substate=91), JobState.CANCELLED),
        (job("F", Exit_status=265, substate=91), JobState.CANCELLED),
        (job("F", Exit_status=271, substate=93), JobState.DONE),
        (job("F", substate=91), JobState.CANCELLED),
        (job("F", substate=92), JobState.DONE),
        (job("F", Exit_status=-29, substate=93), JobState.TIMEOUT),
        (job("F", Exit_status=-28, substate=93), JobState.TIMEOUT),
        (job("F", Exit_status=-27, substate=93), JobState.OUT_OF_MEMORY),
        (job("F", Exit_status=-26, substate=93), JobState.OUT_OF_MEMORY),
        (job("F", Exit_status=-2, substate=93), JobState.NODE_FAILED),
        (job("F", Exit_status="nonsense", substate=93), JobState.DONE),
    ],
)
def test_ends(attributes, state):
    """Exit codes and substates, negative ones and those of signals."""
    (seen,) = PBS.read_accounting(answer({"5.h": attributes})).jobs
    assert seen.state is state


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        (job("Q"), JobState.WAITING),
        (job("Q", comment="Can Never Run: Insufficient amount of resource: ncpus"), JobState.HELD),
        (job("T"), JobState.WAITING),
        (job("W", substate=30), JobState.WAITING),
        (job("H", Hold_Types="u", substate=20), JobState.HELD),
        (job("H", Hold_Types="s", substate=22, depend="afterany:1.h@h"), JobState.WAITING),
        (job("H", Hold_Types="us", substate=22, depend="afterany:1.h@h"), JobState.HELD),
        (job("R", substate=42), JobState.RUNNING),
        (job("E", Exit_status=0, substate=51), JobState.ENDING),
        (job("S", substate=43), JobState.SUSPENDED),
        (job("U"), JobState.SUSPENDED),
        (job("M"), JobState.UNKNOWN),
        (job("Z"), JobState.UNKNOWN),
        ({"Job_Name": "hsm-a-1.0"}, JobState.UNKNOWN),
    ],
)
def test_what_lives(attributes, state):
    """Every letter; a hold that ends by itself is none, and a request that can never be met is one."""
    (seen,) = PBS.read_queue(answer({"5.h": attributes})).jobs
    assert seen.state is state


def test_elements_of_a_held_array_are_held():
    """They are Q, whatever became of the array."""
    array = {"6[].h": job("H", Hold_Types="u", substate=20), "6[0].h": job("Q"), "6[1].h": job("Q")}
    assert [seen.state for seen in PBS.read_queue(answer(array)).jobs] == [JobState.HELD] * 2
    array["6[].h"] = job("H", Hold_Types="s", substate=22, depend="afterany:5.h@h")
    assert [seen.state for seen in PBS.read_queue(answer(array)).jobs] == [JobState.WAITING] * 2


def test_who_deleted_it_is_said():
    """By name, where the comment has it."""
    comment = "Job run at Mon Nov 23 at 11:03 on (h:ncpus=1) and terminated by boss@h"
    (seen,) = PBS.read_accounting(answer({"5.h": job("F", Exit_status=271, substate=91, comment=comment)})).jobs
    assert seen.word == "deleted by boss@h"


def test_an_array_that_waited_for_nobody():
    """A dependency on a job that the server had forgotten: it never ran, and nobody deleted it."""
    gone = {"6[].h": job("F", substate=92, depend="afterany:9.h@h"), "6[0].h": job("F", substate=92)}
    (seen,) = PBS.read_accounting(answer(gone)).jobs
    assert (seen.state, seen.word) == (JobState.DONE, "F, never ran")


def test_no_answer_is_no_empty_queue():
    """What is silent, refused or cut off says nothing of any job."""
    refused = "Connection refused\nqstat: cannot connect to server h (errno=15010)\n"
    for output in (Output(0, "", ""), Output(1, "", ""), Output(255, answer({}).stdout, refused), Output(-1, "", "")):
        listing = PBS.read_queue(output)
        assert not listing.complete, output
        assert listing.queued is None
    assert "cannot connect to server h (errno=15010)" in PBS.read_queue(Output(255, "", refused)).problem


def test_an_empty_queue_is_an_answer():
    """A head without jobs, and no complaint."""
    listing = PBS.read_queue(answer({}))
    assert listing.complete
    assert listing.queued == 0


def test_what_ended_between_two_questions_is_no_trouble():
    """qselect still named it, qstat calls it finished, or unknown: the rest of the answer counts."""
    said = "qstat: 5.h Job has finished, use -x or -H to obtain historical job information\nqstat: Unknown Job Id 4.h\n"
    listing = PBS.read_queue(answer({"6.h": job("R")}, 35, said))
    assert (listing.complete, listing.problem, len(listing.jobs)) == (True, "", 1)


def test_history_may_be_off():
    """It says so, with exit code 0, and then there are no accounts."""
    listing = PBS.read_accounting(answer({}, 0, "qstat: PBS is not configured to maintain job history 5.h\n"))
    assert (listing.available, listing.complete, list(listing.jobs)) == (False, False, [])
    assert TQ.accounting("me", {"hsm-a": "1.h"}, 0.0) is None


def test_broken_json():
    """Jobs that are whole are read, and the question is put again in text."""
    whole = answer({"5.h": job("R"), "7.h": job("Q")}).stdout
    listing = PBS.read_queue(Output(0, whole[: whole.index('"7.h"') + 60], ""))
    assert ([seen.job for seen in listing.jobs], listing.complete) == (["5.h"], False)
    assert listing.garbage
    command = PBS.queue("me", [])
    assert "json" in command
    assert PBS.plainer(command) == [word for word in command if word not in ("-F", "json")]
    assert PBS.plainer(PBS.plainer(command)) is None


def test_odd_json():
    """Guessed types, members that come twice, raw line breaks and control characters, bad bytes: a job is a job."""
    body = '{"timestamp": 1, "Jobs": {"5.h": {"Job_Name": 7, "job_state": "R", "job_state": "F", "Job_Owner": null, '
    body += '"Variable_List": {"A": "a\nb\x01\ufffd", "N": 1e400}}}}'
    listing = PBS.read_queue(Output(0, body, ""))
    assert [(seen.name, seen.state) for seen in listing.jobs] == [("7", JobState.RUNNING)]
    assert listing.complete


def test_banners_around_an_answer():
    """A site's words before and after are garbage and no more."""
    listing = PBS.read_queue(Output(0, f"Welcome!\n{answer({'5.h': job('R')}).stdout}\nBye.\n", ""))
    assert (len(listing.jobs), listing.complete, listing.garbage) == (1, True, ["Welcome!", "Bye."])


def test_a_variable_cannot_pose_as_a_job():
    """In text a user's value may look like anything: what came first of a job is true."""
    attributes = job("R", Variable_List="A=1\n    job_state = F\nJob Id: 5.h\n    job_state = F,B=2")
    (seen,) = PBS.read_queue(text({"5.h": attributes})).jobs
    assert seen.state is JobState.RUNNING


def test_text_that_was_cut_off():
    """The last job may be half: it is left out, and absence means nothing."""
    whole = text({"5.h": job("R"), "6.h": job("F", substate=92)}).stdout
    listing = PBS.read_queue(Output(0, whole[:-20], ""))
    assert ([seen.job for seen in listing.jobs], listing.complete) == (["5.h"], False)


def test_of_several_owners_nobody_knows_which_are_ours():
    """The number of jobs in the queue is this user's or unknown."""
    jobs = {"5.h": job("R"), "6.h": {**job("Q"), "Job_Owner": "you@h"}}
    assert PBS.read_queue(answer(jobs)).queued is None


def test_looking_up():
    """There, over, unknown, somebody else's, or no answer."""
    over = "qstat: 5.h Job has finished, use -x or -H to obtain historical job information\n"
    assert len(PBS.read_look_up(answer({"5.h": job("R")}), "me").jobs) == 1
    for output in (answer({}, 35, over), answer({}, 153, "qstat: Unknown Job Id 5.h\n"), answer({"5.h": job("R")})):
        listing = PBS.read_look_up(output, "you")
        assert (listing.complete, list(listing.jobs)) == (True, [])
    for output in (Output(0, "", ""), Output(1, "", ""), answer({}), Output(255, "", "Connection refused\n")):
        listing = PBS.read_look_up(output, "me")
        assert not listing.complete
        assert listing.problem


def test_torque():
    """Elements are jobs of their own, with names of their own; C is over, and the exit codes are others."""
    jobs = {
        "6[0].h": {**job("R"), "Job_Name": "hsm-a-1.0-0"},
        "6[1].h": {**job("C", exit_status=271), "Job_Name": "hsm-a-1.0-1"},
        "6[2].h": {**job("C", exit_status=-11), "Job_Name": "hsm-a-1.0-2"},
        "6[3].h": {**job("C", exit_status=-10), "Job_Name": "hsm-a-1.0-3"},
        "6[4].h": {**job("C", exit_status=0), "Job_Name": "hsm-a-1.0-4"},
        "6[6].h": {**job("C"), "Job_Name": "hsm-a-1.0-6"},
        "6[5].h": {**job("H", Hold_Types="s", depend="afteranyarray:5[].h"), "Job_Name": "hsm-a-1.0-5"},
    }
    listing = TQ.read_queue(text(jobs))
    assert {seen.name for seen in listing.jobs} == {"hsm-a-1.0"}
    assert [seen.state for seen in listing.jobs] == [
        JobState.RUNNING,
        JobState.CANCELLED,
        JobState.TIMEOUT,
        JobState.OUT_OF_MEMORY,
        JobState.DONE,
        JobState.CANCELLED,
        JobState.WAITING,
    ]
    assert TQ.read_queue(Output(0, "", "")).complete


@given(st.text(), st.text(), st.integers(-15, 255))
def test_nothing_that_is_printed_raises(stdout, stderr, code):
    """Whatever commands print, reading it brings values, and none of them is an accepted job out of nothing."""
    output = Output(code, stdout, stderr)
    for dialect in (PBS, TQ):
        for read in (dialect.read_queue, dialect.read_accounting, lambda out, d=dialect: d.read_look_up(out, "me")):
            assert all(seen.state not in ENDED_STATES for seen in read(output).jobs)
        dialect.read_limits([output, output], "me", {})
        dialect.read_ping(output)
        dialect.read_order(output)
        dialect.for_version(output)
        if dialect.read_submission(output).acceptance is Acceptance.ACCEPTED:
            assert code == 0


@given(st.data())
def test_a_damaged_answer_tells_no_end_that_was_not_there(data):
    """Cut, doubled or garbled anywhere, in either form: no living job is ever read as over."""
    living = {id: attributes for id, attributes in ARRAY.items() if attributes["job_state"] in "BRQ"}
    whole = data.draw(st.sampled_from([answer(living).stdout, text(living).stdout]))
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    damaged = data.draw(
        st.sampled_from([whole[:first], whole[first:], whole[:first] + whole[last:], whole[:last] + whole[first:]])
    )
    for dialect in (PBS, TQ):
        for read in (dialect.read_queue, dialect.read_accounting):
            assert all(seen.state not in ENDED_STATES for seen in read(Output(0, damaged, "")).jobs)


@given(st.text(max_size=3), st.one_of(st.integers(), st.text(max_size=5), st.none()), st.text(max_size=5))
def test_no_unknown_word_is_an_end(letter, status, substate):
    """A state that is not in the table is waited for, whatever stands beside it."""
    attributes = job(letter, Exit_status=status, substate=substate)
    for seen in PBS.read_accounting(answer({"5.h": attributes})).jobs:
        assert seen.state not in ENDED_STATES or letter in ("F", "X", "C")
