"""Figures beside their targets and their peers, as a Markdown table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence

HEAD = ["what", "ours", "peer", "ratio", "target", ""]


@dataclass
class Figure:
    """One measured figure.

    :param target: the most that it, or its ratio to the peer, may be; the least where `at_least`.
    :param of_ratio: the target is one for the ratio.
    """

    what: str
    ours: float
    unit: str
    target: Optional[float] = None
    peer: Optional[float] = None
    peer_name: str = ""
    of_ratio: bool = False
    at_least: bool = False

    @property
    def ratio(self) -> Optional[float]:
        """Ours over the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def met(self) -> Optional[bool]:
        """Whether the target is met; None where there is none, or no peer to hold it against."""
        value = self.ratio if self.of_ratio else self.ours
        if self.target is None or value is None:
            return None
        return value >= self.target if self.at_least else value <= self.target

    def cells(self) -> List[str]:
        """The row of the table."""
        target = ""
        if self.target is not None:
            target = f"{'>=' if self.at_least else '<='} {self.target:g} {'of it' if self.of_ratio else self.unit}"
        return [
            self.what,
            f"{self.ours:.3g} {self.unit}" if abs(self.ours) < 100 else f"{self.ours:.0f} {self.unit}",
            f"{self.peer:.3g} {self.unit} ({self.peer_name})" if self.peer is not None else "",
            f"{self.ratio:.2f}" if self.ratio is not None else "",
            target,
            {None: "", True: "met", False: "MISSED"}[self.met],
        ]


def markdown(figures: Sequence[Figure]) -> str:
    """The table."""
    rows = [HEAD, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows)
