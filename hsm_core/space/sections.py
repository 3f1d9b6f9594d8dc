"""The sections of a sweep file that declare parameters; each becomes one axis, or several."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional

from ..yamlfile.check import shown, suggest
from .axes import RowsAxis, SampledAxis, ValuesAxis
from .reader import Entry, Path, Reader
from .sampling import DISTRIBUTIONS, Choice, Distribution, IntRange, LogUniform, Uniform
from .values import name_problem

__all__ = ["SECTIONS"]

MAX_COUNT = 10**12
MAX_INT_RANGE = 2**64
MAX_SEED = 2**63 - 1
MAX_FLOAT = 1e300  # so that `high - low` is finite


def _grid(reader: Reader, section: Any, path: Path) -> None:
    """Every parameter is an axis of its own; a single value is an axis of one."""
    for entry in reader.entries(section, path):
        if entry.value is None or entry.value == {}:
            reader.problem(f"{entry.name} has no values", entry.path, "write `name: [1, 2]`", key=True)
        elif isinstance(entry.value, list):
            _values_axis(reader, entry.name, entry, entry.path)
        else:
            reader.value(entry.value, entry.path)
            reader.declare(entry.name, entry.path)
            reader.axes.append(ValuesAxis(entry.name, [entry.value]))


def _values_axis(reader: Reader, name: str, entry: Entry, declared_at: Path, noun: str = "value") -> None:
    values = reader.values(entry)
    if values is not None:
        reader.twins(entry.name, values, lambda position: (*entry.path, position))
        reader.declare(name, declared_at)
        reader.axes.append(ValuesAxis(name, values, noun))


def _paired(reader: Reader, section: Any, path: Path) -> None:
    """Each group's lists are walked side by side; a single group needs no list around it."""
    if isinstance(section, list):
        if not section:
            reader.problem("paired is empty", path, "add a group, or delete it")
        for number, group in enumerate(section):
            _pair(reader, group, (*path, number))
    else:
        _pair(reader, section, path)


def _pair(reader: Reader, group: Any, path: Path) -> None:
    lists: Dict[str, List[Any]] = {}
    first: Optional[Entry] = None
    for entry in reader.entries(group, path):
        values = reader.values(entry)
        if values is None:
            continue
        first = first or entry
        if len(values) != len(first.value):
            message = f"{entry.name} has {len(values)} values, but {first.name}, paired with it, has {len(first.value)}"
            reader.problem(message, entry.path, "paired lists are equally long")
        reader.declare(entry.name, entry.path)
        lists[entry.name] = values
    if first is not None:
        rows = [dict(zip(lists, row)) for row in zip(*lists.values())]
        at = first.path
        reader.twins("paired", rows, lambda position: (*at, position))
        reader.axes.append(RowsAxis(rows, "pair"))


def _list(reader: Reader, section: Any, path: Path) -> None:
    """Combinations written out one by one; they need not all give the same parameters."""
    if not isinstance(section, list) or not section:
        what = "is empty" if section == [] else f"must be a list of mappings, not {shown(section)}"
        reader.problem(f"list {what}", path, "write `- {name: value, …}` lines")
        return
    rows: List[Dict[str, Any]] = []
    seen: Dict[str, Path] = {}
    for number, item in enumerate(section):
        row: Dict[str, Any] = {}
        for entry in reader.entries(item, (*path, number)):
            reader.value(entry.value, entry.path)
            if entry.name in row:
                reader.problem(f"the parameter {entry.name!r} is twice in one entry", entry.path, key=True)
            row[entry.name] = entry.value
            seen.setdefault(entry.name, entry.path)
        rows.append(row)
    for name, at in seen.items():
        reader.declare(name, at)
    reader.twins("list", rows, lambda position: (*path, position))
    reader.axes.append(RowsAxis(rows, "row"))


def _fixed(reader: Reader, section: Any, path: Path) -> None:
    """Parameters that are the same everywhere."""
    row: Dict[str, Any] = {}
    for entry in reader.entries(section, path):
        reader.value(entry.value, entry.path)
        reader.declare(entry.name, entry.path)
        row[entry.name] = entry.value
    reader.axes.append(RowsAxis([row], "fixed"))


def _repeats(reader: Reader, section: Any, path: Path) -> None:
    """The same again with seeds 0, 1, …: `repeats: 3` or `repeats: {count: 3, name: seed}`."""
    entry = _short_form(reader, section, "count", path)
    if entry is not None:
        name = _seed_name(reader, section, path)
        count = reader.whole("repeats", entry.value, entry.path, 1, MAX_COUNT)
        if name is not None and count is not None:
            reader.declare(name, path)
            reader.axes.append(ValuesAxis(name, range(count), "repeat"))


