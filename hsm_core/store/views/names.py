"""Names of sources as people read them: the canonical id is `kind:name`, and `name` alone says enough when unique."""

from __future__ import annotations

import collections
from typing import Dict, Iterable

__all__ = ["short_names"]


def short_names(ids: Iterable[str]) -> Dict[str, str]:
    """Canonical ids -> the shortest names that tell them apart."""
    ids = list(ids)
    uses = collections.Counter(map(_name, ids))
    return {id: _name(id) if uses[_name(id)] == 1 else id for id in ids}


def _name(id: str) -> str:
    return id.partition(":")[2] or id
