"""Durations and sizes."""

from __future__ import annotations

import contextlib
from typing import Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.config import parse_duration, parse_memory


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90", 90),
        ("90s", 90),
        ("90m", 5400),
        ("5 min", 300),
        ("2h30m", 9000),
        ("1.5h", 5400),
        ("1d 2h", 93600),
        ("30:00", 1800),
        ("1:30:00", 5400),
        ("2-12:00:00", 216000),
        (" 5m ", 300),
    ],
)
def test_durations(text: Union[str, float], seconds: float) -> None:
    """People's and schedulers' ways to write a duration come out in seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "h", "1x", "-1", -1, "1:2", "1:2:3:4", "30m2h", "1e3", "1m" * 20, "9" * 40, 1e300]
)
def test_bad_durations(text: Union[str, float]) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [("512M", 512), ("4G", 4096), ("4 GiB", 4096), ("4gb", 4096), ("1.5T", 1572864), ("1K", 1), ("1025k", 2)],
)
def test_sizes(text: str, mebibytes: int) -> None:
    """Sizes come out in mebibytes, rounded up."""
    assert parse_memory(text) == mebibytes


@pytest.mark.parametrize("text", ["", "4", "G", "-4G", "4X", "4GG", "four G"])
def test_bad_sizes(text: str) -> None:
    """Anything else is refused, a bare number too, since its unit would be a guess."""
    with pytest.raises(ValueError, match="not a size"):
        parse_memory(text)


@given(st.text(alphabet="0123456789dhms :-.GMkb\n", max_size=12))
def test_nothing_else_is_raised(text: str) -> None:
    """Whatever the text, the answer is a number or a ValueError."""
    for parse in (parse_duration, parse_memory):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0
