"""What unquoted words mean."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.yamlfile import loads, reads_as_number
from hsm_core.yamlfile.scalars import ScalarError, as_yaml, read_plain, suspicion


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("+7", 7),
        ("1_000", 1000),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("0b101", 5),
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e+2", -50.0),
        ("1_000.5", 1000.5),
        ("true", True),
        ("No", False),
        ("ON", True),
        ("", None),
        ("~", None),
        ("null", None),
        ("2024-01-01", "2024-01-01"),
        ("1:30:00", "1:30:00"),
        ("10.0.0.1", "10.0.0.1"),
        ("1e", "1e"),
        ("y", "y"),
        ("e3", "e3"),
        (".", "."),
        ("-", "-"),
        ("nan", "nan"),
    ],
)
def test_words(text: str, value: object) -> None:
    """Words become the values that the documentation promises, of exactly that type."""
    result = read_plain(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.Inf", "1e999", "-1e999", "9" * 400])
def test_numbers_json_cannot_carry(text: str) -> None:
    """Numbers that are not finite, or absurdly long, are refused with a remedy."""
    with pytest.raises(ScalarError) as caught:
        read_plain(text)
    assert "quotes" in caught.value.hint or '"' in caught.value.hint


@pytest.mark.parametrize("text", ["yes", "No", "off", "ON", "1e", "0.1.", "1,5", "1_000.5e", "010", "1e-3.5"])
def test_doubtful_words(text: str) -> None:
    """Words that other readers take differently are warned about."""
    doubt = suspicion(text, read_plain(text))
    assert doubt is not None
    assert text in doubt.message
    assert doubt.hint


@pytest.mark.parametrize(
    "text", ["true", "FALSE", "1", "0", "0.1", "2024-01-01", "1:30:00", "1.2.3", "10.0.0.1", "abc"]
)
def test_clear_words(text: str) -> None:
    """Ordinary words, dates, versions and addresses are not warned about."""
    assert suspicion(text, read_plain(text)) is None


@given(st.text())
def test_words_never_fail_otherwise(text: str) -> None:
    """Every text is either read or refused as a number; nothing else can happen."""
    try:
        value = read_plain(text)
    except ScalarError:
        assert reads_as_number(text)
        return
    suspicion(text, value)
    assert reads_as_number(text) == (isinstance(value, (int, float)) and not isinstance(value, bool))


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**200), 10**200))
def test_python_numbers(number: float) -> None:
    """A number as Python writes it is read as the same number."""
    assert read_plain(repr(number)) == number


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1).filter("<<".__ne__), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(_JSON)
def test_as_yaml_comes_back(value: object) -> None:
    """What `as_yaml` writes is read as the same value, here and by PyYAML."""
    text = f"value: {as_yaml(value)}\n"
    assert json.dumps(loads(text, "f").data["value"]) == json.dumps(value)
    if not isinstance(value, str):
        assert yaml.safe_load(text) == {"value": value}
