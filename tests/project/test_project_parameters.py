"""A first grid from a script's own options."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.config.template import SWEEP_EXAMPLE, render_sweep
from hsm_core.project.parameters import propose_grid
from hsm_core.space import load_space
from hsm_core.yamlfile import loads


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("p.add_argument('--lr', type=float, default=0.01)", {"lr": [0.001, 0.01, 0.1]}),
        ("p.add_argument('-l', '--learning-rate', default=1e-3)", {"learning-rate": [0.0001, 0.001, 0.01]}),
        ("p.add_argument('--dropout', default=0.5)", {"dropout": [0.125, 0.25, 0.5]}),
        ("p.add_argument('--width', default=64)", {"width": [32, 64, 128]}),
        ("p.add_argument('--depth', default=1)", {"depth": [1, 2]}),
        ("p.add_argument('--scale', default=2.0)", {"scale": [1.0, 2.0, 4.0]}),
        ("p.add_argument('--opt', choices=('adam', 'sgd'))", {"opt": ["adam", "sgd"]}),
        ("@click.option('--lr', default=0.01)\ndef main(lr): pass", {"lr": [0.001, 0.01, 0.1]}),
        ("p.add_argument('--a', default=3)\np.add_argument('--a', default=9)", {"a": [1, 3, 6]}),
        ("p.add_argument('--seed', default=3)\np.add_argument('--num-workers', default=4)", {}),
        ("p.add_argument('--flag', action='store_true')\np.add_argument('--xs', nargs='+', default=1)", {}),
        (
            "p.add_argument('--out', default='x')\np.add_argument('--n', default=N)\np.add_argument('--k', default=0)",
            {},
        ),
        ("p.add_argument('--yes', default=True)\np.add_argument('path')", {}),
        ("p.add_argument('--only', choices=['one'])", {}),
        ("'\\d'\np.add_argument('--width', default=64)", {"width": [32, 64, 128]}),
        ("not python at all (", {}),
        ("", {}),
    ],
)
def test_proposals(text: str, grid: Dict[str, List[Any]]) -> None:
    """Options with a number or choices are proposed with values around the default; everything else is left out."""
    assert propose_grid(text) == grid


def test_at_most_three() -> None:
    """No more than the first three are proposed: a first sweep should be small."""
    text = "\n".join(f"p.add_argument('--p{n}', default={n + 2})" for n in range(9))
    assert list(propose_grid(text)) == ["p0", "p1", "p2"]


def test_the_guides_names() -> None:
    """A program that takes the parameters of the guide's example gets that example, as one that tells nothing does."""
    grid = {"learning_rate": [1], "batch_size": [1], "hidden_dim": [1]}
    assert render_sweep("train.py", grid) == render_sweep("train.py", {}) == SWEEP_EXAMPLE


@given(
    st.dictionaries(
        st.sampled_from(["lr", "learning-rate", "no", "1e3", "x"]),
        st.lists(
            st.floats(1e-9, 1e9) | st.integers(1, 9) | st.sampled_from(["adam", "no", "1"]), min_size=1, unique=True
        ),
        min_size=1,
        max_size=3,
    )
)
def test_rendered_sweeps(grid: Dict[str, List[Any]]) -> None:
    """Whatever is proposed, the file that is written is a valid sweep with exactly those values."""
    document = loads(render_sweep('a "b".py', grid), "f")
    assert document.data["grid"] == grid
    total = 1
    for values in grid.values():
        total *= len(values)
    assert load_space(document).space.total == total
