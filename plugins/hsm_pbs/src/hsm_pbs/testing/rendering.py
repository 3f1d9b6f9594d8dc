"""How `qstat` prints: as OpenPBS's JSON, as its text, and as the short table."""

from __future__ import annotations

import json
from typing import Any, Iterator, List, Mapping, Sequence, Tuple

__all__ = ["as_json", "as_table", "as_text", "head"]

_WIDTH = 79
_NAME_WIDTH = 16
_TABLE_HEAD = (
    "Job id            Name             User              Time Use S Queue\n"
    "----------------  ---------------- ----------------  -------- - -----\n"
)


def head(version: str, server: str, at: float) -> Mapping[str, Any]:
    """What every answer in JSON begins with."""
    return {"timestamp": int(at), "pbs_version": version, "pbs_server": server}


def as_json(value: Mapping[str, Any]) -> str:
    """With tabs, as OpenPBS has it."""
    return "\n".join(_object(value, 1)) + "\n"


def as_text(kind: str, name: str, shown: Mapping[str, Any]) -> str:
    """An object of `qstat -f`, long values broken into lines, a blank line at its end."""
    lines = [f"{kind}: {name}"]
    for key, value in shown.items():
        if isinstance(value, Mapping) and key == "Variable_List":
            lines += _wrapped(key, ",".join(f"{part}={text}" for part, text in value.items()))
        elif isinstance(value, Mapping):
            for part, text in value.items():
                lines += _wrapped(f"{key}.{part}", str(text))
        elif isinstance(value, (list, tuple)):
            for text in value:
                lines += _wrapped(key, str(text))
        else:
            lines += _wrapped(key, str(value))
    return "\n".join([*lines, "", ""])


def as_table(rows: Sequence[Tuple[str, str, str, str, str, str]]) -> str:
    """The short listing: id, name, user, time used, state, queue."""
    if not rows:
        return ""
    lines = []
    for id, name, user, used, letter, queue in rows:
        name = name if len(name) <= _NAME_WIDTH - 1 else f"{name[: _NAME_WIDTH - 1]}*"
        lines.append(f"{id:<17.17} {name:<16.16} {user:<16.16} {used:>9} {letter} {queue:<16}\n")
    return _TABLE_HEAD + "".join(lines)


def _object(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    yield "{"
    members = list(value.items())
    for number, (name, member) in enumerate(members):
        comma = "," if number < len(members) - 1 else ""
        key = f"{chr(9) * depth}{json.dumps(name)}:\t"
        if isinstance(member, Mapping):
            first, *rest = _object(member, depth + 1)
            yield key + first
            yield from rest[:-1]
            yield rest[-1] + comma
        else:
            yield f"{key}{json.dumps(member, ensure_ascii=False)}{comma}"
    yield f"{chr(9) * (depth - 1)}}}"


def _wrapped(name: str, text: str) -> List[str]:
    whole = f"    {name} = {text}"
    lines = [whole[:_WIDTH]]
    rest = whole[_WIDTH:]
    while rest:
        lines.append(f"\t{rest[: _WIDTH - 8]}")
        rest = rest[_WIDTH - 8 :]
    return lines
