"""Looking at a project's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Optional

import pytest

from hsm_core.project import Detected, Found, Script, detect

MAIN = "if __name__ == '__main__':\n    pass\n"


def _detect(folder: Path, files: Dict[str, str], commands: str = "python3", **environ: str) -> Detected:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def which(name: str) -> Optional[str]:
        return f"/bin/{name}" if name in commands.split() else None

    return detect(folder, environ, which)


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("import argparse\n", "argparse"),
        ("from click import command\n", "argparse"),
        ("import argparse\nimport hydra\n", "hydra"),
        ("from hydra.core import x\n", "hydra"),
        ("import json, os\njson.load(open(os.environ['HSM_PARAMS_FILE']))\n", "json"),
        ("import os\nos.environ['HSM_PARAM_LR']\n", "env"),
        ("# import hydra would be nice\n", None),
        ("print('hello')\n", None),
    ],
)
def test_arg_style(tmp_path: Path, text: str, style: Optional[str]) -> None:
    """How a script takes its parameters is read from its imports; where nothing tells, nothing is claimed."""
    assert _detect(tmp_path, {"train.py": text}).script == Script("train.py", style)


@pytest.mark.parametrize(
    ("files", "best", "listed"),
    [
        ({}, None, []),
        ({"train.py": ""}, "train.py", ["train.py"]),
        ({"train.py": "", "evaluate.py": "import argparse"}, "train.py", ["train.py", "evaluate.py"]),
        ({"train.py": "", "main.py": ""}, None, ["main.py", "train.py"]),
        ({"fit.py": MAIN}, "fit.py", ["fit.py"]),
        ({"fit.py": MAIN, "plot.py": MAIN}, None, ["fit.py", "plot.py"]),
        ({"library.py": "def f(): pass"}, None, []),
        ({"src/train.py": "", "fit.py": MAIN}, None, ["fit.py", "src/train.py"]),
        ({"scripts/fit.py": MAIN}, "scripts/fit.py", ["scripts/fit.py"]),
        ({"a/b/train.py": "", "tests/main.py": "", ".hidden/run.py": "", "venv/run.py": ""}, None, []),
        ({"env2/pyvenv.cfg": "", "env2/main.py": ""}, None, []),
        ({"setup.py": MAIN, "conftest.py": MAIN, "test_x.py": MAIN, "train.pyc": ""}, None, []),
    ],
)
def test_scripts(tmp_path: Path, files: Dict[str, str], best: Optional[str], listed: list[str]) -> None:
    """Every candidate is listed, and one is proposed only when there is no doubt."""
    detected = _detect(tmp_path, files)
    assert [script.path for script in detected.scripts] == listed
    assert (detected.script.path if detected.script else None) == best


def test_odd_files(tmp_path: Path) -> None:
    """A folder called train.py, a dead link and bytes that are no text disturb nobody."""
    (tmp_path / "train.py").mkdir()
    (tmp_path / "main.py").symlink_to(tmp_path / "gone")
    (tmp_path / "run.py").write_bytes(b"\xff\xfe\0")
    assert [script.path for script in _detect(tmp_path, {}).scripts] == ["run.py"]


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that is not there has no scripts."""
    assert _detect(tmp_path / "none", {}).scripts == ()


def _python(prefix: Path) -> str:
    python = prefix / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    return str(python)


def test_interpreter(tmp_path: Path) -> None:
    """An active environment comes before the project's own, and that before what PATH has."""
    project = tmp_path / "p"
    project.mkdir()
    assert _detect(project, {}).python == Found("python3", "on PATH")
    assert _detect(project, {}, commands="python").python == Found("python", "on PATH")
    own = _python(project / ".venv")
    assert _detect(project, {}).python == Found(own, "the project's .venv")
    conda = _python(tmp_path / "conda")
    assert _detect(project, {}, CONDA_PREFIX=str(tmp_path / "conda")).python.value == conda
    active = _python(tmp_path / "v")
    found = _detect(project, {}, CONDA_PREFIX=str(tmp_path / "conda"), VIRTUAL_ENV=str(tmp_path / "v")).python
    assert found.value == active
    assert _detect(project, {}, VIRTUAL_ENV=str(tmp_path / "gone")).python.value == own


def test_conda_env(tmp_path: Path) -> None:
    """An active environment is named, but for conda's base; else the one of environment.yml."""
    assert _detect(tmp_path, {}, CONDA_PREFIX="/c", CONDA_DEFAULT_ENV="mine").conda_env == Found("mine", "Active")
    assert _detect(tmp_path, {}, CONDA_PREFIX="/c", CONDA_DEFAULT_ENV="base").conda_env is None
    assert _detect(tmp_path, {}).conda_env is None
    files = {"environment.yml": 'channels: [x]\nname: "theirs"\n'}
    assert _detect(tmp_path, files).conda_env == Found("theirs", "environment.yml")


@pytest.mark.parametrize(
    ("commands", "name"), [("", None), ("sbatch", "SLURM"), ("qstat", "PBS"), ("qsub squeue", "SLURM")]
)
def test_scheduler(tmp_path: Path, commands: str, name: Optional[str]) -> None:
    """A scheduler is named by the commands on PATH."""
    assert _detect(tmp_path, {}, commands=commands).scheduler == name


def test_name(tmp_path: Path) -> None:
    """The project is called like its folder; the root of the file system still has a name."""
    assert _detect(tmp_path, {}).name == tmp_path.name
    assert detect(Path("/"), {}, lambda name: None).name == "project"
