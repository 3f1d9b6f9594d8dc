"""The examples do what their READMEs say, with hsm and without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hsm_core.config import load_config
from hsm_core.space import load_space
from hsm_core.yamlfile import load

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/*/hsm_config.yaml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_is_the_grid_of_the_guide(example):
    """Each example has a README, a configuration without warnings, and 3 x 3 x 3 combinations."""
    assert (example / "README.md").is_file()
    assert load_config(example).config.project.script == "train.py"
    sweep = load_space(load(example / "sweeps" / "sweep_config.yaml"))
    assert sweep.space.total == 27
    assert list(sweep.space.params(0)) == ["learning_rate", "batch_size", "hidden_dim"]


@pytest.mark.parametrize("name", ["quickstart", "digits"])
def test_runs_without_hsm(name, tmp_path):
    """The program is an ordinary one: without hsm it leaves its results where it was started."""
    if name == "digits":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed: examples/digits is not tried")
    program = ROOT / "examples" / name / "train.py"
    env = {key: value for key, value in os.environ.items() if not key.startswith("HSM_")}
    words = ["--learning_rate", "0.01", "--batch_size", "64", "--hidden_dim", "128"]
    subprocess.run([sys.executable, str(program), *words], cwd=tmp_path, env=env, check=True, timeout=60)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["loss"] > 0


def test_writes_where_hsm_says(tmp_path):
    """With hsm's environment the metrics go to the file that it names, and nowhere else."""
    place = tmp_path / "there" / "metrics.json"
    place.parent.mkdir()
    program = ROOT / "examples" / "quickstart" / "train.py"
    env = {**os.environ, "HSM_METRICS_FILE": str(place)}
    subprocess.run([sys.executable, str(program)], cwd=tmp_path, env=env, check=True, timeout=60)
    assert "accuracy" in json.loads(place.read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
