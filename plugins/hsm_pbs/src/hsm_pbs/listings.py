"""What qstat says of jobs: of those that are not over, of those that are, and of one that was asked for."""

from __future__ import annotations

import re
from typing import FrozenSet, List, Optional, Tuple

from hsm_core.toolkit.dialect import ENDED_STATES, JobSeen, JobState, Listing, Output

from .flavours import Flavour
from .problems import complaint, is_over
from .records import Attributes, read_records
from .states import DELETED, ended_state, exit_status, live_state, word_of

__all__ = ["parse_id", "read_history", "read_look_up", "read_queue"]

_NODE = re.compile(r"(?:^|\+)([^/+]+)")
_ID = re.compile(r"([0-9]+)(?:\[([0-9]*)\])?((?:\.[\w.-]+)?)")
_NO_HISTORY = "not configured to maintain job history"


def read_queue(output: Output, flavour: Flavour) -> Listing:
    """All jobs that are not over. An element that is over, and of which nothing more is known, is left out."""
    listing, owners = _read(output, flavour, past=False)
    live = [seen for seen in listing.jobs if seen.state not in ENDED_STATES]
    # With a single owner it is this user's queue; of several, nobody can say which are this user's.
    return listing._replace(queued=len(live) if listing.complete and len(owners) <= 1 else None)


def read_history(output: Output, flavour: Flavour) -> Listing:
    """Jobs, over or not, so far as the server keeps a history."""
    if _NO_HISTORY in output.stderr:
        return Listing(complete=False, available=False)
    return _read(output, flavour, past=True)[0]


def read_look_up(output: Output, user: str, flavour: Flavour) -> Listing:
    """One job, if it is this user's, or that there is none."""
    found = read_records(output.stdout)
    if not found.jobs and is_over(output):
        return Listing()
    listing, owners = _read(output, flavour, past=False)
    if owners and owners != {user}:
        return Listing()
    silent = not found.jobs and not listing.problem
    return listing._replace(
        complete=listing.complete and not silent, problem=listing.problem or ("qstat says nothing" if silent else "")
    )


def parse_id(text: str) -> Tuple[str, Optional[int]]:
    """The id by which a job is deleted, of an array its own, and the index. :raises ValueError: it is none."""
    match = _ID.fullmatch(text)
    if match is None:
        raise ValueError(f"no job id: {text!r}")
    number, index, server = match.groups()
    return (f"{number}{'' if index is None else '[]'}{server}", int(index) if index else None)


def _read(output: Output, flavour: Flavour, past: bool) -> Tuple[Listing, FrozenSet[str]]:
    found = read_records(output.stdout)
    problem = complaint(output)
    listed = {parse_id(id)[0] for id in found.jobs if _is_element(id)}
    jobs: List[JobSeen] = []
    for id, attributes in found.jobs.items():
        if id in listed:
            continue  # an array, each of whose elements speaks for itself
        array = found.jobs.get(parse_id(id)[0], {}) if _is_element(id) else {}
        seen = _seen(id, attributes, array, flavour, past)
        if seen is not None:
            jobs.append(seen)
    # Where there is nothing to list, something says so; only Torque keeps silent.
    silent = not output.stdout.strip() and flavour.history and not output.stderr.strip()
    complete = found.whole and not problem and not silent
    owners = frozenset(job.get("Job_Owner", "").partition("@")[0] for job in found.jobs.values())
    return Listing(jobs, complete, garbage=found.garbage, problem=problem), owners


def _is_element(id: str) -> bool:
    return "[" in id and "[]" not in id


def _seen(id: str, attributes: Attributes, array: Attributes, flavour: Flavour, past: bool) -> Optional[JobSeen]:
    """A job, or an element; None for one that is over, and of which nobody says how it ended.

    :param array: what is said of the whole of which it is an element.
    :param past: it is said by the history, which keeps a record of every element that ran.
    """
    job, index = parse_id(id)
    name = attributes.get("Job_Name", "")
    own = index is None or not flavour.history or "array_id" in attributes
    if index is not None and not flavour.history and name.endswith(f"-{index}"):
        name = name[: -len(f"-{index}")]  # Torque's elements have names of their own
    state = live_state(attributes)
    if state is JobState.WAITING and not own and array.get("job_state") == "H":
        state = live_state(array)
    if state is None and own:
        state = ended_state(attributes, torque=not flavour.history)
    elif state is None:
        # It shows what is said of the array. That is no word on how it ended; in the history, that it never ran.
        if not past:
            return None
        never = array.get("job_state") == "F" and array.get("substate") != DELETED and exit_status(array) is None
        state = JobState.DONE if never else JobState.CANCELLED
        attributes = {"job_state": attributes.get("job_state", "")}
    word, reason = word_of(attributes, state)
    nodes = ",".join(dict.fromkeys(_NODE.findall(attributes.get("exec_host", ""))))
    return JobSeen(job, () if index is None else (index,), name, state, word, reason, nodes)
