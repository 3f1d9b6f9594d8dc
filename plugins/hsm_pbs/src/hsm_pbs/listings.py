"""The questions about jobs, and what the answers say: one `qstat` for what is not over, one for what is."""

from __future__ import annotations

import re
from typing import FrozenSet, List, Mapping, Optional, Sequence, Tuple

from hsm_core.toolkit.dialect import ENDED_STATES, JobSeen, JobState, Listing, Output

from .flavours import Flavour
from .problems import complaint, is_over
from .records import Attributes, read_records
from .states import DELETED, ended_state, exit_status, live_state, word_of

__all__ = [
    "history_command",
    "look_up_command",
    "parse_id",
    "plainer",
    "queue_command",
    "read_history",
    "read_look_up",
    "read_queue",
]

_JSON = ("-F", "json")
_SELECTED = """\
user=$1; shift
command -v qselect >/dev/null || exec qstat "$@"
ids=$(qselect {options}-u "$user") || exit
[ -n "$ids" ] || exec echo '{{"timestamp": 0}}'
set -f
exec qstat "$@" $ids"""
"""`qstat -f` cannot be told whose jobs to list, and a site has many: `qselect` knows which are this user's."""
_NODE = re.compile(r"(?:^|\+)([^/+]+)")
_ID = re.compile(r"([0-9]+)(?:\[([0-9]*)\])?((?:\.[\w.-]+)?)")
_NO_HISTORY = "not configured to maintain job history"


def queue_command(user: str, flavour: Flavour) -> Sequence[str]:
    """All jobs of a user that are not over, elements singly; those of an array that lives, also when they are over."""
    if not flavour.history:
        return ["qstat", "-t", "-f"]
    return _selected("", user, ["-t", "-f", *(_JSON if flavour.json else ())])


def history_command(user: str, jobs: Mapping[str, str], flavour: Flavour) -> Optional[Sequence[str]]:
    """These jobs, over or not. :param jobs: name -> id; where one is not known, all that the user ever had."""
    if not flavour.history:
        return None
    words = ["-x", "-t", "-f", *(_JSON if flavour.json else ())]
    ids = list(jobs.values())
    return ["qstat", *words, *ids] if all(ids) else _selected("-x ", user, words)


def look_up_command(job: str, flavour: Flavour) -> Sequence[str]:
    """One job. Of one that is over qstat says just that."""
    return ["qstat", "-t", "-f", *(_JSON if flavour.json else ()), job]


def plainer(command: Sequence[str]) -> Optional[Sequence[str]]:
    """The same question, to be answered in text; None where it was."""
    return [word for word in command if word not in _JSON] if _JSON[1] in command else None


def read_queue(output: Output, flavour: Flavour) -> Listing:
    """What `queue_command` brought. An element that is over, and of which nothing more is known, is left out."""
    listing, owners = _read(output, flavour, past=False)
    live = [seen for seen in listing.jobs if seen.state not in ENDED_STATES]
    # With a single owner it is this user's queue; of several, nobody can say which are this user's.
    return listing._replace(queued=len(live) if listing.complete and len(owners) <= 1 else None)


def read_history(output: Output, flavour: Flavour) -> Listing:
    """What `history_command` brought."""
    if _NO_HISTORY in output.stderr:
        return Listing(complete=False, available=False)
    return _read(output, flavour, past=True)[0]


def read_look_up(output: Output, user: str, flavour: Flavour) -> Listing:
    """What `look_up_command` brought: the job, if it is this user's, or that there is none."""
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


def _selected(options: str, user: str, words: Sequence[str]) -> List[str]:
    return ["sh", "-c", _SELECTED.format(options=options), "sh", user, *words]


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
