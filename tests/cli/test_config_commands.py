"""`hsm config validate`, `show`, `get`, `set` and `schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Tuple

import pytest
from click.testing import CliRunner

from hsm_core.cli.config import config
from hsm_core.config import SCHEMA
from hsm_core.errors import HsmError, NoSourceError, NotFoundError, UsageError
from hsm_core.plugins import from_modules


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small valid project as the working folder, without any plugin installed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    monkeypatch.setattr("hsm_core.plugins.load", lambda: from_modules({}))
    monkeypatch.delenv("COLUMNS", raising=False)
    folder = tmp_path / "p"
    (folder / "sweeps").mkdir(parents=True)
    (folder / "train.py").write_text("")
    (folder / "hsm_config.yaml").write_text("# mine\nproject:\n  script: train.py\ncompute:\n  retries: 1 # once\n")
    (folder / "sweeps" / "sweep_config.yaml").write_text("grid:\n  lr: [0.1, 0.2]\n")
    monkeypatch.chdir(folder)
    return folder


def _hsm(*words: str) -> Tuple[int, str]:
    """Run `hsm config WORDS`; a handled error is raised."""
    result = CliRunner().invoke(config, list(words))
    if isinstance(result.exception, HsmError):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_valid(project: Path) -> None:
    """Valid files are said to be so, with the number of combinations."""
    assert _hsm("validate") == (
        0,
        "hsm_config.yaml is valid\nsweeps/sweep_config.yaml is valid: 2 parameter combinations\n",
    )


def test_every_problem(project: Path) -> None:
    """All problems of both files are listed, with places and remedies, and the exit code is 2."""
    (project / "hsm_config.yaml").write_text("porject: {}\ncompute:\n  retries: -1\n")
    (project / "sweeps" / "sweep_config.yaml").write_text("gird:\n  lr: [0.1]\n")
    code, output = _hsm("validate")
    lines = output.splitlines()
    assert code == 2
    assert lines[0] == "hsm_config.yaml:1:1: error: unknown key 'porject' (did you mean 'project'?)"
    assert lines[1] == "hsm_config.yaml:3:12: error: compute.retries must be a whole number, at least 0, not -1"
    assert any(line.startswith("sweeps/sweep_config.yaml:1:1: error: ") for line in lines)
    assert lines[-1].endswith(" errors, 0 warnings")


@pytest.mark.parametrize("text", ["", "a: [", "- 1\n", "a: 1\na: 2\n", "\tx", "a: \0"])
def test_broken_yaml(project: Path, text: str) -> None:
    """Files that are no YAML are listed like any other problem."""
    for name in ("hsm_config.yaml", "sweeps/sweep_config.yaml"):
        (project / name).write_text(text)
    code, output = _hsm("validate")
    assert code == 2
    assert output.count(": error: ") == 2


def test_as_json(project: Path) -> None:
    """With --json there is one object that says whether all is valid, and each problem with its place."""
    assert json.loads(_hsm("validate", "--json")[1]) == {"valid": True, "problems": [], "warnings": []}
    (project / "hsm_config.yaml").write_text("compute: {retires: 1}\nssh: {compression: on}\n")
    code, output = _hsm("validate", "--json")
    report = json.loads(output)
    assert (code, report["valid"]) == (2, False)
    assert report["problems"] == [
        {
            "file": "hsm_config.yaml",
            "line": 1,
            "column": 11,
            "message": "unknown key 'retires' in compute",
            "hint": "did you mean 'retries'?",
        }
    ]
    assert report["warnings"][0]["message"] == "on was read as true"


def test_missing_script(project: Path) -> None:
    """A script that is not there is a problem with its place."""
    (project / "train.py").unlink()
    code, output = _hsm("validate")
    assert code == 2
    assert output.startswith("hsm_config.yaml:3:11: error: the script train.py is not there")


def test_missing_plugins(project: Path) -> None:
    """A kind or strategy that no installed plugin offers is a warning: the file may be right elsewhere."""
    (project / "hsm_config.yaml").write_text("compute: {strategy: fancy}\nsources: {a: {kind: ssh, host: h}}\n")
    code, output = _hsm("validate")
    assert code == 0
    assert "hsm_config.yaml:1:21: warning: no strategy 'fancy'" in output
    assert "hsm_config.yaml:2:21: warning: no source kind 'ssh'" in output
    assert "pip install hsm-ssh" in output


def test_one_sweep_file(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep file can be checked alone, outside of any project."""
    (tmp_path / "alone.yaml").write_text("grid: {a: [1, 2, 3]}\n")
    monkeypatch.chdir(tmp_path)
    assert _hsm("validate", "--config", "alone.yaml") == (0, "alone.yaml is valid: 3 parameter combinations\n")
    with pytest.raises(NotFoundError, match=r"gone\.yaml"):
        _hsm("validate", "--config", "gone.yaml")
    with pytest.raises(NotFoundError, match=r"no hsm_config\.yaml"):
        _hsm("validate")


