"""Every style carries every value, and each tells its names apart."""

from __future__ import annotations

import argparse
import json
import random
from typing import Any, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.command.styles import STYLES, plain_text
from hsm_core.errors import ConfigError

PIECES = [
    *"'\"\\$`;|&<>*?~#!%{}[]()=,:@+-. \n\t\r\x01\x7f\x85é😀\u2028\ufeff0aA",
    "$(rm -rf x)",
    "--",
    "${HOME}",
    "%s",
    "null",
]
TEXT = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8
) | st.sampled_from(PIECES)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def nasty_strings(count: int) -> List[str]:
    """Strings made of what shells and parsers trip over, some empty, some very long, always the same ones."""
    rng = random.Random(0)
    strings = ["".join(rng.choices(PIECES, k=rng.randint(0, 6))) for _ in range(count - 2)]
    return ["x" * 100_000, "é" * 60_000, *(string for string in strings if string != "--")]


def by_argparse(args: List[str], names: Dict[str, str]) -> Dict[str, str]:
    """What a real argparse parser makes of arguments; `names` maps each flag to its parameter."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag, name in names.items():
        parser.add_argument(flag, dest=name)
    return vars(parser.parse_args(args))


@given(VALUES.filter(lambda value: value != "--"), VALUES.filter(lambda value: value != "--"))
def test_argparse_gets_every_value(one: Any, other: Any) -> None:
    """Text arrives as it is, all else as JSON, whatever it begins with and whatever follows it."""
    params = {"model.lr": one, "batch_size": other}
    args = STYLES["argparse"](list(params)).args(params, "")
    assert by_argparse(args, {"--model-lr": "model.lr", "--batch_size": "batch_size"}) == {
        name: plain_text(value) for name, value in params.items()
    }


@given(VALUES)
def test_plain_text_can_be_read_back(value: Any) -> None:
    """A text is itself, everything else is JSON of the same value and type."""
    text = plain_text(value)
    assert repr(text if isinstance(value, str) else json.loads(text)) == repr(value)


@given(st.dictionaries(st.sampled_from(["lr", "model.lr", "é", "a-b"]), VALUES))
def test_json_gets_every_value(params: Dict[str, Any]) -> None:
    """The file holds the very mapping, and its path is the only argument."""
    style = STYLES["json"](list(params))
    assert repr(json.loads(style.files(params)["params.json"])) == repr(params)
    assert style.args(params, "/x/params.json") == ["/x/params.json"]


@given(VALUES)
def test_env_gets_every_value(value: Any) -> None:
    """The variable is named after the parameter; text is itself, everything else JSON."""
    style = STYLES["env"](["model.lr-x"])
    assert style.env({"model.lr-x": value}) == {"HSM_PARAM_MODEL_LR_X": plain_text(value)}
    assert style.args({"model.lr-x": value}, "") == []


def test_argparse_gets_ten_thousand_nasty_strings() -> None:
    """Nothing is taken for an option, split or lost by a real argparse parser."""
    params = {f"p{number}": value for number, value in enumerate(nasty_strings(10_000))}
    args = STYLES["argparse"](list(params)).args(params, "")
    assert by_argparse(args, {f"--{name}": name for name in params}) == params


@pytest.mark.parametrize(
    ("style", "names", "both"),
    [
        ("argparse", ["a.b", "a-b"], "--a-b"),
        ("env", ["a.b", "a-b"], "HSM_PARAM_A_B"),
        ("env", ["lr", "LR"], "HSM_PARAM_LR"),
    ],
)
def test_names_that_a_style_cannot_tell_apart_are_refused(style: str, names: List[str], both: str) -> None:
    """The error names both parameters and what they would become."""
    with pytest.raises(ConfigError) as caught:
        STYLES[style](names)
    assert caught.value.message.endswith(both)
    assert repr(names[0]) in caught.value.message
    assert repr(names[1]) in caught.value.message


def test_names_that_hydra_cannot_take_are_refused() -> None:
    """A name outside Hydra's grammar is found before anything starts."""
    with pytest.raises(ConfigError, match="'a:b'"):
        STYLES["hydra"](["a:b"])
