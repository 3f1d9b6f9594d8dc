"""Durations and memory sizes as people write them."""

from __future__ import annotations

import math
import re
from typing import Union

__all__ = ["DURATION", "MEMORY", "parse_duration", "parse_memory"]

# Bounded, without nested repetition: no text can make these slow, and no number overflows.
_NUMBER = r"(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
DURATION = (
    rf"^\s*(?:{_NUMBER}"
    rf"|(?=[\d.])(?:{_NUMBER} ?d)?(?: ?{_NUMBER} ?h)?(?: ?{_NUMBER} ?m(?:in)?)?(?: ?{_NUMBER} ?s)?"
    r"|(?:\d{1,9}-)?\d{1,9}:\d{2}:\d{2}|\d{1,9}:\d{2})\s*$"
)
"""Regular expression of every duration that `parse_duration` reads; the schema holds configurations to it."""
MEMORY = rf"^\s*{_NUMBER} ?[kKmMgGtT](?:i?[bB])?\s*$"
"""Regular expression of every size that `parse_memory` reads."""

_PART = re.compile(rf"({_NUMBER}) ?([dhms])")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_MEBIBYTES = {"k": 1 / 1024, "m": 1.0, "g": 1024.0, "t": 1024.0 * 1024.0}


def parse_duration(value: Union[str, int, float]) -> float:
    """Seconds in `90`, `"90s"`, `"90m"`, `"2h30m"`, `"1d"`, `"30:00"` (minutes), `"1:30:00"` or `"2-12:00:00"` (days).

    :raises ValueError: for anything else.
    """
    if isinstance(value, (int, float)):
        if not 0 <= value < 1e10:
            raise ValueError(f"not a duration: {value!r}")
        return float(value)
    text = value.strip()
    if not re.match(DURATION, text):
        raise ValueError(f"not a duration: {value!r}")
    if ":" in text:
        days, _, clock = text.rpartition("-")
        seconds = 0
        for field in clock.split(":"):
            seconds = seconds * 60 + int(field)
        return float(seconds + 86400 * int(days or 0))
    parts = _PART.findall(text)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else float(text)


def parse_memory(text: str) -> int:
    """Mebibytes in `"512M"`, `"4G"`, `"4GB"`, `"1.5T"`, rounded up; K, M, G and T are powers of 1024.

    :raises ValueError: for anything else, a bare number too: its unit would be a guess.
    """
    if not re.match(MEMORY, text):
        raise ValueError(f"not a size: {text!r}")
    number, unit = re.findall(rf"({_NUMBER}) ?([kmgt])", text.lower())[0]
    return math.ceil(float(number) * _MEBIBYTES[unit])
