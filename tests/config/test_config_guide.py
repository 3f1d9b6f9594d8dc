"""The guide says what the schema says, and what `hsm config init` writes is right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

import pytest

from hsm_core.config import SCHEMA
from hsm_core.config.model import read_config
from hsm_core.config.template import SWEEP_EXAMPLE, render_config
from hsm_core.space import load_space
from hsm_core.yamlfile import check, loads

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "configuration.md").read_text("utf-8")


def _keys() -> Iterator[Tuple[str, str, Dict[str, Any]]]:
    for section, schema in SCHEMA["properties"].items():
        properties = schema.get("properties") or schema["additionalProperties"]["properties"]
        for key, rule in properties.items():
            yield section, key, rule


@pytest.mark.parametrize(("section", "key", "rule"), [pytest.param(*each, id=".".join(each[:2])) for each in _keys()])
def test_every_key(section: str, key: str, rule: Dict[str, Any]) -> None:
    """The guide has every key in its section, with the schema's default and description."""
    default = rule.get("default")
    shown = "" if default is None else f"`{default if isinstance(default, str) else json.dumps(default)}`"
    chapter = GUIDE.split(f"\n## `{section}`")[1].split("\n## ")[0]
    assert f"| `{key}` | {shown} | {rule['description']} |" in chapter


def test_no_other_key() -> None:
    """The guide's tables of keys name no key that the schema does not have."""
    rows = re.findall(r"^\| `(\w+)` \| .* \| .* \|$", GUIDE, re.MULTILINE)
    assert sorted(rows) == sorted(key for _, key, _ in _keys())


def test_the_example() -> None:
    """The guide's example is a valid configuration."""
    text = GUIDE.split("```yaml\n")[1].split("```")[0]
    document = loads(text, "guide")
    assert check(document, SCHEMA) == []
    assert not document.warnings
    assert read_config(document.data, "folder").compute.timeout_s == 9000


@pytest.mark.parametrize("text", ["plain", "no", "1e3", 'a "b" \\ : #', "é😀", " ", "{x}", "'"])
def test_what_init_writes(text: str) -> None:
    """Whatever the names, the first configuration is valid and gives them back."""
    document = loads(render_config(text, text, text, "hydra", text), "f")
    assert check(document, SCHEMA) == []
    assert not document.warnings
    project = read_config(document.data, "folder").project
    assert (project.name, project.script, project.python, project.conda_env) == (text, text, text, text)


def test_the_example_sweep() -> None:
    """The first sweep file is the guide's grid of 27."""
    assert load_space(loads(SWEEP_EXAMPLE, "f")).space.total == 27


def test_defaults_are_valid() -> None:
    """Every default is a value that one could write."""
    for section, key, rule in _keys():
        if "default" in rule:
            assert check(loads(json.dumps({section: {key: rule["default"]}}), "f"), SCHEMA) == []
