"""The language of conditions means what Python would, refuses what it does not know, and runs nothing."""

from __future__ import annotations

import operator
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.space.conditions import ConditionError, equals, parse

PARAMS: Dict[str, Any] = {
    "lr": 0.1,
    "n": 3,
    "model.name": "tiny",
    "flag": True,
    "sizes": [1, 2],
    "nothing": None,
    "weight-decay": 0.5,
    "lambda": 2,
}


@pytest.mark.parametrize(
    "text",
    [
        "lr < 0.2",
        "0 < lr <= 0.1 < n",
        "n * lr > 0.2 and model.name == 'tiny'",
        "not flag or n == 3",
        "n in [1, 2, 3]",
        "n in (1, 2, 3)",
        "model.name not in ['large', 'huge']",
        "'in' in model.name",
        "2 in sizes",
        "sizes == [1, 2]",
        "sizes == (1, 2)",
        "nothing is none",
        "nothing == None",
        "lr is not null",
        "flag == true",
        "flag",
        "not not flag",
        "-n + 5 == +2",
        "n ** 2 // 2 == 4 and n % 2 == 1 and n / 2 == 1.5 and n - 1 == 2",
        'params["weight-decay"] == 0.5',
        "params['lambda'] * n == 6",
        "params['model.name'] == model.name",
        "  lr\n  < 1 ",
        "n == 3 and n == 3 and n == 3",
        "n == 0 or n == 1 or n == 3",
        r"model.name != '\d'",
    ],
)
def test_true_conditions(text: str) -> None:
    """Each of these holds, and its negation does not."""
    assert parse(text, PARAMS).holds(PARAMS) is True
    assert parse(f"not ({text.strip()})", PARAMS).holds(PARAMS) is False


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("lr <", "not an expression"),
        ("", "not an expression"),
        ("lr = 0.1", "not an expression"),
        ("lr < 1; n", "not an expression"),
        ("lr < 1\x00", "not an expression"),
        ("import os", "not an expression"),
        ("1 < 2", "mentions no parameter"),
        ("lrr < 1", "no parameter 'lrr'"),
        ("model.nam == 1", "no parameter 'model.nam'"),
        ("lr.real < 1", "no parameter 'lr.real'"),
        ("params['x'] == 1", "no parameter 'x'"),
        ("params[0] == 1", "not the name"),
        ("sizes[0] == 1", "not the name"),
        ("(lr).__class__ == 1", "no parameter 'lr.__class__'"),
        ("'a'.upper() == lr", "cannot be in a condition"),
        ("__import__('os').system('x') == lr", "cannot be in a condition"),
        ("[x for x in sizes] == lr", "cannot be in a condition"),
        ("(lambda: 1)() == lr", "cannot be in a condition"),
        ("lr if flag else n", "cannot be in a condition"),
        ("{'a': 1} == lr", "cannot be in a condition"),
        ("f'{lr}' == 'x'", "cannot be in a condition"),
        ("lr < 1j", "cannot be in a condition"),
        ("lr == b'x'", "cannot be in a condition"),
        ("lr == ...", "cannot be in a condition"),
        ("n << 2 == 1", "cannot be in a condition"),
        ("~n == 1", "cannot be in a condition"),
        ("(lr := 1) == 1", "cannot be in a condition"),
        ("lr < 1 " * 1000, "characters"),
        ("(" * 60 + "lr" + ")" * 60, "brackets"),
        ("not " * 200 + "flag", "too deeply"),
        ("-" * 1500 + "n < 1", ""),
        ("'" * 3 + "\r\u2028lr", "not an expression"),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(text: str, word: str) -> None:
    """Whatever the language does not have is refused when it is read, by a message of one line."""
    with pytest.raises(ConditionError) as caught:
        parse(text, PARAMS)
    assert word in caught.value.message
    assert len(caught.value.message.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("lr", "not true or false"),
        ("lr and flag", "not true or false"),
        ("flag and n", "not true or false"),
        ("not n", "not true or false"),
        ("lr < 'a'", "cannot be decided"),
        ("nothing < 1", "cannot be decided"),
        ("1 in lr", "cannot be decided"),
        ("1 in model.name", "cannot be decided"),
        ("model.name * 9 == 1", "not a number"),
        ("flag + 1 == 2", "not a number"),
        ("sizes * 3 == 1", "not a number"),
        ("n / 0 == 1", "cannot be computed"),
        ("n % 0 == 1", "cannot be computed"),
        ("9 ** 9 ** 9 == n", "cannot be computed"),
        ("10.0 ** 400 == n", "cannot be computed"),
        ("(-n) ** 0.5 == n", "cannot be computed"),
        ("10 ** 1000 / 1 == n", "cannot be computed"),
    ],
)
def test_what_cannot_be_decided_says_why(text: str, word: str) -> None:
    """A comparison or computation without a meaning for some values is an error, never a guess."""
    predicate = parse(text, PARAMS)
    with pytest.raises(ConditionError) as caught:
        predicate.holds(PARAMS)
    assert word in caught.value.message
    assert len(caught.value.message.splitlines()) == 1


def test_misspelt_names_get_a_suggestion_and_a_place() -> None:
    """The message has the character, the hint the nearest name."""
    with pytest.raises(ConditionError) as caught:
        parse("n > 1 and modle.name == 'a'", PARAMS)
    assert "character 11" in caught.value.message
    assert caught.value.hint == "did you mean 'model.name'?"


def test_names_are_the_parameters_that_are_mentioned() -> None:
    """Only what is mentioned ties axes together."""
    assert parse("lr < n and model.name != 'true'", PARAMS).names == {"lr", "n", "model.name"}


def test_a_parameter_named_like_a_word_wins() -> None:
    """`none` is the parameter where there is one of that name."""
    assert parse("none == 1", ["none"]).holds({"none": 1})


def test_absent_parameters_are_none() -> None:
    """A row of a list that does not give a parameter gives None."""
    assert parse("lr == none", PARAMS).holds({})


def test_equals_needs_every_value() -> None:
    """The mapping form holds when all of its parameters have their value."""
    predicate = equals({"lr": 0.1, "n": 3})
    assert predicate.names == {"lr", "n"}
    assert predicate.holds(PARAMS)
    assert not predicate.holds({**PARAMS, "n": 4})


NUMBERS = st.integers(-5, 5) | st.sampled_from([0.5, -1.5, 2.0])
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
COMPARISONS = {"<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt}


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(sorted(OPERATORS)), st.sampled_from(sorted(COMPARISONS)))
def test_arithmetic_is_pythons(a: float, b: float, c: float, op: str, comparison: str) -> None:
    """Numbers are computed and compared as Python does."""
    expected = COMPARISONS[comparison](OPERATORS[op](a, b), c)
    assert parse(f"a {op} b {comparison} c", "abc").holds({"a": a, "b": b, "c": c}) is expected


@given(st.text(alphabet="abn.<>=!()[]'\"+-*/% \\,:0123456789andorti\n{}", max_size=40))
def test_any_text_is_a_condition_or_an_error_of_one_line(text: str) -> None:
    """No text makes the reader fail in another way."""
    message = ""
    try:
        parse(text, ["a", "b", "n"]).holds({"a": 1, "b": "x", "n": [1]})
    except ConditionError as error:
        message = error.message
    assert len(message.splitlines()) <= 1
