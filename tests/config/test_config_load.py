"""Loading hsm_config.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from hsm_core.config import SCHEMA, SourceConfig, check_source, find_project, load_config, read_layers, user_file
from hsm_core.contract import SourceSpec, TaskResources
from hsm_core.errors import ConfigError, NotFoundError
from hsm_core.yamlfile import check

Write = Callable[[str, str], Path]


@pytest.fixture
def nobody(tmp_path: Path) -> Path:
    """The file of a user who has none."""
    return tmp_path / "nobody.yaml"


def _project(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "my_project"
    folder.mkdir()
    (folder / "hsm_config.yaml").write_text(text)
    return folder


def test_defaults(tmp_path: Path, nobody: Path) -> None:
    """Without any file there is a whole configuration, made of defaults."""
    config = load_config(tmp_path, nobody).config
    assert config.project.name == tmp_path.name
    assert config.project.script is None
    assert config.project.command == ("{python}", "{script}", "{args}")
    assert config.project.arg_style == "argparse"
    assert config.compute.strategy == "round_robin"
    assert config.compute.hold_after == 10
    assert config.compute.timeout_s is None
    assert config.resources == TaskResources()
    assert config.sources == {}


def test_everything(tmp_path: Path, nobody: Path) -> None:
    """Every key arrives, in the units of a program."""
    folder = _project(
        tmp_path,
        """
project: {name: p, script: a b.py, python: /x/python, conda_env: null, command: [run, "{args}"], arg_style: hydra,
          env: {A: "1", B: 2, C: 0.5}, setup: [module load x]}
compute: {health_check_interval: 5m, result_collection_interval: 120, strategy: random, parallel_limit: 16,
          retries: 2.0, timeout: 2h30m, hold_after: 0, grace: 1.5}
ssh: {compression: true, connect_timeout: 5, keepalive_interval: 1m}
resources: {cpus: 4, memory: 4G, gpus: 1, gpu_type: a100, walltime: 1:30:00, native: [--qos=x]}
sources:
  big.one: {kind: ssh, host: me@big, slots: 8, project: ~/p, port: 2222}
  plain: {kind: local}
""",
    )
    config = load_config(folder, nobody).config
    assert config.project.command == ("run", "{args}")
    assert config.project.env == {"A": "1", "B": "2", "C": "0.5"}
    assert config.project.setup == ("module load x",)
    assert config.compute.health_check_interval_s == 300
    assert config.compute.retries == 2
    assert type(config.compute.retries) is int
    assert (config.compute.timeout_s, config.compute.grace_s) == (9000, 1.5)
    shared = {"compression": True, "connect_timeout": 5, "keepalive_interval": 60}
    assert config.shared == {"ssh": shared}
    assert config.resources == TaskResources(4, 4096, 1, "a100", 5400, ("--qos=x",))
    big = config.sources["big.one"]
    assert big == SourceConfig("big.one", "ssh", 8, "me@big", "~/p", {"port": 2222}, shared)
    assert big.spec() == SourceSpec("ssh", "big.one", 8, {**shared, "port": 2222, "host": "me@big", "project": "~/p"})
    assert config.sources["plain"].spec() == SourceSpec("local", "plain")


def test_user_file_below(tmp_path: Path) -> None:
    """The user's file fills in what the project's leaves out, key by key; each value knows its file."""
    folder = _project(tmp_path, "project: {name: ours}\nsources:\n  gpu: {slots: 2}\n")
    user = tmp_path / "user.yaml"
    user.write_text("project: {name: theirs, python: /opt/python}\nsources:\n  gpu: {kind: ssh, slots: 8}\n")
    loaded = load_config(folder, user)
    assert (loaded.config.project.name, loaded.config.project.python) == ("ours", "/opt/python")
    assert loaded.config.sources["gpu"].spec().slots == 2
    assert loaded.layers.mark(("project", "name")).name.endswith("hsm_config.yaml")
    assert loaded.layers.mark(("project", "python")).name.endswith("user.yaml")


def test_problem_in_user_file(tmp_path: Path) -> None:
    """A mistake in the user's file is reported there."""
    folder = _project(tmp_path, "compute: {retries: 1}\n")
    user = tmp_path / "user.yaml"
    user.write_text("compute:\n  timeuot: 3\n")
    with pytest.raises(ConfigError, match=r"user.yaml:2:3: unknown key 'timeuot' in compute") as caught:
        load_config(folder, user)
    assert caught.value.hint == "did you mean 'timeout'?"


