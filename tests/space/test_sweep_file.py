"""Every sweep file is read, or refused with one line that names the place; doubts are warnings with a place."""

from __future__ import annotations

import random
from pathlib import Path
from typing import List

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hsm_core.errors import ConfigError
from hsm_core.space import SweepFile, load_space
from hsm_core.yamlfile import ProblemsError, loads


def sweep(text: str) -> SweepFile:
    """A sweep file from its text."""
    return load_space(loads(text, "s.yaml"))


BROKEN = [
    ("metadata: {a: 1}", "s.yaml:1:1: no parameters are declared", "grid"),
    ("gird: {a: [1]}", "s.yaml:1:1: unknown key 'gird'", "did you mean 'grid'?"),
    ("grid:", "s.yaml:1:6: grid must be a mapping", "write"),
    ("grid: {}", "s.yaml:1:7: grid is empty", "add"),
    ("grid: [1]", "s.yaml:1:7: grid must be a mapping of parameters, not a list", "write"),
    ("grid:\n  a: []", "s.yaml:2:6: a has no values", "put values"),
    ("grid:\n  a:", "s.yaml:2:3: a has no values", "write"),
    ("grid:\n  a: {}", "s.yaml:2:3: a has no values", "write"),
    ("grid:\n  b: {c: []}", "s.yaml:2:10: b.c has no values", "put values"),
    ("grid:\n  a=b: [1]", "s.yaml:2:3: the parameter name 'a=b' contains an equals sign", "letters"),
    ("grid:\n  a b: [1]", "s.yaml:2:3: the parameter name 'a b' contains a space", "letters"),
    ('grid:\n  "a\\u0001": [1]', "s.yaml:2:3: the parameter name 'a\\x01' contains the character U+0001", "letters"),
    ("grid:\n  a..b: [1]", "s.yaml:2:3: the parameter name 'a..b' has an empty part", "dots"),
    ("grid:\n  -a: [1]", "s.yaml:2:3: the parameter name '-a' begins with a dash", "letters"),
    (f"grid:\n  {'a' * 201}: [1]", "has 201 characters", "letters"),
    ('grid:\n  a: [1, "x\\0"]', "s.yaml:2:10: grid.a[1]: a text contains a NUL character", None),
    ('grid:\n  a: [[1, {b: "\\0"}]]', "s.yaml:2:7: grid.a[0]: a text contains a NUL character", None),
    ('grid:\n  a: "\\0"', "s.yaml:2:6: grid.a: a text contains a NUL character", None),
    (
        "grid: {a: [1]}\nfixed:\n  a: 2",
        "s.yaml:3:3: the parameter 'a' is given twice (first on line 1, column 8)",
        "delete",
    ),
    ("grid: {a: {b: [1]}, a.b: [2]}", "s.yaml:1:21: the parameter 'a.b' is given twice", "delete"),
    ("grid: {seed: [1]}\nrepeats: 2", "s.yaml:2:1: the parameter 'seed' is given twice", "delete"),
    ("paired: []", "s.yaml:1:9: paired is empty", "add"),
    ("paired: 3", "s.yaml:1:9: paired must be a mapping", "write"),
    ("paired:\n  - {a: [1, 2], b: [1]}", "s.yaml:2:20: b has 1 values, but a, paired with it, has 2", "equally long"),
    ("paired:\n  - {a: 1}", "s.yaml:2:9: a must be a list of values, not 1", None),
    ("paired:\n  - [1]", "s.yaml:2:5: paired[0] must be a mapping", "write"),
    ("list: {a: 1}", "s.yaml:1:7: list must be a list of mappings, not a mapping", "write"),
    ("list: []", "s.yaml:1:7: list is empty", "write"),
    ("list:\n  - 3", "s.yaml:2:5: list[0] must be a mapping", "write"),
    ("list:\n  - {a: {b: 1}, a.b: 2}", "s.yaml:2:17: the parameter 'a.b' is twice in one entry", None),
    ("grid: {a: [1]}\nlist:\n  - {b: 1}\n  - {a: 2}", "s.yaml:4:6: the parameter 'a' is given twice", "delete"),
    ("repeats: 0", "s.yaml:1:10: repeats must be a whole number from 1", None),
    ("repeats: yes", "s.yaml:1:10: repeats must be a whole number", None),
    ("repeats: 1.5", "s.yaml:1:10: repeats must be a whole number", None),
    ("repeats: {count: 2, nmae: x}", "s.yaml:1:21: unknown key 'nmae' in repeats", "did you mean 'name'?"),
    ("repeats: {name: x}", "s.yaml:1:10: repeats has no 'count'", "add `count: …`"),
    ("repeats: {count: 2, name: 3}", "s.yaml:1:27: the parameter's name must be text", None),
    ("repeats: {count: 2, name: a=b}", "s.yaml:1:27: the parameter name 'a=b'", None),
    ("seeds: 3", "s.yaml:1:8: seeds must be a list of values, not 3", None),
    ("seeds: {valeus: [1]}", "s.yaml:1:9: unknown key 'valeus' in seeds", "did you mean 'values'?"),
    ("random: 3", "s.yaml:1:9: random must be a mapping", "count"),
    ("random: {count: 3}", "random.parameters must be a mapping", "write"),
    ("random: {count: x, parameters: {a: {int: [1, 2]}}}", "s.yaml:1:17: random.count must be a whole number", None),
    ("random: {count: 1, seed: -1, parameters: {a: {int: [1, 2]}}}", "s.yaml:1:26: random.seed must be", None),
    (
        "random:\n  count: 1\n  parameters: {a: {unifrom: [1, 2]}}",
        "s.yaml:3:20: a has no known",
        "did you mean 'uniform'?",
    ),
    ("random:\n  count: 1\n  parameters: {a: [1, 2]}", "s.yaml:3:16: a has no known distribution", "log_uniform"),
    ("random:\n  count: 1\n  parameters: {a: {int: [1.5, 2]}}", "s.yaml:3:25: a.int must be two whole", "[low, high]"),
    ("random:\n  count: 1\n  parameters: {a: {uniform: [1]}}", "a.uniform must be two numbers", "[low, high]"),
    ("random:\n  count: 1\n  parameters: {a: {uniform: [2, 1]}}", "a.uniform begins above its end", "[low, high]"),
    ("random:\n  count: 1\n  parameters: {a: {log_uniform: [0, 1]}}", "a.log_uniform must begin above zero", "uniform"),
    ("random:\n  count: 1\n  parameters: {a: {uniform: [-1e308, 1e308]}}", "a.uniform goes beyond 1e+300", None),
    ("random:\n  count: 1\n  parameters: {a: {int: [0, 99999999999999999999]}}", "a.int spans more than 2^64", None),
    ("random:\n  count: 1\n  parameters: {a: {choice: []}}", "a.choice has no values", "put values"),
    ("grid: {a: [1]}\nwhere: [b > 1]", "s.yaml:2:9: where: there is no parameter 'b'", "known here: a"),
    ("grid: {a: [1]}\nwhere: [3]", "s.yaml:2:9: a condition of where is an expression, not 3", "lr < 0.1"),
    ("grid: {a: [1]}\nwhere: {a: 1}", "s.yaml:2:8: a condition of where is an expression, not a mapping", "lr < 0.1"),
    ("grid: {abc: [1]}\nexclude: [{abd: 1}]", "s.yaml:2:12: there is no parameter 'abd'", "did you mean 'abc'?"),
    ("grid: {a: [1, x]}\nwhere:\n  - a >= 1\n  - a != 2", "s.yaml:3:5: `a >= 1` cannot be decided: 'x'", "compare"),
    ("grid: {a: [1]}\nwhere:\n  - a > 1", "s.yaml:3:5: the conditions leave no combination at all", "loosen"),
    ("grid: {a: [1, 2]}\nexclude: [a > 0]", "s.yaml:2:11: the conditions leave no combination at all", "loosen"),
    ("grid: {a: [1]}\ncommand: python", "s.yaml:2:10: command must be a list", None),
    ("grid: {a: [1]}\ncommand: [1]", "s.yaml:2:11: command[0] must be text", None),
    ("grid: {a: [1]}\nresources: {cpu: 1}", "s.yaml:2:13: unknown key 'cpu' in resources", "did you mean 'cpus'?"),
    ("grid: {a: [1]}\nresources: {memory: 4}", "s.yaml:2:21: resources.memory must be a size", None),
    ("grid: {a: [1]}\nmetadata: 3", "s.yaml:2:11: metadata must be a mapping", "description"),
]


