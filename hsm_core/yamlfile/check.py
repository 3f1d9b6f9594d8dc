"""Holding a document against a JSON schema, in words a person would use, with the place of each problem.

A schema may say `"x-expects": "a duration such as 90, 90m or 2h30m"` beside any rule: those words then stand for it.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Protocol, Sequence

from .accepts import accepts
from .document import Mark, Path, Problem, ProblemsError

__all__ = ["Checkable", "check", "dotted", "raise_problems", "shown", "suggest"]

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping (`key: value` lines)",
    "null": "nothing",
}


class Checkable(Protocol):
    """What can be checked: a `Document`, or several that are read as one."""

    @property
    def data(self) -> Dict[str, Any]:
        """The plain data."""

    def mark(self, path: Path = ()) -> Mark:
        """Where a value begins."""

    def key_mark(self, path: Path = ()) -> Mark:
        """Where a value's key is."""


def check(document: Checkable, schema: Mapping[str, Any], path: Path = (), ignore: Sequence[str] = ()) -> List[Problem]:
    """Hold a document, or the part of it at `path`, against a JSON schema (draft 7).

    :param ignore: keys of that part which the schema is not shown.
    :returns: every problem, in the order of the file; empty when all is well.
    """
    data: Any = document.data
    for step in path:
        data = data[step]
    if ignore:
        data = {key: value for key, value in data.items() if key not in ignore}
    if accepts(schema, data):
        return []
    from jsonschema import Draft7Validator

    found: List[Problem] = []
    for error in Draft7Validator(schema).iter_errors(data):
        found.extend(_problems(document, [*path, *error.absolute_path], error))
    # One value may break two rules that read the same to a person.
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda problem: (problem.mark.line, problem.mark.column, problem.message))


def raise_problems(problems: Sequence[Problem]) -> None:
    """Do nothing when there are none.

    :raises ProblemsError: that names the first problem, and says how many more there are.
    """
    if problems:
        raise ProblemsError(problems)


def suggest(word: str, known: Iterable[str], otherwise: Optional[str] = None) -> Optional[str]:
    """A hint that names the known word nearest to a misspelt one; `otherwise`, or all of them, when none is near."""
    import difflib

    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if otherwise is None and words:
        return f"known here: {', '.join(words)}"
    return otherwise


def _problems(document: Checkable, path: Path, error: Any) -> Iterator[Problem]:
    where = dotted(path)
    schema: Dict[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        properties = schema.get("properties", {})
        for key in error.instance:
            if key not in properties:
                inside = f" in {where}" if where else ""
                yield Problem(f"unknown key {key!r}{inside}", document.key_mark([*path, key]), suggest(key, properties))
        return
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        # jsonschema reports each missing key on its own; `message` begins with its name.
        name = next((key for key in missing if error.message.startswith(repr(key))), missing[0])
        inside = f" in {where}" if where else ""
        yield Problem(f"the key {name!r} is missing{inside}", document.key_mark(path), f"add a line `{name}: …`")
        return
    subject = where or "the file"
    mark = document.mark(path)
    expects = schema.get("x-expects")
    if "propertyNames" in error.absolute_schema_path:
        name = error.instance
        inside = f" in {where}" if where else ""
        message = f"the name {shown(name)}{inside} must be {expects or error.message}"
        yield Problem(message, document.key_mark([*path, name]))
    elif expects:
        yield Problem(f"{subject} must be {expects}, not {shown(error.instance)}", mark)
    elif error.validator == "enum":
        hint = suggest(error.instance, schema["enum"]) if isinstance(error.instance, str) else None
        known = ", ".join(str(word) for word in schema["enum"])
        yield Problem(f"{subject} must be one of {known}, not {shown(error.instance)}", mark, hint)
    elif error.validator == "type":
        kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        wanted = " or ".join(_KINDS.get(kind, str(kind)) for kind in kinds)
        yield Problem(f"{subject} must be {wanted}, not {shown(error.instance)}", mark)
    elif error.validator in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        relation = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}
        word = relation.get(error.validator, "less than")
        yield Problem(f"{subject} must be {word} {error.validator_value}, not {shown(error.instance)}", mark)
    elif error.validator in ("minItems", "minLength", "minProperties"):
        yield Problem(f"{subject} must not be empty", mark)
    else:
        yield Problem(f"{subject}: {error.message}".replace("\n", " ")[:300], mark)


def dotted(path: Path) -> str:
    """A path as people write it: `sources.gpu1.options[2]`."""
    text = ""
    for step in path:
        if isinstance(step, str) and not step.isprintable():
            step = repr(step)
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def shown(value: Any) -> str:
    """A value as a message shows it: short, on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
