"""What may be a parameter: names that every program can be told, values that JSON and a command line can carry."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Mapping, Optional

__all__ = ["canonical", "name_problem", "value_problem"]

MAX_NAME = 200
MAX_BITS = 4096
"""The largest whole number: beyond some thousand digits Python itself refuses to print one."""

_BAD_IN_NAME = re.compile("[\\s=\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_BAD_IN_TEXT = re.compile("[\x00\ud800-\udfff]")


def name_problem(name: str) -> Optional[str]:
    """Why `name` cannot be a parameter's name, or None when it can."""
    odd = _BAD_IN_NAME.search(name)
    if odd is not None:
        what = {"=": "an equals sign", " ": "a space"}.get(odd.group(), f"the character U+{ord(odd.group()):04X}")
        return f"the parameter name {name[:60]!r} contains {what}"
    if "" in name.split("."):
        return f"the parameter name {name[:60]!r} has an empty part; dots stand between nested keys"
    if name.startswith("-"):
        return f"the parameter name {name[:60]!r} begins with a dash"
    if len(name) > MAX_NAME:
        return f"the parameter name {name[:30]!r}… has {len(name)} characters; {MAX_NAME} is the most"
    return None


def value_problem(value: Any) -> Optional[str]:
    """Why `value` cannot travel to a program as JSON and on a command line, or None when it can."""
    if isinstance(value, str):
        odd = _BAD_IN_TEXT.search(value)
        if odd is None:
            return None
        what = "a NUL character" if odd.group() == "\x00" else f"half a surrogate pair (U+{ord(odd.group()):04X})"
        return f"a text contains {what}, which no command line can carry"
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return f"a number of more than {MAX_BITS} bits" if value.bit_length() > MAX_BITS else None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not a number that JSON has; write it in quotes"
    if isinstance(value, list):
        return next(filter(None, map(value_problem, value)), None)
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or len(key) > MAX_NAME:
                return f"a key inside a value is not a text of at most {MAX_NAME} characters: {str(key)[:60]!r}"
            problem = value_problem(key) or value_problem(item)
            if problem is not None:
                return problem
        return None
    return f"a {type(value).__name__} is not a value that JSON has"


def canonical(value: Any) -> str:
    """The one JSON text of a value: equal values give equal texts, and `1`, `1.0` and `true` differ."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
