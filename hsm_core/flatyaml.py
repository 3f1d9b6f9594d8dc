"""Flat YAML: one `key: JSON value` a line, so that a YAML library, a shell and ten lines of any language read it alike.

JSON is almost YAML. What this writer does beyond `json.dumps` is to keep inside the part that both read equally:
floats always have a point (PyYAML reads `1e-05` as text), characters beyond the basic plane stand as themselves (YAML
would read the two halves of a JSON surrogate pair as two characters), and unprintable characters are escaped.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring
from typing import Any, Dict, List, Mapping, Match, Tuple

__all__ = ["dumps", "loads", "plain_text", "value_text"]

_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_YAML_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_EMPTY = "{}\n"


def dumps(mapping: Mapping[str, Any]) -> str:
    """Write a mapping of JSON values.

    :raises ValueError: for a float that is not finite.
    :raises TypeError: for what JSON cannot hold.
    """
    if not mapping:
        return _EMPTY
    return "".join([f"{plain_text(key)}: {value_text(value)}\n" for key, value in mapping.items()])


def loads(text: str) -> Dict[str, Any]:
    """Read what `dumps` wrote.

    :raises ValueError: for any other text, naming the line.
    """
    mapping: Dict[str, Any] = {}
    if text == _EMPTY:
        return mapping
    # Not splitlines(): that also splits at characters which are no line breaks here.
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        try:
            key, value = _split(line)
            mapping[key] = json.loads(value)
        except ValueError as error:
            raise ValueError(f"line {number} is not `key: JSON value`: {line[:80]!r}") from error
    return mapping


def value_text(value: Any) -> str:
    """One value, as JSON that is also YAML, on one line.

    :raises ValueError: for a float that is not finite.
    :raises TypeError: for what JSON cannot hold.
    """
    if isinstance(value, str):
        text = encode_basestring(value)
        return _UNSAFE.sub(_escape, text) if _UNSAFE.search(text) else text
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join([value_text(item) for item in value])}]"
    if isinstance(value, Mapping):
        pairs: List[str] = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key must be text, not {key!r}")
            pairs.append(f"{value_text(key)}: {value_text(item)}")
        return f"{{{', '.join(pairs)}}}"
    raise TypeError(f"JSON cannot hold {value!r}")


def _float_text(value: float) -> str:
    text = float.__repr__(value)
    if "n" in text:  # nan, inf
        raise ValueError(f"JSON cannot hold {text}")
    if "e" in text and "." not in text:
        return text.replace("e", ".0e")
    return text


def plain_text(key: str) -> str:
    """Text without quotes where YAML reads it as the same text, with them otherwise."""
    if _PLAIN_KEY.fullmatch(key) and key.lower() not in _YAML_WORDS:
        return key
    return value_text(key)


def _escape(match: Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def _split(line: str) -> Tuple[str, str]:
    if line.startswith('"'):
        key, end = json.JSONDecoder().raw_decode(line)
        if line[end : end + 2] != ": ":
            raise ValueError("no colon after the key")
        return key, line[end + 2 :]
    key, colon, value = line.partition(": ")
    if not colon:
        raise ValueError("no colon")
    return key, value
