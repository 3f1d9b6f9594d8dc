"""What `qstat -f` prints, as things with attributes: from JSON, as far as it can be read, or from the text form."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

__all__ = ["ID", "Attributes", "Found", "read_objects", "read_records"]

Attributes = Mapping[str, str]
"""Of a job, as text; of attributes that came more than once, the first."""

ID = re.compile(r"[0-9]+(?:\[[0-9]*\])?(?:\.[\w.-]+)?")
"""`5.host`, `6[].host` for an array, `6[3].host` for an element of it."""
_HEAD = re.compile(r"(?:Job Id|Server|Queue): (\S+)")
_ATTRIBUTE = re.compile(r"    ([\w.]+) = (.*)")
_ENTRY = re.compile(r'"(' + ID.pattern + r')"\s*:\s*(?=\{)')


class Found(NamedTuple):
    """The jobs of an answer by id; whether it could be read to its end; and what could not, a line each."""

    jobs: Mapping[str, Attributes]
    whole: bool
    garbage: List[str]


def read_records(text: str) -> Found:
    """The jobs that an answer speaks of."""
    lines = text.splitlines()
    begin = next((number for number, line in enumerate(lines) if line.startswith("{")), None)
    if begin is None:
        return _read_text(text)
    found = _read_json("\n".join(lines[begin:]))
    return found._replace(garbage=[line for line in lines[:begin] if line.strip()] + found.garbage)


def read_objects(text: str) -> List[Tuple[str, Dict[str, List[str]]]]:
    """Names and attributes, of jobs, queues or the server, in order; an attribute may come more than once."""
    found: List[Tuple[str, Dict[str, List[str]]]] = [("", {})]
    values: List[str] = []
    for line in text.splitlines():
        head, attribute = _HEAD.match(line), _ATTRIBUTE.match(line)
        if head is not None:
            found.append((head.group(1), {}))
            values = []
        elif attribute is not None:
            values = found[-1][1].setdefault(attribute.group(1), [])
            values.append(attribute.group(2))
        elif line.startswith("\t") and values:
            values[-1] += line[1:]  # a long value goes on
    return found[1:]


def _read_json(text: str) -> Found:
    # A member that comes twice is no error for PBS; and a line break within a text is not escaped by every release.
    decoder = json.JSONDecoder(object_pairs_hook=_first, strict=False)
    try:
        answer, end = decoder.raw_decode(text)
        jobs = answer.get("Jobs", {}) if "timestamp" in answer else None
        if isinstance(jobs, dict):
            rest = [line for line in text[end:].splitlines() if line.strip()]
            broken = [f"{id}: no job" for id, job in jobs.items() if not (ID.fullmatch(id) and isinstance(job, dict))]
            good = {id: _flat(job) for id, job in jobs.items() if ID.fullmatch(id) and isinstance(job, dict)}
            return Found(good, not broken, broken + rest)
    except (ValueError, RecursionError):
        pass
    # Broken somewhere: each job is an object of its own, and those that are whole can be read.
    salvaged: Dict[str, Attributes] = {}
    for entry in _ENTRY.finditer(text):
        try:
            salvaged.setdefault(entry.group(1), _flat(decoder.raw_decode(text, entry.end())[0]))
        except (ValueError, RecursionError):
            continue
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
    objects = read_objects(text)
    # The value of a variable may look like an attribute, or like another job: what came first is true.
    jobs: Dict[str, Attributes] = {}
    for id, job in objects:
        jobs.setdefault(id, {name: values[0] for name, values in job.items()})
    # A blank line ends each job: without it the last may have been cut off, and how it ended stands near its end.
    torn = {id for id, job in jobs.items() if not ID.fullmatch(id) or "job_state" not in job}
    if objects and not text.endswith("\n\n"):
        torn.add(objects[-1][0])
    strange = [line for line in text.splitlines() if line.strip() and not _HEAD.match(line) and line[0] not in " \t"]
    garbage = [f"{id}: cut off" for id in sorted(torn)] + ([] if objects else strange)
    return Found({id: job for id, job in jobs.items() if id not in torn}, not torn, garbage)