def test_empty_section(tmp_path: Path, nobody: Path) -> None:
    """A section all of whose lines are commented out is as good as absent."""
    folder = _project(tmp_path, "project: {name: x}\nsources:\n#  a: {kind: ssh}\n")
    assert load_config(folder, nobody).config.sources == {}


def test_warnings(tmp_path: Path, nobody: Path) -> None:
    """Words that were read as booleans are warned about."""
    folder = _project(tmp_path, "ssh: {compression: yes}\n")
    loaded = load_config(folder, nobody)
    assert loaded.config.shared["ssh"]["compression"] is True
    assert [warning.message for warning in loaded.warnings] == ["yes was read as true"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("porject: {}", "1:1: unknown key 'porject'"),
        ("project: {env: {A-B: x}}", "1:17: the name 'A-B' in project.env must be made of letters, digits and _"),
        ("project: {env: {A: yes}}", "1:20: project.env.A must be text or a number"),
        ('project: {env: {A: "x\\0"}}', "1:20: project.env.A must be text or a number"),
        ("project: {command: []}", "1:20: project.command must not be empty"),
        ("project: {command: [python, 3]}", "1:29: project.command[1] must be text (put numbers in quotes), not 3"),
        ("project: {arg_style: clik}", "1:22: project.arg_style must be one of hydra, argparse, json, env"),
        ('project: {name: "a\\n"}', "1:17: project.name must be text on one line"),
        ("compute: {retries: -1}", "1:20: compute.retries must be a whole number, at least 0, not -1"),
        ("compute: {parallel_limit: 0}", "1:27: compute.parallel_limit must be a whole number, at least 1, not 0"),
        ("compute: {timeout: 2x}", "1:20: compute.timeout must be a duration"),
        ("resources: {memory: 4}", "1:21: resources.memory must be a size with its unit"),
        ('resources: {native: ["a\\nb"]}', "1:22: resources.native[0] must be text on one line"),
        ("sources: {a: {slots: 1}}", "1:11: the key 'kind' is missing in sources.a"),
        ("sources: {'12': {kind: x}}", "1:11: the name '12' in sources must be made of"),
        ("sources: {'a:b': {kind: x}}", "1:11: the name 'a:b' in sources must be made of"),
        ("sources: [a]", "1:10: sources must be a mapping"),
        ("project: {name: [}", "1:18: "),
    ],
)
def test_mistakes(tmp_path: Path, nobody: Path, text: str, message: str) -> None:
    """Each mistake is one line that names the place and what should be there."""
    folder = _project(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(folder, nobody)
    assert f"hsm_config.yaml:{message}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_check_source(tmp_path: Path, nobody: Path) -> None:
    """A plugin's schema sees all of a source but its kind and slots, and complaints have their place."""
    folder = _project(tmp_path, "sources:\n  a: {kind: ssh, slots: 2, host: h, prot: 1}\n")
    schema = {"additionalProperties": False, "properties": {"host": {"type": "string"}, "port": {"type": "integer"}}}
    problems = check_source(read_layers(folder, nobody), "a", schema)
    assert [(problem.message, problem.mark.line, problem.hint) for problem in problems] == [
        ("unknown key 'prot' in sources.a", 2, "did you mean 'port'?")
    ]


def test_find_project(tmp_path: Path) -> None:
    """The nearest folder upwards with a hsm_config.yaml is the project; without one the remedy is named."""
    folder = _project(tmp_path, "project: {}\n")
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    assert find_project(inner) == find_project(folder) == folder
    with pytest.raises(NotFoundError) as caught:
        find_project(tmp_path)
    assert "hsm config init" in (caught.value.hint or "")


def test_forbidden_user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the user's that may not be looked into is as good as empty."""

    def forbidden(path: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.stat", forbidden)
    assert load_config(tmp_path, tmp_path / "user.yaml").config.sources == {}


def test_user_file() -> None:
    """The user's file follows XDG_CONFIG_HOME when it is absolute, and else lies in ~/.config."""
    assert user_file({"XDG_CONFIG_HOME": "/x"}) == Path("/x/hsm/config.yaml")
    home = Path("~/.config/hsm/config.yaml").expanduser()
    assert user_file({}) == user_file({"XDG_CONFIG_HOME": "relative"}) == home


def test_nothing_to_check(tmp_path: Path, nobody: Path) -> None:
    """No file at all is a valid configuration."""
    assert check(read_layers(tmp_path, nobody), SCHEMA) == []
