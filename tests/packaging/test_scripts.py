"""The commands of the checkout: `scripts/demo`, `scripts/test`, `scripts/check`, `.ci/run`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ["scripts/demo", "scripts/test", "scripts/check", ".ci/run"]


def call(argv, cwd, code=0, **env):
    """A command's output, when its exit code is `code`."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "HSM_"))
    }
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env={**clean, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=280,
    )
    assert done.returncode == code, done.stdout.decode()
    return done.stdout.decode()


@pytest.fixture
def checkout(tmp_path):
    """A copy of the checkout in a folder whose name a careless script would stumble over."""
    copy = tmp_path / "it's a $HOME; folder"
    skipped = shutil.ignore_patterns(
        ".git", ".venv", ".demo", ".*cache", "*.egg-info", "__pycache__", "outputs", "tests"
    )
    shutil.copytree(ROOT, copy, ignore=skipped)
    return copy


@pytest.mark.parametrize("script", SCRIPTS)
def test_is_a_plain_shell_script(script):
    """Each is executable, and the plainest shell can read it."""
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/bin/sh\n")
    call(["sh", "-n", path], ROOT)


def test_a_python_that_is_not_there(tmp_path):
    """Asking for a Python that is not there, or for none, is one line."""
    assert call([ROOT / "scripts/test", "--python", "3.99"], tmp_path, code=1).count("\n") == 1
    assert call([ROOT / "scripts/test", "--python"], tmp_path, code=2).count("\n") == 1


def test_a_machine_without_python(tmp_path):
    """Where no Python is found, the demo says what to install, and leaves nothing behind."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "head"):
        (tools / name).symlink_to(shutil.which(name))
    said = call(
        [ROOT / "scripts/demo"], tmp_path, code=1, PATH=str(tools), PYENV_ROOT=str(tmp_path), HOME=str(tmp_path)
    )
    assert "python3-venv" in said


@pytest.mark.slow
def test_demo(checkout, tmp_path):
    """From any folder, and a second time too, the demo ends with a table of results."""
    for _ in range(2):
        said = call([checkout / "scripts" / "demo"], tmp_path)
        assert "learning_rate" in said
        assert said.count("completed") >= 10
    assert len(list((checkout / "examples" / "quickstart" / "sweeps" / "outputs").glob("sweep_*"))) == 2
