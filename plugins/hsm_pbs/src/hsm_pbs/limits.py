"""What a cluster allows a user: read from the server and the queue, never assumed."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping, Optional, Sequence

from hsm_core.toolkit.dialect import Limits, Output

from .flavours import Flavour
from .problems import complaint
from .records import read_objects

__all__ = ["LIMITS_COMMANDS", "Described", "read_described", "read_limits"]

LIMITS_COMMANDS = (("qstat", "-B", "-f"), ("qstat", "-Q", "-f"))
"""The server, and its queues. In text: as JSON a list of limits is one member that comes several times."""

Described = Mapping[str, Mapping[str, Sequence[str]]]
"""Servers or queues, by name, with the values of each attribute."""

_LIMIT = re.compile(r"\[([ugop]):([^=\]]+)=([0-9]+)\]")
_GENERIC = ("PBS_GENERIC", "PBS_ALL")
_ARRAY_ATTRIBUTES = ("max_array_size", "max_job_array_size")
_QUEUED_ATTRIBUTES = ("max_queued", "queued_jobs_threshold", "max_user_queuable")


def read_described(output: Output) -> Described:
    """What `qstat -B -f` or `qstat -Q -f` printed."""
    return dict(read_objects(output.stdout))


def read_limits(outputs: Sequence[Output], user: str, options: Mapping[str, Any], flavour: Flavour) -> Limits:
    """What `LIMITS_COMMANDS` found out.

    :param options: of the source; `queue` says which queue counts.
    """
    problem = next((said for said in map(complaint, outputs) if said), "") if outputs else "they were not asked for"
    servers = read_described(outputs[0]) if outputs and not problem else {}
    if not servers:
        return Limits(problem=f"cannot read the cluster's limits: {problem or 'the server says nothing of itself'}")
    server = next(iter(servers.values()))
    queues = read_described(outputs[1]) if len(outputs) > 1 else {}
    name = str(options.get("queue") or next(iter(server.get("default_queue", ())), ""))
    both = (server, queues.get(name.partition("@")[0], {}))
    sizes = list(_numbers(both, _ARRAY_ATTRIBUTES))
    queued = [most for part in both for most in _queued(part, user)]
    # Without a word on arrays there may be none: single jobs always work.
    size = min(sizes, default=1)
    return Limits(max(1, size), min(queued, default=None), throttles=flavour.throttles)


def _numbers(parts: Sequence[Mapping[str, Sequence[str]]], names: Sequence[str]) -> Iterator[int]:
    for part in parts:
        for name in names:
            yield from (int(value) for value in part.get(name, ()) if value.isdecimal() and len(value) < 12)


def _queued(part: Mapping[str, Sequence[str]], user: str) -> Iterator[int]:
    """Limits on jobs in the queue: plain numbers on Torque, `[u:PBS_GENERIC=50]` elsewhere."""
    for name in _QUEUED_ATTRIBUTES:
        text = ",".join(part.get(name, ()))
        if text.isdecimal() and len(text) < 12:
            yield int(text)
        limits = {(kind, who): int(most) for kind, who, most in _LIMIT.findall(text)}
        own: Optional[int] = limits.pop(("u", user), None)
        for (kind, who), most in limits.items():
            if who in _GENERIC and not (kind == "u" and own is not None):
                yield most
        if own is not None:
            yield own