@pytest.mark.parametrize(("text", "message", "hint"), BROKEN)
def test_what_is_wrong_is_named_with_its_place(text: str, message: str, hint: str) -> None:
    """The message says what is wrong at which line and column, the hint what to do."""
    with pytest.raises(ConfigError) as caught:
        sweep(text)
    assert message in caught.value.message
    if hint is not None:
        assert hint in (caught.value.hint or "")


def test_all_problems_are_listed_in_order() -> None:
    """Everything that can be found at once is in the error, and its one line counts what it does not name."""
    with pytest.raises(ProblemsError) as caught:
        sweep("grid:\n  a: []\n  b c: [1]\nrepeats: 0\nwhere: [x > 1]\nmetadata: 3")
    assert [problem.mark.line for problem in caught.value.problems] == [2, 3, 4, 5, 6]
    assert "4 more" in (caught.value.hint or "")


DOUBTFUL = [
    ("grid:\n  a: [1, 2, 1]", "s.yaml:2:13: a has 1 twice (first on line 2)"),
    ("grid:\n  a: [{b: 1}, {b: 1}]", 's.yaml:2:15: a has {"b":1} twice (first on line 2)'),
    ("paired:\n  a: [1, 1]\n  b: [2, 2]", 's.yaml:2:10: paired has {"a":1,"b":2} twice (first on line 2)'),
    ("list:\n  - {a: 1, b: 2}\n  - {b: 2, a: 1}", 's.yaml:3:5: list has {"a":1,"b":2} twice (first on line 2)'),
    ("seeds: [7, 7]", "s.yaml:1:12: seeds has 7 twice (first on line 1)"),
    ("grid:\n  a: ['0.1']", "s.yaml:2:7: '0.1' is text that looks like a number"),
    ("grid: {a: [1, 2]}\nwhere: [a > 0]", "s.yaml:2:9: this condition rules nothing out"),
    ("grid: {a: [1, 2]}\nexclude: [{a: 3}]", "s.yaml:2:11: this condition excludes nothing"),
    ("grid: {a: [no]}", "s.yaml:1:12: no was read as false"),
]


