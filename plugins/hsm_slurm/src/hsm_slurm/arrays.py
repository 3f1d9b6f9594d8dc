"""Array indices as Slurm writes them: `0-3,7,10-20:2%16`."""

from __future__ import annotations

import re
from typing import List, Optional, Tuple

__all__ = ["parse_indices", "parse_job_id"]

_PART = re.compile(r"([0-9]+)(?:-([0-9]+)(?::([0-9]+))?)?")
_JOB = re.compile(r"([0-9]+)(?:_(?:([0-9]+)|\[([0-9,:-]+)(?:%[0-9]+)?\]))?")
_MOST = 10_000_000
"""No site has arrays as large; what says so is garbage, and must not fill the memory."""


def parse_indices(text: str) -> List[int]:
    """Indices from what Slurm wrote. :raises ValueError: it is cut off, or makes no sense."""
    found: List[int] = []
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"no array indices: {text!r}")
        first, last, step = match.groups()
        indices = range(int(first), int(last or first) + 1, int(step or 1) or 1)
        if len(indices) + len(found) > _MOST:
            raise ValueError(f"too many array indices: {text!r}")
        found += indices
    return found


def parse_job_id(text: str) -> Tuple[str, Optional[List[int]]]:
    """A job's id and its indices, None for a plain job: `12`, `12_3`, `12_[4-7%2]`. :raises ValueError: no such."""
    match = _JOB.fullmatch(text)
    if match is None:
        raise ValueError(f"no job id: {text!r}")
    job, index, indices = match.groups()
    if index is not None:
        return job, [int(index)]
    return job, None if indices is None else parse_indices(indices)
