"""The guide to the sweep file tells the truth."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hsm_core.command import STYLES
from hsm_core.space import load_space
from hsm_core.space.sampling import DISTRIBUTIONS
from hsm_core.space.sections import SECTIONS
from hsm_core.yamlfile import loads

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "sweep-file.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
COUNTS = [27, 8, 6, 2, 50, 1]
CONDITIONS, RESOURCES = EXAMPLES[len(COUNTS) :]
CONDITIONS_NEED = """
grid: {batch_size: [32, 64, 128], accumulate: [1, 4], learning_rate: [0.001, 0.1], model: {name: [small, large]}}
list: [{optimizer: sgd, momentum: 0.9}, {optimizer: adam}]
"""


@pytest.mark.parametrize(("example", "total"), list(zip(EXAMPLES, COUNTS)))
def test_each_example_is_a_sweep_file(example: str, total: int) -> None:
    """Every example can be copied, declares as many combinations as its text says, and gives no warnings."""
    sweep = load_space(loads(example, "guide"))
    assert sweep.space.total == total
    assert sweep.warnings == ()


def test_the_conditions_of_the_guide_work() -> None:
    """The example of conditions, beside parameters of these names, keeps some combinations and strikes out others."""
    sweep = load_space(loads(CONDITIONS_NEED + CONDITIONS, "guide"))
    assert 0 < sweep.space.total < 48


def test_the_groups_of_the_guide_work() -> None:
    """The example of resources can be copied, and some of its tasks are in its group."""
    sweep = load_space(loads(RESOURCES, "guide"))
    (group,) = sweep.groups
    members = [bool(group.where.holds(sweep.space.params(index))) for index in range(sweep.space.total)]
    assert sweep.warnings == ()
    assert members.count(True) == 2 < sweep.space.total


def test_everything_is_in_the_guide() -> None:
    """Each section, distribution and style has its place in the guide's tables."""
    for word in (*SECTIONS, "where", "exclude", "command", "resources", "metadata", *STYLES):
        assert re.search(rf"^\|.*`{word}`.*\|", GUIDE, re.MULTILINE), word
    for word in DISTRIBUTIONS:
        assert re.search(rf"^\| `{word}: ", GUIDE, re.MULTILINE), word