def _seeds(reader: Reader, section: Any, path: Path) -> None:
    """The same again with these seeds: `seeds: [1, 7]` or `seeds: {values: [1, 7], name: seed}`."""
    entry = _short_form(reader, section, "values", path)
    if entry is not None:
        name = _seed_name(reader, section, path)
        if name is not None:
            _values_axis(reader, name, entry, path, "seed")


def _short_form(reader: Reader, section: Any, key: str, path: Path) -> Optional[Entry]:
    """What `key` says in a section which may also be just that; or None after a complaint."""
    what = str(path[0])
    if not isinstance(section, dict):
        return Entry(what, section, path)
    reader.only_keys(section, (key, "name"), path)
    if key in section:
        return Entry(what, section[key], (*path, key))
    if section.keys() <= {"name"}:  # otherwise a misspelt key was complained of already
        reader.problem(f"{what} has no {key!r}", path, f"add `{key}: …`")
    return None


def _seed_name(reader: Reader, section: Any, path: Path) -> Optional[str]:
    name = section.get("name", "seed") if isinstance(section, dict) else "seed"
    why = name_problem(name) if isinstance(name, str) else f"the parameter's name must be text, not {shown(name)}"
    if why is not None:
        reader.problem(why, (*path, "name"))
        return None
    return str(name)


def _random(reader: Reader, section: Any, path: Path) -> None:
    """Parameters drawn together, `count` times."""
    if not isinstance(section, dict):
        remedy = "give it `count`, `seed` and `parameters`"
        reader.problem(f"random must be a mapping, not {shown(section)}", path, remedy)
        return
    reader.only_keys(section, ("count", "seed", "parameters"), path)
    count = reader.whole("random.count", section.get("count"), (*path, "count"), 1, MAX_COUNT)
    seed = reader.whole("random.seed", section.get("seed", 0), (*path, "seed"), 0, MAX_SEED)
    distributions: Dict[str, Distribution] = {}
    for entry in reader.entries(section.get("parameters"), (*path, "parameters")):
        parameter, _, kind = entry.name.rpartition(".")
        if not parameter or kind not in DISTRIBUTIONS:
            hint = suggest(kind, DISTRIBUTIONS) if parameter else "write `lr: {log_uniform: [1e-5, 1e-1]}`"
            reader.problem(f"{parameter or kind} has no known distribution", entry.path, hint, key=True)
            continue
        distribution = _distribution(reader, kind, entry)
        if distribution is not None:
            reader.declare(parameter, entry.path[:-1])
            distributions[parameter] = distribution
    if count is not None and seed is not None:
        reader.axes.append(SampledAxis(count, seed, distributions))


def _distribution(reader: Reader, kind: str, entry: Entry) -> Optional[Distribution]:
    """The distribution that an entry `NAME.KIND: [...]` stands for, or None after a complaint."""
    values = reader.values(entry)
    if values is None:
        return None
    if kind == "choice":
        return Choice(tuple(values))
    numbers = (int,) if kind == "int" else (int, float)
    if len(values) != 2 or any(isinstance(value, bool) or not isinstance(value, numbers) for value in values):
        noun = "whole numbers" if kind == "int" else "numbers"
        reader.problem(f"{entry.name} must be two {noun}", entry.path, f"write `{kind}: [low, high]`")
        return None
    low, high = values
    if low > high:
        reader.problem(f"{entry.name} begins above its end", entry.path, f"write `{kind}: [low, high]`")
    elif kind == "int":
        if high - low < MAX_INT_RANGE:
            return IntRange(low, high)
        reader.problem(f"{entry.name} spans more than 2^64 numbers", entry.path)
    elif max(abs(low), abs(high)) > MAX_FLOAT:
        reader.problem(f"{entry.name} goes beyond {MAX_FLOAT:g}", entry.path)
    elif kind == "uniform":
        return Uniform(float(low), float(high))
    elif low > 0:
        return LogUniform(float(low), float(high))
    else:
        reader.problem(f"{entry.name} must begin above zero", entry.path, "use uniform, or a small number")
    return None


SECTIONS: Mapping[str, Callable[[Reader, Any, Path], None]] = {
    "grid": _grid,
    "paired": _paired,
    "list": _list,
    "random": _random,
    "repeats": _repeats,
    "seeds": _seeds,
    "fixed": _fixed,
}
"""How each is read, by its key in the file."""
