"""Documents against schemas."""

from __future__ import annotations

from typing import Any, Dict, List

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.errors import ConfigError
from hsm_core.yamlfile import ProblemsError, check, loads, raise_problems
from hsm_core.yamlfile.accepts import accepts

SCHEMA: Dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind"],
    "properties": {
        "kind": {"enum": ["fast", "slow"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "names": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
        "size": {"type": ["string", "null"], "pattern": "^[0-9]+[MG]$", "x-expects": "a size such as 4G"},
        "vars": {"type": "object", "propertyNames": {"pattern": "^[A-Z]+$", "x-expects": "capitals"}},
        "some": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "boolean"}},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "much": {"anyOf": [{"const": "slow"}, {"type": "integer"}]},
    },
}


def _check(text: str, schema: Dict[str, Any] = SCHEMA) -> List[str]:
    return [f"{problem} | {problem.hint}" for problem in check(loads(text, "f"), schema)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("kind: fast\ncuont: 1", "f:2:1: unknown key 'cuont' | did you mean 'count'?"),
        ("kind: fats", "f:1:7: kind must be one of fast, slow, not 'fats' | did you mean 'fast'?"),
        ("kind: 1", "f:1:7: kind must be one of fast, slow, not 1 | None"),
        ("count: 1", "f:1:1: the key 'kind' is missing | add a line `kind: …`"),
        ("kind: fast\ncount: many", "f:2:8: count must be a whole number, not 'many' | None"),
        ("kind: fast\ncount: 0", "f:2:8: count must be at least 1, not 0 | None"),
        ("kind: fast\ncount: 10", "f:2:8: count must be at most 9, not 10 | None"),
        ("kind: fast\nshare: 0", "f:2:8: share must be more than 0, not 0 | None"),
        ("kind: fast\nshare: 1", "f:2:8: share must be less than 1, not 1 | None"),
        ("kind: fast\nnames: []", "f:2:8: names must not be empty | None"),
        ("kind: fast\nnames: [a, 2]", "f:2:12: names[1] must be text, not 2 | None"),
        ("kind: fast\nnames: a", "f:2:8: names must be a list, not 'a' | None"),
        ("kind: fast\nsize: 4", "f:2:7: size must be a size such as 4G, not 4 | None"),
        ("kind: fast\nsize: 4X", "f:2:7: size must be a size such as 4G, not '4X' | None"),
        ("kind: fast\nvars: {a: 1}", "f:2:8: the name 'a' in vars must be capitals | None"),
        ("kind: fast\nsome:", "f:2:6: some must be a mapping (`key: value` lines), not nothing | None"),
        ("kind: fast\nsome: {x: 1}", "f:2:11: some.x must be true or false, not 1 | None"),
        ("kind: fast\neither: []", "f:2:9: either: [] is not valid under any of the given schemas | None"),
    ],
)
def test_problems(text: str, line: str) -> None:
    """Each broken rule is one line in plain words, with its place and where possible a remedy."""
    assert _check(text) == [line]


def test_far_from_any_word() -> None:
    """A word that resembles nothing known gets the list of what is known."""
    assert _check("kind: fast\nzzz: 1")[0].endswith(
        "known here: count, either, kind, much, names, share, size, some, vars"
    )


def test_all_in_order() -> None:
    """All problems are listed, in the order of the file, each once."""
    places = [line.split(" ")[0] for line in _check("count: x\nfoo: 1\nbar: 2\nnames: [1, 2]\n")]
    assert places == ["f:1:1:", "f:1:8:", "f:2:1:", "f:3:1:", "f:4:9:", "f:4:12:"]


def test_odd_names() -> None:
    """A name with a line break in it does not break the message."""
    text = 'kind: fast\nsome: {"a\\nb": 1}\n"c\\nd": 1\n'
    assert [line.split(": ")[1] for line in _check(text)] == [
        "some.'a\\nb' must be true or false, not 1 | None",
        "unknown key 'c\\nd' | known here",
    ]


def test_a_part() -> None:
    """A part of a document can be checked alone, without keys that the schema is not to see."""
    document = loads("a:\n  b: {kind: fast, extra: 1, odd: 2}\n", "f")
    problems = check(document, SCHEMA, ("a", "b"), ignore=("extra",))
    assert [str(problem) for problem in problems] == ["f:2:29: unknown key 'odd' in a.b"]


def test_raise_problems() -> None:
    """The error names the first problem and says how many more there are; without problems nothing is raised."""
    raise_problems([])
    problems = check(loads("kind: fats\nx: 1\ny: 1\n", "f"), SCHEMA)
    with pytest.raises(ProblemsError) as caught:
        raise_problems(problems)
    assert isinstance(caught.value, ConfigError)
    assert str(caught.value) == str(problems[0])
    assert caught.value.hint == "did you mean 'fast'? (2 more: `hsm config validate` lists them all)"
    assert caught.value.problems == tuple(problems)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 12)
    | st.floats(-2, 12, allow_nan=False)
    | st.sampled_from(["", "fast", "slow", "4G", "4G\n", "A", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SCHEMA["properties"], "A", "x"]), inner)
    ),
    max_leaves=8,
)
_FILES = st.fixed_dictionaries({}, optional={key: _VALUES for key in SCHEMA["properties"]}) | _VALUES


@given(_FILES)
def test_quick_check_agrees(value: Any) -> None:
    """The quick check says yes only where jsonschema does, and always when its rules are certain."""
    valid = jsonschema.Draft7Validator(SCHEMA).is_valid(value)
    if accepts(SCHEMA, value):
        assert valid
    elif valid:
        assert isinstance(value, dict)
        assert not isinstance(value.get("kind"), str)


@pytest.mark.parametrize("schema", [{"oneOf": [{}]}, {"items": [{}]}, {"format": "email"}, {"patternProperties": {}}])
def test_quick_check_leaves_the_rest(schema: Dict[str, Any]) -> None:
    """A keyword the quick check does not know goes to jsonschema, which then decides."""
    assert not accepts(schema, ["a"])
    assert check(loads("a: [1]", "f"), schema, ("a",)) == []
