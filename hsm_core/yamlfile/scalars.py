"""What an unquoted word of YAML means: YAML 1.2's numbers, with warnings where a reader of 1.1 would differ.

PyYAML follows YAML 1.1, where `1e-3` is a string, `1:30:00` is 5400 and `010` is 8. Here `1e-3` is a number,
`1:30:00` and `2024-01-01` are strings and `010` is ten. `yes`, `no`, `on` and `off` are booleans, with a warning.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple, Optional, Union

from ..flatyaml import value_text

__all__ = ["Scalar", "ScalarError", "Suspicion", "as_yaml", "read_plain", "reads_as_number", "suspicion"]

Scalar = Union[None, bool, int, float, str]

_WORDS = {word: None for word in ("", "~", "null", "Null", "NULL")}
_BOOLEANS = {
    spelling: value
    for value, words in ((True, ("true", "yes", "on")), (False, ("false", "no", "off")))
    for word in words
    for spelling in (word, word.title(), word.upper())
}
_INT = re.compile(r"[-+]?[0-9][0-9_]*")
_BASED = re.compile(r"0(x[0-9a-fA-F]+|o[0-7]+|b[01]+)")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NUMBERISH = re.compile(r"[-+]?\.?[0-9][0-9_,]*(\.[0-9_,]*)?\.?([eE][-+]?[0-9_.]*)?")
_SIMPLE = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*")
_MAX_DIGITS = 300  # more than any float has; Python 3.11 refuses to read integers beyond 4300


class ScalarError(ValueError):
    """A word that is a number no program could be given."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Suspicion(NamedTuple):
    """Why a word may not have been read as its writer meant it, and how to write either."""

    message: str
    hint: str


def read_plain(text: str) -> Scalar:
    """The value of an unquoted word.

    :raises ScalarError: for numbers that JSON cannot carry (`.nan`, `.inf`, `1e999`) or that are absurdly long.
    """
    if text in _WORDS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[0] not in "+-.0123456789":
        return text
    if len(text) > _MAX_DIGITS and _FLOAT.fullmatch(text):
        raise ScalarError(f"a number of {len(text)} digits", "write it in quotes if a string is meant")
    if _INT.fullmatch(text):
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        number = float(text.replace("_", ""))
        if math.isinf(number):
            raise ScalarError(f"{text} is too large for a number", f'write "{text}" if a string is meant')
        return number
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _NOT_FINITE.fullmatch(text):
        word = "nan" if "n" in text.lower()[1:2] else text.replace(".", "").lower()
        raise ScalarError(
            f"{text} cannot be passed on: parameters travel as JSON, which has no such number",
            f'write "{word}" in quotes and let the program convert it',
        )
    return text


def reads_as_number(text: str) -> bool:
    """Whether a string would be a number if it were not quoted."""
    try:
        return isinstance(read_plain(text), (int, float)) and text not in _BOOLEANS
    except ScalarError:
        return True


def suspicion(text: str, value: Scalar) -> Optional[Suspicion]:
    """Doubts about how the unquoted word `text` was read as `value`, or None."""
    if isinstance(value, bool):
        spelled = "true" if value else "false"
        if text.lower() == spelled:
            return None
        return Suspicion(f"{text} was read as {spelled}", f'write {spelled}, or "{text}" in quotes for the word')
    if isinstance(value, int) and len(text.lstrip("+-")) > 1 and text.lstrip("+-")[0] == "0" and text.isdigit():
        return Suspicion(f"{text} was read as the number {value}", f'write {value}, or "{text}" to keep the zeros')
    if isinstance(value, str) and _NUMBERISH.fullmatch(text):
        return Suspicion(
            f"{text} looks like a number but was read as a string",
            f'write it as a number (0.1, 1e-3), a list ([1, 2]), or "{text}" in quotes',
        )
    return None


def as_yaml(value: Any) -> str:
    """A value as one line of YAML, in quotes only where they are needed."""
    plain = isinstance(value, str) and _SIMPLE.fullmatch(value) and read_plain(value) == value
    return value if plain else value_text(value)