def test_check_sync(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a plugin that can check it, being in sync is never claimed."""
    monkeypatch.setenv("HSM_BLOCK_PLUGINS", "sync")
    with pytest.raises(NoSourceError, match="no installed plugin") as caught:
        _hsm("validate", "--check-sync")
    assert caught.value.exit_code == 4


def test_show(project: Path) -> None:
    """Every key is shown with its value and where it comes from, within 80 columns."""
    _, output = _hsm("show")
    lines = output.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("compute.retries" in line and "hsm_config.yaml:5" in line for line in lines)
    assert any("compute.grace" in line and "default" in line for line in lines)
    rows = {row["key"]: row for row in json.loads(_hsm("show", "--json")[1])}
    assert rows["compute.retries"] == {
        "key": "compute.retries",
        "value": 1,
        "from": {"file": "hsm_config.yaml", "line": 5},
    }
    assert rows["compute.grace"] == {"key": "compute.grace", "value": 10, "from": None}


def test_get(project: Path) -> None:
    """A value is printed bare, so that a script can use it."""
    assert _hsm("get", "project.script") == (0, "train.py\n")
    assert _hsm("get", "compute.retries") == (0, "1\n")
    assert _hsm("get", "project.command") == (0, '["{python}", "{script}", "{args}"]\n')
    assert json.loads(_hsm("get", "compute.grace", "--json")[1])["value"] == 10
    with pytest.raises(UsageError):
        _hsm("get", "compute.retreis")


def test_set(project: Path) -> None:
    """A value is changed in place, from any folder of the project; the file's permissions stay."""
    file = project / "hsm_config.yaml"
    file.chmod(0o600)
    assert _hsm("set", "compute.retries", "3") == (0, "compute.retries = 3\n")
    assert file.read_text() == "# mine\nproject:\n  script: train.py\ncompute:\n  retries: 3 # once\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_set_refused(project: Path) -> None:
    """A value that cannot be is refused, also one that looks like an option, and the file stays as it is."""
    before = (project / "hsm_config.yaml").read_bytes()
    with pytest.raises(UsageError, match="at least 0, not -1"):
        _hsm("set", "compute.retries", "-1")
    assert (project / "hsm_config.yaml").read_bytes() == before
    assert [path.name for path in project.iterdir() if path.name.startswith(".")] == []


def test_set_through_a_link(project: Path, tmp_path: Path) -> None:
    """A configuration that is a symbolic link stays one; its target is changed."""
    file = project / "hsm_config.yaml"
    file.rename(tmp_path / "real.yaml")
    file.symlink_to(tmp_path / "real.yaml")
    _hsm("set", "compute.retries", "3")
    assert file.is_symlink()
    assert "retries: 3" in (tmp_path / "real.yaml").read_text()


def test_schema() -> None:
    """The schema is printed as JSON."""
    assert json.loads(_hsm("schema")[1]) == SCHEMA