@pytest.mark.parametrize(("text", "warning"), DOUBTFUL)
def test_doubts_are_warnings_with_their_place(text: str, warning: str) -> None:
    """What may not be meant is run as written, and said."""
    assert [str(problem) for problem in sweep(text).warnings] == [warning]


@pytest.mark.parametrize("text", ["grid: {a: [1, 1.0, true, '1x', null]}", "grid: {a: [[1], [1.0]]}"])
def test_values_that_differ_are_not_twins(text: str) -> None:
    """`1`, `1.0` and `true` are different values to a program."""
    assert sweep(text).warnings == ()


def test_command_and_resources_replace_the_projects() -> None:
    """Both are checked by the rules of `hsm_config.yaml` and handed on as written."""
    subject = sweep("grid: {a: [1]}\ncommand: [bash, run.sh, '{a}']\nresources: {cpus: 4, walltime: 2h}")
    assert subject.command == ("bash", "run.sh", "{a}")
    assert subject.resources == {"cpus": 4, "walltime": "2h"}
    assert sweep("grid: {a: [1]}").command is None


def test_short_forms() -> None:
    """A lone value in a grid, a lone group of pairs and a lone condition need no list around them."""
    subject = sweep("grid: {a: 5}\npaired: {b: [1, 2], c: [3, 4]}\nwhere: b == 1\nexclude: {c: 4}").space
    assert [subject.params(index) for index in range(subject.total)] == [{"a": 5, "b": 1, "c": 3}]


