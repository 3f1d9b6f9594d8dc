"""The index of the space is nested loops in the order of the file, with rows struck out, and nothing enumerated."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any, Dict, Iterator, List

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from hsm_core.errors import ConfigError
from hsm_core.space import Space, SweepFile, load_space, task_identity
from hsm_core.yamlfile import loads

NAMES = st.sampled_from(["a", "b", "c", "d.e", "d.f", "g"])
VALUES = st.lists(st.integers(0, 3) | st.sampled_from([0.5, "x", True]), min_size=1, max_size=4)
CONDITIONS = ["a == b", "a != c", "b == 0 or c == 1", "d.e in [0, 1, 'x']", "d.f != g", "g == a or g == 0", "c != 'x'"]


def sweep(text: str) -> SweepFile:
    """A sweep file from its text."""
    return load_space(loads(text, "sweep.yaml"))


def space(data: Dict[str, Any]) -> Space:
    """A space from plain data."""
    return sweep(yaml.safe_dump(data, sort_keys=False)).space


def everything(subject: Space) -> List[Dict[str, Any]]:
    """All combinations, in order."""
    return [subject.params(index) for index in range(subject.total)]


def nested_loops(grid: Dict[str, List[Any]]) -> Iterator[Dict[str, Any]]:
    """What a person would write by hand."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values))


def test_the_guides_grid_has_27_combinations() -> None:
    """Three by three by three, the last parameter fastest."""
    subject = sweep(
        """
grid:
  learning_rate: [0.001, 0.01, 0.1]
  batch_size: [32, 64, 128]
  hidden_dim: [64, 128, 256]

metadata:
  description: "Hyperparameter search for my model"
  tags: ["baseline", "grid_search"]
"""
    )
    assert subject.space.total == 27
    assert subject.space.params(0) == {"learning_rate": 0.001, "batch_size": 32, "hidden_dim": 64}
    assert subject.space.params(1) == {"learning_rate": 0.001, "batch_size": 32, "hidden_dim": 128}
    assert subject.space.params(26) == {"learning_rate": 0.1, "batch_size": 128, "hidden_dim": 256}
    assert [(info.name, info.label) for info in subject.space.axes] == [
        ("learning_rate", "3 values"),
        ("batch_size", "3 values"),
        ("hidden_dim", "3 values"),
    ]
    assert subject.metadata["tags"] == ["baseline", "grid_search"]
    assert subject.warnings == ()


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_a_grid_is_nested_loops(grid: Dict[str, List[Any]]) -> None:
    """Index and combination correspond one to one, in the order of loops, and so do the parameters within each."""
    subject = space({"grid": grid})
    expected = list(nested_loops(grid))
    assert subject.total == len(expected)
    assert json.dumps(everything(subject)) == json.dumps(expected)


@given(
    st.dictionaries(NAMES, VALUES, min_size=1, max_size=6),
    st.lists(st.tuples(st.booleans(), st.sampled_from(CONDITIONS)), max_size=4),
)
def test_conditions_are_a_filter(grid: Dict[str, List[Any]], rules: List[Any]) -> None:
    """Conditions strike out exactly the combinations a plain filter would, and leave the others in their order."""
    rules = [(keep, rule) for keep, rule in rules if _names(rule) <= set(grid)]
    data: Dict[str, Any] = {"grid": grid}
    data["where"] = [rule for keep, rule in rules if keep]
    data["exclude"] = [rule for keep, rule in rules if not keep]
    expected = [params for params in nested_loops(grid) if all(_python(rule, params) is keep for keep, rule in rules)]
    if not expected:
        with pytest.raises(ConfigError, match="leave no combination"):
            space(data)
        return
    assert json.dumps(everything(space(data))) == json.dumps(expected)


def _names(rule: str) -> set:
    return {name for name in ("a", "b", "c", "d.e", "d.f", "g") if name in rule.replace("'x'", "").split()}


def _python(rule: str, params: Dict[str, Any]) -> bool:
    plain = {name.replace(".", "_"): value for name, value in params.items()}
    return bool(eval(rule.replace("d.", "d_"), {}, plain))


def test_all_sections_multiply_in_the_order_of_the_file() -> None:
    """Each section is one more loop, whichever it is."""
    subject = space(
        {
            "repeats": 2,
            "paired": [{"a": [1, 2], "b": {"c": [3, 4]}}, {"d": ["x"], "e": ["y"]}],
            "fixed": {"f": {"g": "hello"}},
            "list": [{"h": 1}, {"h": 2, "i": 3}],
            "grid": {"j": [5, 6]},
        }
    )
    rows = [{"h": 1}, {"h": 2, "i": 3}]
    expected = [
        {"seed": seed, "a": a, "b.c": c, "d": "x", "e": "y", "f.g": "hello", **row, "j": j}
        for seed in (0, 1)
        for a, c in ((1, 3), (2, 4))
        for row in rows
        for j in (5, 6)
    ]
    assert json.dumps(everything(subject)) == json.dumps(expected)
    assert [info.label for info in subject.axes] == [
        "2 repeats",
        "2 pairs",
        "2 pairs",
        "pair",
        "pair",
        "fixed",
        "2 rows",
        "2 rows",
        "2 values",
    ]


def test_rows_without_a_parameter_count_as_none_in_conditions() -> None:
    """A row of a list that lacks a parameter does not inherit it from the row before."""
    subject = space({"list": [{"a": 1, "b": 2}, {"a": 3}], "grid": {"c": [1, 2]}, "where": ["b is none or c == 2"]})
    assert everything(subject) == [{"a": 1, "b": 2, "c": 2}, {"a": 3, "c": 1}, {"a": 3, "c": 2}]


