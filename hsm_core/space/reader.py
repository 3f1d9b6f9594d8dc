"""What every section of a sweep file needs: names, values and complaints, each with its place."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ..yamlfile import Document, Problem, reads_as_number
from ..yamlfile.check import dotted, shown, suggest
from .axes import Axis
from .values import canonical, name_problem, value_problem

__all__ = ["Entry", "Path", "Reader"]

Path = Tuple[Union[str, int], ...]


class Entry(NamedTuple):
    """A parameter of a nested mapping: its dotted name, what stands there, and where."""

    name: str
    value: Any
    path: Path


class Reader:
    """Collects what the sections declare.

    :param document: the sweep file.

    `axes`, `problems`, `warnings` and `declared` (each parameter's place) grow as sections are read.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.axes: List[Axis] = []
        self.problems: List[Problem] = []
        self.warnings: List[Problem] = []
        self.declared: Dict[str, Path] = {}

    def problem(self, message: str, path: Path, hint: Optional[str] = None, key: bool = False) -> None:
        """Note something that makes the file unusable, at a value or at its key."""
        mark = self.document.key_mark(path) if key else self.document.mark(path)
        self.problems.append(Problem(message, mark, hint))

    def warn(self, message: str, path: Path, hint: Optional[str] = None) -> None:
        """Note something that its writer may not have meant."""
        self.warnings.append(Problem(message, self.document.mark(path), hint))

    def entries(self, value: Any, path: Path, prefix: str = "") -> Iterator[Entry]:
        """The parameters of a nested mapping, in order; an empty mapping below the top is a value."""
        if not isinstance(value, dict):
            self.problem(f"{dotted(path)} must be a mapping of parameters, not {shown(value)}", path, "write `name: …`")
            return
        if not value:
            self.problem(f"{dotted(path)} is empty", path, "add a parameter, or delete it")
        for key, item in value.items():
            name, place = f"{prefix}{key}", (*path, key)
            if isinstance(item, dict) and item:
                yield from self.entries(item, place, f"{name}.")
                continue
            why = name_problem(name)
            if why is None:
                yield Entry(name, item, place)
            else:
                self.problem(why, place, "letters, digits, _ and - are safe, dots stand for nesting", key=True)

    def declare(self, name: str, path: Path) -> None:
        """Note that a parameter is given here; nothing else may give it."""
        if name in self.declared:
            first = self.document.key_mark(self.declared[name])
            message = f"the parameter {name!r} is given twice (first on line {first.line}, column {first.column})"
            self.problem(message, path, "delete one of them", key=True)
        else:
            self.declared[name] = path

    def value(self, value: Any, path: Path) -> None:
        """Complain of a value that cannot travel to a program; wonder at text that may be meant as a number."""
        why = value_problem(value)
        if why is not None:
            self.problem(f"{dotted(path)}: {why}", path)
        elif isinstance(value, str) and reads_as_number(value):
            hint = "leave out the quotes if a number is meant"
            self.warn(f"{shown(value)} is text that looks like a number", path, hint)

    def values(self, entry: Entry) -> Optional[List[Any]]:
        """The values of a list that must not be empty, or None after a complaint."""
        if not isinstance(entry.value, list):
            self.problem(f"{entry.name} must be a list of values, not {shown(entry.value)}", entry.path)
            return None
        if not entry.value:
            self.problem(f"{entry.name} has no values", entry.path, "put values between the brackets, or delete it")
            return None
        for position, value in enumerate(entry.value):
            self.value(value, (*entry.path, position))
        return entry.value

    def whole(self, what: str, value: Any, path: Path, low: int, high: int) -> Optional[int]:
        """A whole number within bounds, or None after a complaint."""
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.problem(f"{what} must be a whole number from {low:,} to {high:,}, not {shown(value)}", path)
        return None

    def twins(self, what: str, items: Sequence[Any], path_of: Callable[[int], Path]) -> None:
        """Warn of items of an axis that are equal: their combinations would be run more than once."""
        if self.problems:
            return  # the items may not even be JSON
        first: Dict[str, int] = {}
        for position, item in enumerate(items):
            text = canonical(item)
            earlier = first.setdefault(text, position)
            if earlier != position:
                line = self.document.mark(path_of(earlier)).line
                brief = text if len(text) <= 60 else f"{text[:59]}…"
                self.warn(f"{what} has {brief} twice (first on line {line})", path_of(position), "delete one of them")

    def only_keys(self, section: Mapping[str, Any], known: Sequence[str], path: Path) -> None:
        """Complain of every key that is not known here."""
        for key in section:
            if key not in known:
                inside = f" in {dotted(path)}" if path else ""
                self.problem(f"unknown key {key!r}{inside}", (*path, key), suggest(key, known), key=True)
