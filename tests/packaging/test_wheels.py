"""What a user gets: wheels, and nothing of the checkout beside them."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def environment(call, folder, *wheels):
    """A fresh environment with these wheels and what they need; its folder of commands."""
    call(sys.executable, "-m", "venv", folder, cwd=ROOT)
    call(folder / "bin" / "python", "-m", "pip", "install", "-q", *wheels, cwd=ROOT)
    return folder / "bin"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory, call):
    """Wheels of every package by the package's name, built from a copy: builds leave things where the source is."""
    folder = tmp_path_factory.mktemp("wheels")
    source = folder / "source"
    skipped = shutil.ignore_patterns(
        ".*", "build", "*.egg-info", "__pycache__", "tests", "docs", "sweeps", "benchmarks"
    )
    shutil.copytree(ROOT, source, ignore=skipped)
    packages = [source, *sorted((source / "plugins").iterdir())]
    call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "out", *packages, cwd=folder)
    built = {path.name.split("-")[0]: path for path in (folder / "out").glob("*.whl")}
    assert sorted(built) == sorted(["hsm_core", *(path.name for path in packages[1:])])
    return built


@pytest.fixture
def project(tmp_path):
    """The quickstart example in a folder of its own."""
    shutil.copytree(ROOT / "examples" / "quickstart", tmp_path / "project", ignore=shutil.ignore_patterns("outputs"))
    return tmp_path / "project"


def test_contents(wheels):
    """The core's wheel has its types, the runner and no test; a plugin's has only its own package."""
    for name, path in wheels.items():
        files = zipfile.ZipFile(path).namelist()
        assert f"{name}/py.typed" in files
        assert {file.split("/")[0].split("-")[0] for file in files} == {name}
    assert "hsm_core/runner/runner.py" in zipfile.ZipFile(wheels["hsm_core"]).namelist()


def test_wheels_run_a_sweep(wheels, project, tmp_path, call):
    """The core, one backend and one strategy, installed from wheels alone, run a sweep to its results."""
    commands = environment(call, tmp_path / "env", wheels["hsm_core"], wheels["hsm_local"], wheels["hsm_round_robin"])
    assert "Usage" in call(commands / "hsm", "--help", cwd=project).stdout
    assert "local" in call(commands / "hsm", "plugins", cwd=project).stdout
    call(commands / "hsm", "config", "validate", cwd=project)
    call(commands / "hsm", "run", "--sources", "local:2", "--max-tasks", "3", cwd=project)
    status = json.loads(call(commands / "hsm", "status", "--json", cwd=project).stdout)
    assert (status["state"], status["total"], status["counts"]["completed"]) == ("completed", 3, 3)
    table = call(commands / "hsm", "export", "--format", "csv", cwd=project).stdout
    assert "param.learning_rate" in table
    assert "metric.loss" in table


def test_core_alone(wheels, project, tmp_path, call):
    """Without any plugin the core helps, lists and checks, and a run says which package to install."""
    commands = environment(call, tmp_path / "env", wheels["hsm_core"])
    assert "Usage" in call(commands / "hsm", "--help", cwd=project).stdout
    call(commands / "hsm", "plugins", cwd=project)
    call(commands / "hsm", "config", "validate", cwd=project)
    assert "pip install hsm-local" in call(commands / "hsm", "run", "--sources", "local", cwd=project, code=4).stderr
    assert not (project / "sweeps" / "outputs").exists() or not list((project / "sweeps" / "outputs").iterdir())
