"""What a YAML file said, and where it said each thing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ..errors import ConfigError

__all__ = ["Document", "Mark", "Path", "Place", "Problem", "ProblemsError"]

Path = Sequence[Union[str, int]]
"""Keys and list positions that lead to a value, from the top of the file."""


@dataclass(frozen=True)
class Mark:
    """A place in a file; `line` and `column` count from 1."""

    line: int
    column: int
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}" if self.name else f"{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """Something wrong, or worth a warning, at one place of a file.

    :param message: what is wrong, on one line.
    :param hint: what to do about it.
    """

    message: str
    mark: Mark
    hint: Optional[str] = None

    def __str__(self) -> str:
        return f"{self.mark}: {self.message}"


class ProblemsError(ConfigError):
    """A file with problems: the message is the first of them, and `problems` has them all."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first, more = problems[0], len(problems) - 1
        hint = first.hint
        if more:
            rest = f"{more} more: `hsm config validate` lists them all"
            hint = f"{hint} ({rest})" if hint else rest
        super().__init__(str(first), hint)
        self.problems = tuple(problems)


class Place(NamedTuple):
    """Lines and columns, from 0, of an entry's key and of its value; the same two for an item of a list."""

    key_line: int
    key_column: int
    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """A YAML file whose top is a mapping.

    :param name: the file's name as messages show it.
    :param data: dicts, lists, strings, numbers, booleans and None only; every key is a string, as it was written.
    :param text: the file as it was read.
    :param warnings: values that may not be what their writer meant.
    :param places: for each dict and list in `data`, by its `id`, the place of each entry.
    """

    name: str
    data: Dict[str, Any]
    text: str = ""
    warnings: Tuple[Problem, ...] = ()
    places: Mapping[int, Mapping[Union[str, int], Place]] = field(default_factory=dict, repr=False, compare=False)

    def mark(self, path: Path = ()) -> Mark:
        """Where the value at `path` begins; where there is none, the last thing on the way there."""
        place = self._find(path)
        return Mark(place.line + 1, place.column + 1, self.name)

    def key_mark(self, path: Path = ()) -> Mark:
        """Where the key of the value at `path` is; where there is none, the last thing on the way there."""
        place = self._find(path)
        return Mark(place.key_line + 1, place.key_column + 1, self.name)

    def _find(self, path: Path) -> Place:
        value: Any = self.data
        place = Place(0, 0, 0, 0)
        for step in path:
            found = self.places.get(id(value), {}).get(step) if isinstance(value, (dict, list)) else None
            if found is None:
                break
            place, value = found, value[step]
        return place
