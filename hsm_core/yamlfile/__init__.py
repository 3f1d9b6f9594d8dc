"""YAML with places: every value of a file knows its line and column, so that every complaint can name them."""

from __future__ import annotations

from .check import check, raise_problems
from .document import Document, Mark, Path, Problem, ProblemsError
from .parse import load, loads
from .scalars import reads_as_number

__all__ = [
    "Document",
    "Mark",
    "Path",
    "Problem",
    "ProblemsError",
    "check",
    "load",
    "loads",
    "raise_problems",
    "reads_as_number",
]