def test_random_axes_are_drawn_and_filtered() -> None:
    """Samples multiply with the grid, a longer count keeps the samples before it, and conditions apply to them."""
    parameters = {"lr": {"log_uniform": [1e-5, 1e-1]}, "model": {"act": {"choice": ["relu", "gelu"]}}}
    few = space({"random": {"count": 5, "seed": 1, "parameters": parameters}, "grid": {"n": [1, 2]}})
    many = space({"random": {"count": 9, "seed": 1, "parameters": parameters}, "grid": {"n": [1, 2]}})
    assert everything(few) == everything(many)[:10]
    large = space({"random": {"count": 9, "seed": 1, "parameters": parameters}, "where": ["lr > 1e-3"]})
    assert everything(large) == [params for params in everything(many)[::2] if params.pop("n") and params["lr"] > 1e-3]


def test_a_million_millions_cost_nothing() -> None:
    """10^12 combinations are counted, conditions and all, and the last one is found, without enumerating them."""
    data = {"grid": {f"p{number}": list(range(10)) for number in range(12)}}
    started = time.process_time()
    subject = space(data)
    assert subject.total == 10**12
    assert list(subject.params(123456789012).values()) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    tied = space({**data, "where": ["p0 < p11", "p5 + p6 == 9"]})
    assert tied.total == 45 * 10 * 10**8
    assert tied.params(tied.total - 1) == {f"p{n}": 0 if n == 6 else 8 if n == 0 else 9 for n in range(12)}
    assert time.process_time() - started < 1


def test_repeats_are_not_written_out() -> None:
    """A billion repeats are a range, not a list."""
    subject = space({"repeats": {"count": 10**9, "name": "run"}})
    assert subject.params(10**9 - 1) == {"run": 10**9 - 1}
    assert list(subject.each_value()) == []


@pytest.mark.parametrize("index", [-1, 4])
def test_there_is_nothing_outside_the_index(index: int) -> None:
    """An index below zero or beyond the total is an error, not a wrapped combination."""
    with pytest.raises(IndexError):
        space({"grid": {"a": [1, 2], "b": [1, 2]}}).params(index)


def test_too_large_a_group_is_refused() -> None:
    """Conditions that would need more than ten million combinations to be looked through are refused at once."""
    data = {
        "grid": {f"p{number}": list(range(10)) for number in range(8)},
        "where": [" + ".join(f"p{n}" for n in range(8)) + " > 3"],
    }
    with pytest.raises(ConfigError, match="100,000,000 combinations"):
        space(data)


def test_the_digest_is_of_the_content() -> None:
    """Comments, spacing, metadata and the short form of a section leave the digest; values, order and rules do not."""
    base = sweep("grid: {a: [1, 2], b: [3]}\nrepeats: 2").space.digest
    assert sweep("# hello\ngrid:\n  a: [1, 2]\n  b: 3\nrepeats: {count: 2}\nmetadata: {x: 1}").space.digest == base
    others = [
        "grid: {a: [1, 2.0], b: [3]}\nrepeats: 2",
        "grid: {b: [3], a: [1, 2]}\nrepeats: 2",
        "grid: {a: [1, 2], b: [3]}\nrepeats: 3",
        "grid: {a: [1, 2], b: [3]}\nseeds: [0, 2]",
        "grid: {a: [1, 2], b: [3]}\nrepeats: 2\nwhere: [a > 0]",
        "grid: {a: [1, 2], b: [3]}\nrepeats: 2\nexclude: [a > 2]",
    ]
    digests = {sweep(text).space.digest for text in others}
    assert len(digests | {base}) == len(others) + 1


def test_the_digest_never_changes() -> None:
    """A sweep of an older version is still known as unchanged."""
    text = "grid: {a: [1, 2.5, x, true, null]}\nrandom: {count: 2, parameters: {b: {uniform: [0, 1]}}}\nwhere: [a != 2]"
    assert sweep(text).space.digest == "864801f24478f4b46f4c4407da2ebfa3"


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans() | st.floats(0, 1)))
def test_identity_is_of_the_parameters_alone(params: Dict[str, Any]) -> None:
    """The order of parameters does not matter to a task's identity, and every value does."""
    assert task_identity(dict(reversed(list(params.items())))) == task_identity(params)
    assume(params)
    name = next(iter(params))
    assert task_identity({**params, name: [params[name]]}) != task_identity(params)


def test_identity_never_changes() -> None:
    """Finished sweeps are recognized for ever; `1`, `1.0`, `true` and `"1"` are different tasks."""
    assert task_identity({"lr": 0.1, "name": "é"}) == "b7b51650bbdc42475ad8a23fa52139a2"
    assert len({task_identity({"a": value}) for value in (1, 1.0, True, "1", None, "None", [1])}) == 7


def test_each_value_is_every_value_once() -> None:
    """All that was written down can be checked before anything starts."""
    subject = space(
        {
            "grid": {"a": [1, 2]},
            "fixed": {"b": 3},
            "random": {"count": 9, "parameters": {"c": {"choice": ["x"]}, "d": {"int": [1, 2]}}},
        }
    )
    assert list(subject.each_value()) == [("a", 1), ("a", 2), ("b", 3), ("c", "x")]
    assert subject.names == ("a", "b", "c", "d")
