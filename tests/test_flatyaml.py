"""Flat YAML is read alike by its own reader, by PyYAML's two parsers, and line by line as JSON."""

from __future__ import annotations

import json
import math

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from hsm_core import flatyaml

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = TEXT | st.sampled_from(["no", "null", "a.b", "-", "<<", "=", "1", "a: b", "#", "", "~", "a-b", "\x85", "é"])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def same(one: object, other: object) -> bool:
    """Equal, of the same types all the way down."""
    return repr(one) == repr(other)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
@example({"a": 1e-5, "b": 1e22, "c": -0.0, "d": 5e-324})
@example({"a": "\u2028\u2029\x85\x7f\ufeff\ufffe\x00\n\t😀"})
@example({"a": ["- x", "{", "*a", "&a", "!t", "%", "@", "`"], "b": {"<<": 1, "=": "no"}})
def test_every_reader_agrees(mapping: dict) -> None:
    """What is written is read back unchanged by `loads`, by both of PyYAML's parsers, and a line at a time."""
    text = flatyaml.dumps(mapping)
    assert same(flatyaml.loads(text), mapping)
    assert same(yaml.load(text, yaml.SafeLoader), mapping)
    if hasattr(yaml, "CSafeLoader"):
        assert same(yaml.load(text, yaml.CSafeLoader), mapping)
    assert text.count("\n") == max(1, len(mapping))


def test_plain_keys_stay_plain() -> None:
    """A shell can look for `state: ` at the start of a line."""
    assert flatyaml.dumps({"state": "failed", "no": 1}) == 'state: "failed"\n"no": 1\n'


def test_half_a_surrogate_pair_can_be_written_to_a_file() -> None:
    """A text that UTF-8 cannot hold is escaped rather than left to fail when the file is written."""
    text = flatyaml.dumps({"a": "\ud800"})
    assert json.loads(text.encode("utf-8").decode()[3:]) == "\ud800"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_floats_that_are_not_finite_are_refused(value: float) -> None:
    """JSON has no such numbers."""
    with pytest.raises(ValueError, match="JSON"):
        flatyaml.dumps({"a": value})


@pytest.mark.parametrize("value", [{1, 2}, object(), {1: 2}, b"x"])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    """A value without a JSON text is a TypeError."""
    with pytest.raises(TypeError):
        flatyaml.dumps({"a": value})


@pytest.mark.parametrize("text", ["a", "a: ", "a: 1\nb", '"a"x: 1', "a: {", '"a: 1', "- 1"])
def test_other_text_is_refused_with_its_line(text: str) -> None:
    """`loads` names the line that is not of its kind."""
    with pytest.raises(ValueError, match=r"^line \d+ is not"):
        flatyaml.loads(text)
