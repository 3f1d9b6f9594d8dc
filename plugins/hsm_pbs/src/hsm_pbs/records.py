"""What `qstat -f` prints, as jobs with attributes: from JSON, as far as it can be read, or from the text form."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

__all__ = ["ID", "Attributes", "Found", "read_records"]

Attributes = Mapping[str, str]
"""Of a job, a queue or the server, as text; of attributes that came more than once, the first."""

ID = re.compile(r"[0-9]+(?:\[[0-9]*\])?(?:\.[\w.-]+)?")
"""`5.host`, `6[].host` for an array, `6[3].host` for an element of it."""
_HEAD = re.compile(r"Job Id: (\S+)")
_ATTRIBUTE = re.compile(r"    ([\w.]+) = (.*)")
_ENTRY = re.compile(r'"(' + ID.pattern + r')"\s*:\s*(?=\{)')


class Found(NamedTuple):
    """What an answer held.

    :param whole: it could be read to its end.
    :param garbage: what could not be read, a line each.
    """

    jobs: Mapping[str, Attributes]
    whole: bool
    garbage: List[str]


def read_records(text: str) -> Found:
    """The jobs that an answer speaks of, by their ids."""
    beginning = text.lstrip()
    at = beginning.find("\n{") + 1
    if beginning.startswith("{") or at:  # a site's banner may come before
        banner = beginning[:at].split("\n") if not beginning.startswith("{") else []
        found = _read_json(beginning[len("\n".join(banner)) :] if banner else beginning)
        return found._replace(garbage=[line for line in banner if line.strip()] + found.garbage)
    return _read_text(text)


def _read_json(text: str) -> Found:
    # A member that comes twice is no error for PBS; and a line break within a text is not escaped by every release.
    decoder = json.JSONDecoder(object_pairs_hook=_first, strict=False)
    try:
        answer, end = decoder.raw_decode(text)
        jobs = answer.get("Jobs", {}) if isinstance(answer, dict) else None
        if isinstance(jobs, dict) and "timestamp" in answer:
            rest = [line for line in text[end:].splitlines() if line.strip()]
            broken = [f"{id}: no attributes" for id, job in jobs.items() if not isinstance(job, dict)]
            whole = {id: _flat(job) for id, job in jobs.items() if isinstance(job, dict)}
            return Found(whole, not broken, broken + rest)
    except (ValueError, RecursionError):
        pass
    # Broken somewhere: each job is an object of its own, and those that are whole can be read.
    salvaged: Dict[str, Attributes] = {}
    for entry in _ENTRY.finditer(text):
        try:
            job, _ = decoder.raw_decode(text, entry.end())
        except (ValueError, RecursionError):
            continue
        if isinstance(job, dict):
            salvaged.setdefault(entry.group(1), _flat(job))
    return Found(salvaged, False, ["qstat printed JSON that is none"])


def _first(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def _flat(job: Mapping[str, Any]) -> Attributes:
    # PBS guesses types: a text may have come as a number, a truth or nothing.
    return {name: str(value) for name, value in job.items() if not isinstance(value, (dict, list))}


def _read_text(text: str) -> Found:
    jobs: Dict[str, Dict[str, str]] = {}
    garbage: List[str] = []
    attributes: Dict[str, str] = {}
    name = ""
    whole = True
    for line in text.splitlines():
        head = _HEAD.match(line)
        attribute = _ATTRIBUTE.match(line)
        if head is not None:
            known = ID.fullmatch(head.group(1)) is not None
            whole = whole and known
            garbage += [] if known else [line]
            # The value of a variable may look like another job: what came first is true.
            attributes = jobs.setdefault(head.group(1), {}) if known and head.group(1) not in jobs else {}
            name = ""
        elif attribute is not None:
            name = attribute.group(1)
            if name in attributes:
                name = ""
            else:
                attributes[name] = attribute.group(2)
        elif line.startswith("\t"):
            if name:
                attributes[name] += line[1:]
        elif line.strip() and not attributes:
            garbage.append(line)
    # A blank line ends each job: without it the last may have been cut off, and how it ended stands near its end.
    cut_off = {id for id, job in jobs.items() if "job_state" not in job}
    if jobs and not text.endswith("\n\n"):
        cut_off.add(list(jobs)[-1])
    garbage += [f"{id}: cut off" for id in sorted(cut_off)]
    return Found({id: job for id, job in jobs.items() if id not in cut_off}, whole and not cut_off, garbage)
