"""A command is filled in without a shell, and everything in it reaches the program byte for byte."""

from __future__ import annotations

import ast
import json
import random
import subprocess
import sys
from typing import Any, Dict, List, Optional

import pytest
import yaml

from hsm_core.command import STYLES, CommandTemplate, Rendered
from hsm_core.errors import ConfigError

USUAL = ["{python}", "{script}", "{args}"]
SHOW = "import os, sys; print(ascii([sys.argv[1:], {k: v for k, v in os.environ.items() if k.startswith('HSM_')}]))"
PIECES = [
    *"'\"\\$`;|&<>*?~#!%{}[]()=,:@+-. \n\t\r\x01\x7f\x85é😀\u2028\ufeff0aA",
    "$(rm -rf x)",
    "--",
    "${HOME}",
    "%s",
    "null",
]


def template(
    command: List[str], style: str = "argparse", names: Any = ("lr", "model.depth"), **more: Optional[str]
) -> CommandTemplate:
    """A template with the usual surroundings."""
    settings: Dict[str, Any] = {"python": "python3", "script": "train.py", "sweep_dir": "/s/x", **more}
    return CommandTemplate(command, style, names=names, **settings)


def render(command: List[str], style: str = "argparse", **params: Any) -> Rendered:
    """The second attempt of the seventh task."""
    params = params or {"lr": 0.1, "model.depth": 3}
    return template(command, style, list(params)).render(params, "task_007", 6, 2)


@pytest.mark.parametrize(
    ("style", "arguments"),
    [
        ("hydra", ("lr=0.1", "model.depth=3")),
        ("argparse", ("--lr", "0.1", "--model-depth", "3")),
        ("json", ("/s/x/tasks/task_007/params.json",)),
        ("env", ()),
    ],
)
def test_the_usual_command(style: str, arguments: Any) -> None:
    """`{args}` becomes as many arguments as the style makes of the parameters."""
    assert render(USUAL, style).argv == ("python3", "train.py", *arguments)


def test_placeholders_may_stand_anywhere() -> None:
    """Folders, ids and parameters can be part of any element."""
    command = ["{script}", "--out={results_dir}/x", "{task_id}-{task_index}-{attempt}", "{task_dir}", "{params_file}"]
    assert render(command).argv == (
        "train.py",
        "--out=/s/x/tasks/task_007/results/x",
        "task_007-6-2",
        "/s/x/tasks/task_007",
        "/s/x/tasks/task_007/params.yaml",
    )


def test_a_parameter_named_in_the_command_is_not_among_args() -> None:
    """What stands at a place of its own is not passed again."""
    assert render(["run", "-d{model.depth}", "{args}"]).argv == ("run", "-d3", "--lr", "0.1")


def test_values_in_elements_are_text_or_json_and_never_split() -> None:
    """A parameter in an element stays within it, whatever it holds."""
    assert render(["{a}", "x{b}y", "{c}"], a="", b="1 2\n'", c=[1, None]).argv == ("", "x1 2\n'y", "[1, null]")


def test_braces_in_values_and_doubled_braces_are_plain() -> None:
    """Only the template's own braces mean anything, and only once."""
    assert render(["{{a}} {a} }}"], a="{b}{{").argv == ("{a} {b}{{ }",)


def test_params_yaml_is_always_there() -> None:
    """Every style leaves the flat file, and `json` its own beside it."""
    for style in STYLES:
        files = render(USUAL, style).files
        assert yaml.safe_load(files["params.yaml"]) == {"lr": 0.1, "model.depth": 3}
        assert sorted(files) == (["params.json", "params.yaml"] if style == "json" else ["params.yaml"])


@pytest.mark.parametrize(
    ("command", "message", "hint"),
    [
        ([], "project.command is empty", "{args}"),
        (
            ["{pyton}"],
            "project.command: there is nothing called 'pyton' to put into '{pyton}'",
            "did you mean 'python'?",
        ),
        (["{model.dept}"], "nothing called 'model.dept'", "did you mean 'model.depth'?"),
        (["{}"], "nothing called ''", "known here"),
        (["a{"], "a lone { in 'a{'", "{{"),
        (["a}b"], "a lone } in 'a}b'", "}}"),
        (["{a\n}"], "nothing called", "known here"),
        (["x{args}"], "{args} inside 'x{args}'", "element of its own"),
    ],
)
def test_what_is_no_template_is_refused(command: List[str], message: str, hint: str) -> None:
    """The message names the command and the element, the hint the remedy; all on one line each."""
    with pytest.raises(ConfigError) as caught:
        template(command, origin="project.command")
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert len(caught.value.message.splitlines()) == 1


