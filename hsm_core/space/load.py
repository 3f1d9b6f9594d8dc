"""`sweep_config.yaml`: from a document with places to a space, and the few things a sweep says besides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Mapping, NamedTuple, Optional, Tuple

from ..yamlfile import Document, Problem, ProblemsError, check, raise_problems
from ..yamlfile.check import shown, suggest
from .conditions import ConditionError, Predicate, equals, parse
from .joint import Condition, UndecidedError
from .reader import Path, Reader
from .sections import SECTIONS
from .space import Space

__all__ = ["ResourceGroup", "SweepFile", "load_space"]

_CONDITIONS = ("where", "exclude")
_KEYS = (*SECTIONS, *_CONDITIONS, "command", "resources", "metadata")


class ResourceGroup(NamedTuple):
    """Tasks for which a condition holds, and what they need instead, as written and checked."""

    where: Predicate
    resources: Mapping[str, Any]


@dataclass(frozen=True)
class SweepFile:
    """What a sweep file says.

    :param metadata: description, tags and whatever else its writer wants to remember.
    :param command: replaces `project.command` for this sweep; None leaves it.
    :param resources: the `resources` section as written and checked; `config.read_resources(resources, base)` lays it
        over the project's.
    :param groups: tasks that need something else, each with a section like `resources`; later ones come first.
    :param warnings: what its writer may not have meant, each with its place.
    """

    space: Space
    metadata: Mapping[str, Any] = field(default_factory=dict)
    command: Optional[Tuple[str, ...]] = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    groups: Tuple[ResourceGroup, ...] = ()
    warnings: Tuple[Problem, ...] = ()


def load_space(document: Document) -> SweepFile:
    """The sweep that a document describes.

    :raises ProblemsError: with everything that is wrong; the message names the first, with line and column.
    """
    reader = Reader(document)
    data = document.data
    reader.only_keys(data, _KEYS, ())
    for section, value in data.items():
        if section in SECTIONS:
            SECTIONS[section](reader, value, (section,))
    if not any(section in SECTIONS for section in data):
        reader.problem("no parameters are declared", (), "add a `grid:` with lists of values")
    conditions, texts = _conditions(reader)
    groups = _groups(reader)
    reader.problems.extend(_check_rest(document))
    raise_problems(sorted(reader.problems, key=_in_file_order))
    command = data.get("command")
    return SweepFile(
        space=_build(reader, conditions, texts),
        metadata=data.get("metadata") or {},
        command=None if command is None else tuple(command),
        resources=data.get("resources") or {},
        groups=groups,
        warnings=_merged(document.warnings, reader.warnings),
    )


def _conditions(reader: Reader) -> Tuple[List[Condition], List[Any]]:
    """Conditions, and what decides them as JSON."""
    conditions: List[Condition] = []
    texts: List[Any] = []
    for section in _CONDITIONS:
        given = reader.document.data.get(section)
        if given is None:
            continue
        several = isinstance(given, list)
        for number, item in enumerate(given if several else [given]):
            path: Path = (section, number) if several else (section,)
            predicate = _predicate(reader, section, item, path)
            if predicate is not None:
                conditions.append(Condition(predicate, section == "where", reader.document.mark(path)))
                texts.append([section, item])
    return conditions, texts


def _groups(reader: Reader) -> Tuple[ResourceGroup, ...]:
    """The groups whose conditions can be read; what else is wrong with the section, its schema says."""
    section = reader.document.data.get("resources")
    given = section.get("groups") if isinstance(section, dict) else None
    groups: List[ResourceGroup] = []
    for number, item in enumerate(given if isinstance(given, list) else []):
        if isinstance(item, dict) and isinstance(item.get("where"), str):
            path: Path = ("resources", "groups", number, "where")
            predicate = _predicate(reader, "where", item["where"], path)
            if predicate is not None:
                groups.append(ResourceGroup(predicate, {key: item[key] for key in item if key != "where"}))
    return tuple(groups)


def _predicate(reader: Reader, section: str, item: Any, path: Path) -> Optional[Predicate]:
    if isinstance(item, dict) and section == "exclude":
        expected = {}
        for entry in reader.entries(item, path):
            if entry.name not in reader.declared:
                hint = suggest(entry.name, reader.declared)
                reader.problem(f"there is no parameter {entry.name!r}", entry.path, hint, key=True)
            expected[entry.name] = entry.value
        return equals(expected) if expected.keys() <= reader.declared.keys() else None
    if not isinstance(item, str):
        kinds = "an expression, or a mapping of parameters to values" if section == "exclude" else "an expression"
        reader.problem(f"a condition of {section} is {kinds}, not {shown(item)}", path, 'write "lr < 0.1"')
        return None
    try:
        return parse(item, reader.declared)
    except ConditionError as error:
        reader.problem(f"{section}: {error.message}", path, error.hint)
        return None


def _build(reader: Reader, conditions: List[Condition], texts: List[Any]) -> Space:
    try:
        space = Space(reader.axes, conditions, texts)
    except ConditionError as error:
        raise ProblemsError([Problem(error.message, conditions[0].mark, error.hint)]) from None
    except UndecidedError as error:
        raise ProblemsError([Problem(error.reason.message, error.mark, error.reason.hint)]) from None
    for condition in conditions:
        if not condition.removed:
            message = "this condition rules nothing out" if condition.keep else "this condition excludes nothing"
            reader.warnings.append(Problem(message, condition.mark))
    return space


def _check_rest(document: Document) -> List[Problem]:
    """The sections that are no axes; jsonschema is loaded only for a file that has one of them."""
    problems: List[Problem] = []
    data = document.data
    if data.get("metadata") is not None and not isinstance(data["metadata"], dict):
        message = f"metadata must be a mapping, not {shown(data['metadata'])}"
        problems.append(Problem(message, document.mark(("metadata",)), "write `description: …` below it"))
    if data.get("command") is not None or data.get("resources") is not None:
        from ..config.schema import SCHEMA, SWEEP_RESOURCES

        command = SCHEMA["properties"]["project"]["properties"]["command"]
        for section, schema in (("command", command), ("resources", SWEEP_RESOURCES)):
            if data.get(section) is not None:
                problems.extend(check(document, schema, (section,)))
    return problems


def _merged(first: Tuple[Problem, ...], second: List[Problem]) -> Tuple[Problem, ...]:
    """Both, in the order of the file; of two at one place the first."""
    by_place = {problem.mark: problem for problem in reversed([*first, *second])}
    return tuple(sorted(by_place.values(), key=_in_file_order))


def _in_file_order(problem: Problem) -> Tuple[int, int]:
    return problem.mark.line, problem.mark.column
