"""`hsm config init`."""

from __future__ import annotations

import os
import types
from pathlib import Path
from typing import Any, Callable, List

import click
import pytest
from click.testing import CliRunner, Result

from hsm_core.cli.config import config
from hsm_core.config import load_config
from hsm_core.contract import DiscoverRequest, SourceSpec, SourceType
from hsm_core.errors import HsmError, NotFoundError, UsageError
from hsm_core.hookspecs import hookimpl
from hsm_core.plugins import from_modules
from hsm_core.space import load_space
from hsm_core.yamlfile import load

Hsm = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, for a person without a configuration or an environment of their own."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    folder = tmp_path / "my_project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def _init(*words: str, input: str = "") -> str:
    """Run `hsm config init`; a handled error is raised."""
    result = CliRunner().invoke(config, ["init", *words], input=input)
    if isinstance(result.exception, HsmError):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def _discovered(monkeypatch: pytest.MonkeyPatch, *found: SourceSpec, error: str = "") -> None:
    """Have these batch systems, or the error of whoever looks for them, and no others."""

    def discover(request: DiscoverRequest) -> List[SourceSpec]:
        if error:
            raise OSError(error)
        return [SourceSpec("here", "here"), *found]

    module: Any = types.ModuleType("kinds")
    make: Any = lambda spec: None  # noqa: E731 - nothing is opened
    kinds = [SourceType("here", make), SourceType("tsp", make, family="batch")]
    module.hsm_source_types = hookimpl(specname="hsm_source_types")(lambda: kinds)
    module.hsm_discover_sources = hookimpl(specname="hsm_discover_sources")(discover)
    monkeypatch.setattr("hsm_core.plugins.load", lambda: from_modules({"kinds": module}))


def test_a_batch_system_is_a_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found here is in the table, in the configuration with what holds now, and in what to type next."""
    _discovered(monkeypatch, SourceSpec("tsp", "tsp", options={"queue": "no: 1"}))
    monkeypatch.setenv("PATH", "")
    (folder / "train.py").write_text("")
    output = _init()
    (row,) = [line for line in output.splitlines() if "HPC System" in line]
    assert "Detected" in row
    assert "TSP" in row
    (source,) = load_config(folder).config.sources.values()
    assert source.spec() == SourceSpec("tsp", "cluster", options={"queue": "no: 1"})
    assert "hsm test cluster" in output


@pytest.mark.parametrize(
    ("found", "error", "words"),
    [
        ([SourceSpec("tsp", "a"), SourceSpec("tsp", "b")], "", "several: tsp:a, tsp:b"),
        ([], "there is TSP here, but: it is down", "it is down"),
    ],
)
def test_a_batch_system_that_cannot_be_used_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, found: List[SourceSpec], error: str, words: str
) -> None:
    """Several, or one that does not answer: the table says so, and the configuration names none."""
    monkeypatch.setenv("COLUMNS", "200")
    _discovered(monkeypatch, *found, error=error)
    (folder / "train.py").write_text("")
    (row,) = [line for line in _init().splitlines() if "HPC System" in line]
    assert "Not usable" in row
    assert words in row
    assert load_config(folder).config.sources == {}


def test_newcomer(folder: Path) -> None:
    """In a folder with only a train.py everything the guide lists is made, and all of it is valid."""
    (folder / "train.py").write_text("import argparse\n")
    output = _init()
    assert _files(folder) == [
        "hsm_config.yaml",
        "sweeps",
        "sweeps/README.md",
        "sweeps/outputs",
        "sweeps/sweep_config.yaml",
        "train.py",
    ]
    project = load_config(folder).config.project
    assert (project.name, project.script, project.arg_style) == ("my_project", "train.py", "argparse")
    sweep = load_space(load(folder / "sweeps" / "sweep_config.yaml"))
    assert sweep.space.total == 27
    assert not sweep.warnings
    assert not load_config(folder).warnings
    for words in ("Project Initialization", "Detected Project Information", "✅ Found", "train.py", "hsm run", "Next:"):
        assert words in output


def test_own_options(folder: Path) -> None:
    """Where the script declares its options, the first sweep is over those, so that it runs as it is."""
    (folder / "train.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', default=0.01)\n"
    )
    _init()
    assert load(folder / "sweeps" / "sweep_config.yaml").data["grid"] == {"lr": [0.001, 0.01, 0.1]}


def test_fits_80_columns(folder: Path) -> None:
    """The table stays within 80 columns, however long a path is, and loses nothing of it."""
    deep = "sub_folder_with_a_name_that_is_long_enough_to_reach_far_beyond_the_edge_of_the_table"
    (folder / deep).mkdir()
    (folder / deep / "fit.py").write_text("import hydra\n")
    output = _init()
    table = [line for line in output.splitlines() if line.startswith("│")]
    assert max(len(line) for line in table) <= 80
    assert "\x1b" not in output
    assert deep[-10:] in "".join(line.split("│")[-2].strip() for line in table)


def test_empty_folder(folder: Path) -> None:
    """Without any program it says so, names the remedy, and writes nothing."""
    with pytest.raises(UsageError, match="there is no Python program here") as caught:
        _init()
    assert "--script" in (caught.value.hint or "")
    assert _files(folder) == []


def test_several_scripts(folder: Path) -> None:
    """With several candidates and nobody to ask, all are listed with the remedy, and nothing is written."""
    for name in ("train.py", "main.py"):
        (folder / name).write_text("")
    with pytest.raises(UsageError, match=r"main\.py, train\.py") as caught:
        _init("--no-interactive")
    assert "--script main.py" in (caught.value.hint or "")
    assert _files(folder) == ["main.py", "train.py"]


def test_interactive(folder: Path) -> None:
    """Asked to be interactive, it asks about everything and takes the answers."""
    for name in ("train.py", "main.py"):
        (folder / name).write_text("")
    output = _init("--interactive", input="new name\n2\n/opt/python\nhydra\n")
    assert "Which script is swept?" in output
    project = load_config(folder).config.project
    assert (project.name, project.script, project.python, project.arg_style) == (
        "new name",
        "train.py",
        "/opt/python",
        "hydra",
    )


def test_asks_only_what_is_in_doubt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal the one question is which of several scripts is meant; with one script there is none."""
    monkeypatch.setattr("hsm_core.cli.config_init._terminal", lambda: True)
    (folder / "fit.py").write_text("import argparse\n")
    assert "?" not in _init()
    (folder / "try.py").write_text("import argparse\n")
    assert _init("--force", input="2\n").count("?") == 1
    assert load_config(folder).config.project.script == "try.py"


