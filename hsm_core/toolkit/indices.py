"""Indices of an array's elements, as schedulers write them: `0-3,7`."""

from __future__ import annotations

from typing import Iterable, List, Tuple

__all__ = ["show_indices"]


def show_indices(indices: Iterable[int]) -> str:
    """Indices in as few words as a command line holds: `0-3,7`."""
    parts: List[Tuple[int, int]] = []
    for index in sorted(set(indices)):
        if parts and parts[-1][1] == index - 1:
            parts[-1] = (parts[-1][0], index)
        else:
            parts.append((index, index))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
