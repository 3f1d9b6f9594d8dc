"""Every package of the checkout is a whole project, and every list of packages names them all."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
ids = [path.name for path in PLUGINS]


def test_root_has_what_a_project_has():
    """The checkout opens with README, licence, changelog and how to contribute."""
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"):
        assert (ROOT / name).is_file(), name


def test_no_folder_of_plugins_is_half_a_project():
    """Every folder under `plugins/` is a package."""
    folders = [path for path in (ROOT / "plugins").iterdir() if path.is_dir()]
    assert sorted(path.name for path in folders if not path.name.startswith((".", "_"))) == ids


@pytest.mark.parametrize("plugin", PLUGINS, ids=ids)
def test_plugin_is_a_whole_project(plugin):
    """A plugin has a README that says how to install it, its types, its tests, and an entry point that is a module."""
    package = plugin / "src" / plugin.name
    assert f"./plugins/{plugin.name}" in (plugin / "README.md").read_text()
    assert (package / "py.typed").is_file()
    assert list((plugin / "tests").glob("test_*.py"))
    project = (plugin / "pyproject.toml").read_text()
    assert f'"{plugin.name}.plugin"' in project
    assert (package / "plugin.py").is_file()
    assert f'name = "{plugin.name.replace("_", "-")}"' in project


@pytest.mark.parametrize("plugin", PLUGINS, ids=ids)
def test_lists_name_every_plugin(plugin):
    """`requirements.txt` installs every plugin, and import-linter watches every one."""
    assert f"-e ./plugins/{plugin.name}" in (ROOT / "requirements.txt").read_text().split("\n")
    linter = configparser.ConfigParser()
    linter.read(ROOT / ".importlinter")
    for section, key in (
        ("importlinter", "root_packages"),
        ("importlinter:contract:core-knows-no-plugin", "forbidden_modules"),
        ("importlinter:contract:plugins-are-strangers", "modules"),
    ):
        assert plugin.name in linter[section][key].split(), section