def test_interactive_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops answering has lost nothing: no file is written."""

    def give_up(*words: object, **options: object) -> None:
        raise click.Abort

    (folder / "train.py").write_text("")
    monkeypatch.setattr("click.prompt", give_up)
    result = CliRunner().invoke(config, ["init", "--interactive"])
    assert result.exit_code == 1
    assert _files(folder) == ["train.py"]


def test_everything_given(folder: Path) -> None:
    """Options answer every question; odd texts arrive as they are."""
    (folder / "it's.py").write_text("")
    name = 'no: "x" # \\ é'
    _init("--name", name, "--script", "it's.py", "--python", "no", "--arg-style", "json", "--conda-env", "1e3")
    project = load_config(folder).config.project
    assert (project.name, project.script, project.python) == (name, "it's.py", "no")
    assert (project.arg_style, project.conda_env) == ("json", "1e3")


def test_script_outside(folder: Path, tmp_path: Path) -> None:
    """A script elsewhere is named by its whole path, one in the project relative to it."""
    (tmp_path / "x.py").write_text("")
    _init("--script", "../x.py")
    assert load_config(folder).config.project.script == str(tmp_path / "x.py")


def test_missing_script(folder: Path) -> None:
    """A script that is not there is refused."""
    with pytest.raises(NotFoundError, match=r"gone\.py: there is no such script"):
        _init("--script", "gone.py")
    assert _files(folder) == []


def test_bad_name(folder: Path) -> None:
    """A name that no configuration could have is refused before anything is written."""
    (folder / "train.py").write_text("")
    with pytest.raises(UsageError, match=r"project.name must be text on one line"):
        _init("--name", "a\nb")
    assert _files(folder) == ["train.py"]


def test_never_overwrites(folder: Path) -> None:
    """A configuration that is there stays; with --force the old files are kept under another name."""
    (folder / "train.py").write_text("")
    (folder / "hsm_config.yaml").write_text("mine")
    with pytest.raises(UsageError, match="is here already"):
        _init()
    assert (folder / "hsm_config.yaml").read_text() == "mine"
    _init("--force")
    _init("--force", "--name", "third")
    assert (folder / "hsm_config.yaml.bak").read_text() == "mine"
    assert (folder / "hsm_config.yaml.bak2").exists()
    assert load_config(folder).config.project.name == "third"


def test_existing_sweep_stays(folder: Path) -> None:
    """A sweep file that is there already is not touched without --force."""
    (folder / "train.py").write_text("")
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "sweep_config.yaml").write_text("mine")
    assert "sweep_config.yaml  " not in _init()
    assert (folder / "sweeps" / "sweep_config.yaml").read_text() == "mine"


@pytest.mark.parametrize("options", [[], ["--force"]])
def test_nothing_half_made(folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    """When one file cannot be written, everything is as it was before."""
    (folder / "train.py").write_text("")
    if options:
        (folder / "hsm_config.yaml").write_text("mine")
    before = _files(folder)

    def write(path: Path, data: bytes) -> None:
        if path.name == "README.md":
            raise OSError(28, os.strerror(28))
        path.write_bytes(data)

    monkeypatch.setattr("hsm_core.cli.config_files.write_atomic", write)
    with pytest.raises(NotFoundError, match=r"README.md: cannot be written: No space left"):
        _init(*options)
    assert _files(folder) == before
    assert not options or (folder / "hsm_config.yaml").read_text() == "mine"


def test_plain_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot show more than ASCII gets ASCII."""
    (folder / "train.py").write_text("")
    result = CliRunner(charset="ascii").invoke(config, ["init"])
    assert result.exception is None
    assert result.output.isascii()
    assert "+ Found" in result.output
