"""What a cluster allows a user: read from the server and the queue, never assumed."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping, Optional, Sequence

from hsm_core.toolkit.dialect import Limits, Output

from .flavours import Flavour
from .problems import complaint
from .records import read_objects

__all__ = ["LIMITS_COMMANDS", "read_limits"]

LIMITS_COMMANDS = (("qstat", "-B", "-f"), ("qstat", "-Q", "-f"))
"""The server, and its queues. In text: as JSON a list of limits is one member that comes several times."""

_LIMIT = re.compile(r"\[([ugop]):([^=\]]+)=([0-9]+)\]")
_NUMBER = re.compile(r"[0-9]{1,11}")
_GENERIC = ("PBS_GENERIC", "PBS_ALL")
_ARRAY_ATTRIBUTES = ("max_array_size", "max_job_array_size")
_QUEUED_ATTRIBUTES = ("max_queued", "queued_jobs_threshold", "max_user_queuable")


def read_limits(outputs: Sequence[Output], user: str, options: Mapping[str, Any], flavour: Flavour) -> Limits:
    """What `LIMITS_COMMANDS` found out.

    :param options: of the source; `queue` says which queue counts.
    """
    problem = next((said for said in map(complaint, outputs) if said), "") if outputs else "they were not asked for"
    servers = dict(read_objects(outputs[0].stdout)) if outputs and not problem else {}
    if not servers:
        return Limits(problem=f"cannot read the cluster's limits: {problem or 'the server says nothing of itself'}")
    server = next(iter(servers.values()))
    queues = dict(read_objects(outputs[1].stdout)) if len(outputs) > 1 else {}
    name = str(options.get("queue") or next(iter(server.get("default_queue", ())), ""))
    both = (server, queues.get(name.partition("@")[0], {}))
    texts = [text for part in both for attribute in _ARRAY_ATTRIBUTES for text in part.get(attribute, ())]
    queued = [most for part in both for most in _queued(part, user)]
    # Without a word on arrays there may be none: single jobs always work.
    size = min((int(text) for text in texts if _NUMBER.fullmatch(text)), default=1)
    return Limits(max(1, size), min(queued, default=None), throttles=flavour.throttles)


def _queued(part: Mapping[str, Sequence[str]], user: str) -> Iterator[int]:
    """Limits on jobs in the queue: plain numbers on Torque, `[u:PBS_GENERIC=50]` elsewhere."""
    for name in _QUEUED_ATTRIBUTES:
        text = ",".join(part.get(name, ()))
        if _NUMBER.fullmatch(text):
            yield int(text)
        limits = {(kind, who): int(most) for kind, who, most in _LIMIT.findall(text)}
        own: Optional[int] = limits.pop(("u", user), None)
        for (kind, who), most in limits.items():
            if who in _GENERIC and not (kind == "u" and own is not None):
                yield most
        if own is not None:
            yield own
