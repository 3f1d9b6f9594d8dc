"""Looking at a folder: its scripts, interpreter, conda environment and scheduler.

Nothing is run and nothing is written. Every script that might be the one is listed; one is proposed only when there is
no doubt.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence, Tuple

from .parameters import propose_grid

__all__ = ["Detected", "Found", "Script", "choose", "detect"]

_Which = Callable[[str], Optional[str]]

_USUAL_NAMES = ("train.py", "main.py", "run.py")
_NEVER = re.compile(r"(setup|conftest|noxfile|fabfile|__init__|test_.*|.*_test)\.py")
_SKIPPED_FOLDERS = frozenset(
    ["build", "dist", "docs", "env", "node_modules", "site-packages", "sweeps", "test", "tests", "venv"]
)
_MAX_FILES = 400
_MAX_BYTES = 100_000

_MAIN = re.compile(r"^if\s+__name__\s*==", re.MULTILINE)
# The order decides: a Hydra program often imports argparse too.
_STYLES = (
    ("hydra", re.compile(r"^\s*(?:import|from)\s+hydra\b", re.MULTILINE)),
    ("json", re.compile(r"\bHSM_PARAMS_FILE\b")),
    ("env", re.compile(r"\bHSM_PARAM_")),
    (
        "argparse",
        re.compile(r"^\s*(?:import|from)\s+(?:argparse|click|typer|absl|fire|simple_parsing|tyro)\b", re.MULTILINE),
    ),
)
_SCHEDULERS = (("SLURM", ("sbatch", "squeue")), ("PBS", ("qsub", "qstat")))


@dataclass(frozen=True)
class Script:
    """A program that might be the one to sweep.

    :param path: relative to the project's folder, with forward slashes.
    :param arg_style: how it seems to take its parameters, None when its text does not tell.
    :param grid: parameters it declares, with values worth a first try; often empty.
    """

    path: str
    arg_style: Optional[str] = None
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A fact and how it is known, such as `Active` or `.venv`."""

    value: str
    how: str


@dataclass(frozen=True)
class Detected:
    """What a folder shows.

    :param scripts: every candidate, the usual names first.
    :param script: the one to propose, None when none or several could be meant.
    :param python: the interpreter; its `value` is a path, or a name to be found on PATH.
    :param scheduler: in its people's spelling (`SLURM`), None when there are no commands of one on PATH.
    """

    name: str
    scripts: Tuple[Script, ...]
    script: Optional[Script]
    python: Found
    conda_env: Optional[Found]
    scheduler: Optional[str]


def detect(
    folder: Path,
    environ: Mapping[str, str] = os.environ,
    which: Optional[_Which] = None,
) -> Detected:
    """Look at a project's folder and at the environment of this process.

    :param which: finds a command on PATH, by default `shutil.which`.
    """
    look = which or _on_path
    folder = Path(os.path.abspath(folder))
    scripts = sorted(_scripts(folder), key=_rank)
    return Detected(
        name=folder.name or "project",
        scripts=tuple(scripts),
        script=choose(scripts),
        python=_python(folder, environ, look),
        conda_env=_conda_env(folder, environ),
        scheduler=next((name for name, commands in _SCHEDULERS if any(look(word) for word in commands)), None),
    )


def choose(scripts: Sequence[Script]) -> Optional[Script]:
    """The script that is meant for certain: the only one, or the only one with a usual name in the project's folder."""
    usual = [script for script in scripts if script.path in _USUAL_NAMES]
    if len(usual) == 1:
        return usual[0]
    return scripts[0] if len(scripts) == 1 else None


def _on_path(name: str) -> Optional[str]:
    import shutil  # brings the compression modules along, which a run has no use for

    return shutil.which(name)


def _rank(script: Script) -> Tuple[bool, int, str]:
    return script.path not in _USUAL_NAMES, script.path.count("/"), script.path


def _scripts(folder: Path) -> Iterator[Script]:
    for number, path in enumerate(_python_files(folder)):
        if number == _MAX_FILES:
            return
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        style = next((style for style, sign in _STYLES if sign.search(text)), None)
        if style is not None or path.name in _USUAL_NAMES or _MAIN.search(text):
            grid = propose_grid(text) if style == "argparse" else {}
            yield Script(path.relative_to(folder).as_posix(), style, grid)


def _python_files(folder: Path) -> Iterator[Path]:
    """Python files in the folder itself and one level below; deeper down live libraries, not programs."""
    for name in _entries(folder):
        path = folder / name
        if name.endswith(".py"):
            if not _NEVER.fullmatch(name) and os.path.isfile(path):
                yield path
        elif not name.startswith((".", "_")) and name not in _SKIPPED_FOLDERS and os.path.isdir(path):
            if os.path.exists(path / "pyvenv.cfg"):
                continue
            for inner in _entries(path):
                if inner.endswith(".py") and not _NEVER.fullmatch(inner) and os.path.isfile(path / inner):
                    yield path / inner


def _entries(folder: Path) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _python(folder: Path, environ: Mapping[str, str], which: _Which) -> Found:
    places = [
        (environ.get("VIRTUAL_ENV"), "active virtual environment"),
        (environ.get("CONDA_PREFIX"), "active conda environment"),
        *((str(folder / name), f"the project's {name}") for name in (".venv", "venv", "env")),
    ]
    for prefix, how in places:
        python = os.path.join(prefix, "bin", "python") if prefix else ""
        if python and os.access(python, os.X_OK):
            return Found(python, how)
    name = next((name for name in ("python3", "python") if which(name)), "python3")
    return Found(name, "on PATH")


def _conda_env(folder: Path, environ: Mapping[str, str]) -> Optional[Found]:
    active = environ.get("CONDA_DEFAULT_ENV", "") if environ.get("CONDA_PREFIX") else ""
    if active and active != "base":
        return Found(active, "Active")
    for name in ("environment.yml", "environment.yaml"):
        try:
            text = (folder / name).read_text("utf-8", "replace")[:_MAX_BYTES]
        except OSError:
            continue
        found = re.search(r"^name:[ \t]*[\"']?([A-Za-z0-9_.-]+)", text, re.MULTILINE)
        if found:
            return Found(found.group(1), name)
    return None