def test_a_missing_script_is_named() -> None:
    """A command that needs a script says so; one that does not can do without."""
    with pytest.raises(ConfigError) as caught:
        template(USUAL, script=None)
    assert caught.value.hint == "set project.script"
    assert template(["{python}", "-V"], script=None).render({}, "task_1", 0).argv == ("python3", "-V")


def test_an_unknown_style_gets_a_suggestion() -> None:
    """A misspelt `arg_style` is answered with the nearest one."""
    with pytest.raises(ConfigError) as caught:
        template(USUAL, "hidra")
    assert caught.value.hint == "did you mean 'hydra'?"


def test_a_parameter_that_a_task_lacks_cannot_be_placed() -> None:
    """Rows of a list need not all give a parameter, but then the command cannot name it."""
    with pytest.raises(ConfigError, match=r"\{lr\} is not among the parameters of every task"):
        template(["{lr}"]).render({"model.depth": 3}, "task_1", 0)
    assert template(USUAL).render({"model.depth": 3}, "task_1", 0).argv[2:] == ("--model-depth", "3")


@pytest.mark.parametrize("style", ["hydra", "argparse", "env"])
def test_what_no_command_line_can_carry_is_refused_before_the_start(style: str) -> None:
    """The kernel's limit for one argument is an error that names the parameter; a file has no such limit."""
    values = [("lr", 0.1), ("model.depth", "é" * 70_000)]
    with pytest.raises(ConfigError, match=r"^the parameter 'model.depth': .* 131,071 bytes"):
        template(USUAL, style).check(values)
    with pytest.raises(ConfigError, match="131,071 bytes"):
        template(USUAL, style).render(dict(values), "task_1", 0)
    template(USUAL, "json").check(values)


@pytest.mark.parametrize(("style", "value"), [("hydra", "???"), ("argparse", "--")])
def test_check_finds_what_the_style_cannot_carry(style: str, value: str) -> None:
    """A value that Hydra or argparse would read as something else is found before anything starts."""
    with pytest.raises(ConfigError, match=r"the parameter 'lr': .*'(\?\?\?|--)'"):
        template(USUAL, style).check([("lr", value)])


def test_check_looks_at_where_a_parameter_goes() -> None:
    """A parameter with a place of its own in the command need not suit the style, but must fit into an argument."""
    subject = template(["{lr}", "{args}"], "json")
    with pytest.raises(ConfigError, match="the parameter 'lr'"):
        subject.check([("lr", "x" * 200_000)])
    template(["{lr}", "{args}"], "hydra").check([("lr", "???")])


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_real_program_gets_ten_thousand_nasty_strings(style: str) -> None:
    """What the kernel hands to a program is what was rendered, and what it can read is what was in the sweep file."""
    rng = random.Random(4)
    values = ["".join(rng.choices(PIECES, k=rng.randint(0, 6))) for _ in range(10_000)]
    refused = {"argparse": "--", "hydra": "???"}.get(style)
    values = [value for value in values if value != refused]
    for start in range(0, len(values), 2_500):
        params = {f"p{number}": value for number, value in enumerate(values[start : start + 2_500])}
        made = CommandTemplate(
            ["{python}", "-c", "{script}", "{args}"],
            style,
            names=list(params),
            python=sys.executable,
            script=SHOW,
            sweep_dir="/s",
        ).render(params, "task_1", 0)
        done = subprocess.run(made.argv, env={"PYTHONUTF8": "1", **made.env}, stdout=subprocess.PIPE, check=True)
        argv, env = ast.literal_eval(done.stdout.decode())
        assert tuple(argv) == made.argv[3:]
        assert env == made.env
        assert yaml.safe_load(made.files["params.yaml"]) == params
        if style == "argparse":
            assert _options(argv) == {f"--{name}": value for name, value in params.items()}
        elif style == "env":
            assert env == {f"HSM_PARAM_{name.upper()}": value for name, value in params.items()}
        elif style == "json":
            assert json.loads(made.files["params.json"]) == params


def _options(argv: List[str]) -> Dict[str, str]:
    """`--name value` and `--name=value`, without a parser's niceties."""
    options: Dict[str, str] = {}
    rest = iter(argv)
    for flag in rest:
        name, equals, value = flag.partition("=")
        options[name] = value if equals else next(rest)
    return options
