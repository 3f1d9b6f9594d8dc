"""The summary: a sweep's state in a few lines, so that `status` need not replay a long journal.

It is a view: whoever doubts it reads the journal. It says for which `position` of the journal it stands; a reader goes
on from there with `Follower(directory, position)`, and starts from the beginning if that raises `JournalRewound`.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, Optional, Tuple

from .files import write_atomic
from .journal import Position
from .layout import SweepLayout

__all__ = ["read", "write"]

_FORMAT = 1


def write(layout: SweepLayout, summary: Mapping[str, Any], position: Position) -> None:
    """Replace the summary; the caller sees to it that this is not done for every event.

    :param summary: plain JSON; the keys are the report's.
    :param position: of the journal, up to which it is true.
    :raises OSError: the old one stands then.
    """
    text = json.dumps({"hsm_summary": _FORMAT, "position": position, "summary": summary}, separators=(",", ":"))
    write_atomic(layout.summary, text.encode("ascii"))


def read(layout: SweepLayout) -> Optional[Tuple[Dict[str, Any], Position]]:
    """The summary and the position it stands for; None when there is none that this version can use."""
    try:
        document = json.loads(layout.summary.read_bytes())
        if document["hsm_summary"] != _FORMAT or not isinstance(document["summary"], dict):
            return None
        epoch, offset = document["position"]
        return document["summary"], Position(int(epoch), int(offset))
    except (OSError, ValueError, TypeError, KeyError):
        return None
