"""A quick yes for data that fits its schema.

Importing jsonschema takes 70 ms, a fifth of the time in which the first task of a run should start, and nearly every
file is right. So the few rules that our schemas use are checked here; whatever is refused, or is ruled by a keyword
that is unknown here, goes to jsonschema, which also says why.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Mapping

__all__ = ["accepts"]


class _Unsure(Exception):
    """A rule that only jsonschema can judge."""


def accepts(schema: Mapping[str, Any], value: Any) -> bool:
    """True when `value` certainly fits `schema` (JSON schema draft 7); False when it does not, or when in doubt."""
    try:
        return _fits(schema, value)
    except _Unsure:
        return False


def _fits(schema: Any, value: Any) -> bool:
    if isinstance(schema, bool):
        return schema
    for keyword, rule in schema.items():
        if keyword in _ANNOTATIONS or keyword.startswith("x-"):
            continue
        judge = _RULES.get(keyword)
        if judge is None:
            raise _Unsure(keyword)
        if not judge(rule, value, schema):
            return False
    return True


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_KINDS: Dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _number(value) and value == int(value),
    "number": _number,
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def _type(rule: Any, value: Any, schema: Any) -> bool:
    return any(_KINDS[kind](value) for kind in (rule if isinstance(rule, list) else [rule]))


def _enum(rule: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, str):
        raise _Unsure  # JSON's equality of numbers and booleans is not Python's
    return value in rule


def _const(rule: Any, value: Any, schema: Any) -> bool:
    if not isinstance(rule, str):
        raise _Unsure  # as with `enum`
    return isinstance(value, str) and value == rule


def _additional(rule: Any, value: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    if "patternProperties" in schema:
        raise _Unsure
    known = schema.get("properties", {})
    return all(_fits(rule, item) for key, item in value.items() if key not in known)


def _items(rule: Any, value: Any, schema: Any) -> bool:
    if isinstance(rule, list):
        raise _Unsure
    return not isinstance(value, list) or all(_fits(rule, item) for item in value)


def _properties(rule: Any, value: Any, schema: Any) -> bool:
    return not isinstance(value, dict) or all(_fits(rule[key], value[key]) for key in rule if key in value)


_ANNOTATIONS = frozenset({"$schema", "title", "description", "default", "examples", "$comment"})
_RULES: Dict[str, Callable[[Any, Any, Any], bool]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "required": lambda rule, value, schema: not isinstance(value, dict) or all(key in value for key in rule),
    "propertyNames": lambda rule, value, schema: not isinstance(value, dict) or all(_fits(rule, key) for key in value),
    "pattern": lambda rule, value, schema: not isinstance(value, str) or bool(re.search(rule, value)),
    "minLength": lambda rule, value, schema: not isinstance(value, str) or len(value) >= rule,
    "minItems": lambda rule, value, schema: not isinstance(value, list) or len(value) >= rule,
    "minProperties": lambda rule, value, schema: not isinstance(value, dict) or len(value) >= rule,
    "minimum": lambda rule, value, schema: not _number(value) or value >= rule,
    "maximum": lambda rule, value, schema: not _number(value) or value <= rule,
    "exclusiveMinimum": lambda rule, value, schema: not _number(value) or value > rule,
    "exclusiveMaximum": lambda rule, value, schema: not _number(value) or value < rule,
    "anyOf": lambda rule, value, schema: any(_fits(each, value) for each in rule),
    "not": lambda rule, value, schema: not _fits(rule, value),
}
