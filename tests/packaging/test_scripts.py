"""The commands of the checkout: `scripts/demo`, `scripts/test`, `scripts/check`, `.ci/run`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ["scripts/demo", "scripts/test", "scripts/check", ".ci/run"]


@pytest.fixture
def checkout(tmp_path):
    """A copy of the checkout in a folder whose name a careless script stumbles over."""
    copy = tmp_path / "it's a folder; 50% full"
    skipped = shutil.ignore_patterns(
        ".git", ".venv", ".demo", ".*cache", "*.egg-info", "__pycache__", "outputs", "tests"
    )
    shutil.copytree(ROOT, copy, ignore=skipped)
    return copy


@pytest.mark.parametrize("script", SCRIPTS)
def test_is_a_plain_shell_script(script, call):
    """Each is executable, and the plainest shell can read it."""
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/bin/sh\n")
    call("sh", "-n", path, cwd=ROOT)


def test_a_python_that_is_not_there(tmp_path, call):
    """Asking for a Python that is not there, or for none, is one line."""
    for words, code in (["--python", "3.99"], 1), (["--python"], 2):
        assert call(ROOT / "scripts/test", *words, cwd=tmp_path, code=code).stderr.count("\n") == 1


def test_a_machine_without_python(tmp_path, call):
    """Where no Python is found, the demo says what to install."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "head"):
        (tools / name).symlink_to(shutil.which(name))
    machine = {"PATH": str(tools), "PYENV_ROOT": str(tmp_path), "HOME": str(tmp_path)}
    assert "python3-venv" in call(ROOT / "scripts/demo", cwd=tmp_path, code=1, **machine).stderr


@pytest.mark.slow
def test_demo(checkout, tmp_path, call):
    """From any folder, and a second time too, the demo ends with a table of results."""
    for _ in range(2):
        table = call(checkout / "scripts" / "demo", cwd=tmp_path).stdout
        assert "learning_rate" in table
        assert table.count("completed") >= 10
    assert len(list((checkout / "examples" / "quickstart" / "sweeps" / "outputs").glob("sweep_*"))) == 2