def test_yaml_floats_without_a_point_are_numbers() -> None:
    """`1e-3` is a number, as everyone who writes it means."""
    assert sweep("grid: {lr: [1e-3, 1e-2]}").space.params(0) == {"lr": 0.001}


GOOD = """
grid:
  lr: [1e-3, 0.1]
  model: {name: [tiny, "large"], depth: [2, 4]}
paired:
  - {a: [1, 2], b: [x, y]}
list:
  - {c: 1, d: [1, 2]}
  - {c: 2}
random: {count: 3, seed: 1, parameters: {u: {log_uniform: [1e-5, 1]}, k: {int: [1, 9]}, z: {choice: [p, q]}}}
repeats: {count: 2, name: run}
fixed: {f: {g: true}}
where: ["lr < 1 and model.depth * 2 <= 4"]
exclude: [{a: 1, c: 2}, "model.name == 'large' and k > 8"]
command: ["{python}", "{script}", "{args}"]
resources: {cpus: 2, memory: 4G, walltime: "1:00:00"}
metadata: {tags: [x]}
"""
TOKENS = [
    "",
    " ",
    "\n",
    "\t",
    ":",
    "-",
    "[",
    "]",
    "{",
    "}",
    "'",
    '"',
    "null",
    "0",
    "-1",
    "1e999",
    ".nan",
    "yes",
    "&a",
    "*a",
    "<<",
]
TOKENS += [
    "\\",
    "\x85",
    "é",
    "😀",
    "%",
    "@",
    "!",
    "!!int",
    "a",
    "=",
    "x" * 300,
    "9" * 400,
    "[[[[",
    "{a: {a:",
    "?",
    "|",
    ">",
    "..",
    "grid",
]


def outcome(text: str) -> str:
    """Read a text; the message of its refusal, or nothing."""
    try:
        subject = sweep(text)
        subject.space.params(0)
        subject.space.params(subject.space.total - 1)
        lines = [f"{warning} {warning.hint}" for warning in subject.warnings]
    except ConfigError as error:
        lines = [error.message, error.hint or "none"]
    for line in lines:
        assert len(line.splitlines()) == 1, line
    return lines[0] if lines else ""


def test_the_fuzzed_corpus_only_ever_gets_one_line() -> None:
    """Two thousand mutilations of a good file are read, or refused in one line that names the file."""
    rng = random.Random(2)
    assert outcome(GOOD) == ""
    for _ in range(2000):
        text = GOOD
        for _ in range(rng.randint(1, 4)):
            start = rng.randrange(len(text))
            text = text[:start] + rng.choice(TOKENS) + text[start + rng.choice([0, 0, 1, 2, 10, 40]) :]
        assert outcome(text) == "" or outcome(text).startswith("s.yaml")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("a > 1")
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "b", "count", "name", "parameters", "int", "choice", "a.b"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
KEYS = ["grid", "paired", "list", "random", "repeats", "seeds", "fixed", "where", "exclude", "command", "resources"]


@given(st.dictionaries(st.sampled_from([*KEYS, "metadata", "x"]), ANYTHING, max_size=4))
@example({"grid": {"a": [1]}, "exclude": [{}]})
@example({"grid": {"a": [1]}, "exclude": {"a": {"b": 1}}})
@example({"grid": {"a": [1]}, "where": []})
@example({"grid": {"a": [1]}, "where": None, "command": None, "resources": None, "metadata": None})
def test_any_shape_of_data_only_ever_gets_one_line(data: dict) -> None:
    """Sections of any shape are read or refused, never met with a traceback."""
    import yaml

    outcome(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def test_the_guides_example_file_is_read(tmp_path: Path) -> None:
    """A file on disk goes the same way as a text."""
    from hsm_core.yamlfile import load

    path = tmp_path / "sweep_config.yaml"
    path.write_text("grid: {a: [1, 2]}\n")
    subject: List[int] = [load_space(load(path)).space.total]
    assert subject == [2]
