"""Changing single keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_core.config import entries, get_value, load_config, read_layers, set_value
from hsm_core.errors import ConfigError, UsageError
from hsm_core.yamlfile import loads

TEXT = """\
# top
project:
  name: x   # the name

  env:
    A: "1"  # one
    B: 'two'

# how
compute:
  # retry
  retries: 0
  timeout: 90m # long
  parallel_limit: null

# list
resources:
    # indented by four
    native:
      - --a   # first
      - --b
# end
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a configuration that has been lived in."""
    (tmp_path / "hsm_config.yaml").write_text(TEXT)
    return tmp_path


def _set(project: Path, key: str, text: str) -> str:
    edit = set_value(project, key, text, project / "nobody.yaml")
    edit.file.write_text(edit.text)
    return edit.text


@pytest.mark.parametrize(
    ("key", "text", "old", "new"),
    [
        ("compute.retries", "3", "retries: 0\n", "retries: 3\n"),
        ("compute.timeout", "null", "timeout: 90m #", "timeout: null #"),
        ("compute.parallel_limit", "8", "parallel_limit: null\n", "parallel_limit: 8\n"),
        ("project.env.A", "a#b", 'A: "1"  #', 'A: "a#b"  #'),
        ("project.env.B", "off", "B: 'two'", 'B: "off"'),
    ],
)
def test_one_word_changes(project: Path, key: str, text: str, old: str, new: str) -> None:
    """Where a single value stands already, it alone is replaced, and every other byte stays."""
    assert _set(project, key, text) == TEXT.replace(old, new)


def test_comments_stay_where_they_are(project: Path) -> None:
    """New keys come after the last of their section, and before comments that belong to what follows."""
    text = _set(project, "project.script", "train.py")
    text = _set(project, "project.env.C", "no")
    text = _set(project, "ssh.compression", "true")
    assert "    B: 'two'\n    C: \"no\"\n  script: train.py\n\n# how\ncompute:" in text
    assert text.endswith("- --b\nssh:\n  compression: true\n# end\n")
    for comment in ("# top", "# the name", "# one", "# retry", "# long", "# list", "# indented by four", "# first"):
        assert comment in text


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("compute.health_check_interval", "300", 300),
        ("compute.timeout", "2h", "2h"),
        ("compute.timeout", "null", None),
        ("project.name", "12", "12"),
        ("project.name", "no", "no"),
        ("project.name", "a: b # c", "a: b # c"),
        ("project.name", "- x", "- x"),
        ("project.name", "'quoted'", "quoted"),
        ("project.name", "é😀", "é😀"),
        ("project.env.A", "1e-3", 0.001),
        ("project.env.A", "true", "true"),
        ("project.env.A", "", ""),
        ("project.env.A", "1\rother: 2", "1\rother: 2"),
        ("project.env.A", "1\nother: 2", "1\nother: 2"),
        ("project.setup", "[module load a, 'b: c']", ["module load a", "b: c"]),
        ("resources.native", "[--x, --y=1]", ["--x", "--y=1"]),
        ("resources.walltime", "1:30:00", "1:30:00"),
        ("sources.gpu.kind", "ssh", "ssh"),
        ("sources.login.cluster.kind", "slurm", "slurm"),
    ],
)
def test_values(project: Path, key: str, text: str, value: object) -> None:
    """A value is what it would be in YAML; where only text is allowed it is text."""
    _set(project, key, text)
    layers = read_layers(project, project / "nobody.yaml")
    assert get_value(layers, key).value == value
    load_config(project, project / "nobody.yaml")


def test_null_is_kept(project: Path) -> None:
    """A `null` that was written stays written."""
    assert "parallel_limit: null\n" in _set(project, "compute.retries", "3")


def test_dotted_source_names(project: Path) -> None:
    """A source's name may have dots of its own."""
    _set(project, "sources.login.cluster.edu.kind", "slurm")
    _set(project, "sources.login.cluster.edu.slots", "3")
    layers = read_layers(project, project / "nobody.yaml")
    assert layers.data["sources"] == {"login.cluster.edu": {"kind": "slurm", "slots": 3}}
    assert get_value(layers, "sources.login.cluster.edu.slots").value == 3


@pytest.mark.parametrize(
    ("key", "text", "word"),
    [
        ("compute.retires", "1", "unknown key 'retires'"),
        ("compute.retries", "-1", "at least 0"),
        ("compute.retries", "many", "whole number"),
        ("compute", "3", "must be a mapping"),
        ("project.name", "a\nb", "one line"),
        ("project.name.x", "1", "no keys of its own"),
        ("project.setup", "module load", "must be a list"),
        ("sources.gpu.slots", "3", "'kind' is missing"),
        ("a..b", "1", "not a key"),
        ("", "1", "not a key"),
        (".", "1", "not a key"),
    ],
)
def test_refused(project: Path, key: str, text: str, word: str) -> None:
    """A key that does not exist, or a value it cannot have, is refused in one line."""
    with pytest.raises(UsageError, match=word):
        set_value(project, key, text, project / "nobody.yaml")


def test_broken_elsewhere(project: Path) -> None:
    """A file with another mistake can still be mended one key at a time."""
    (project / "hsm_config.yaml").write_text("compute:\n  retries: -1\n  timeout: -1\n")
    assert "timeout: 5\n" in _set(project, "compute.timeout", "5")


def test_shared_value_is_not_touched(project: Path) -> None:
    """A change that an alias would carry elsewhere is refused, with what to write by hand."""
    (project / "hsm_config.yaml").write_text("resources: &r {cpus: 1}\nssh: {}\nsources:\n  a: {kind: x, more: *r}\n")
    with pytest.raises(ConfigError) as caught:
        set_value(project, "resources.cpus", "2", project / "nobody.yaml")
    assert caught.value.hint == "write it yourself: cpus: 2"


def test_entries(project: Path) -> None:
    """Every key is listed with the value in force and the place it comes from, or none for a default."""
    found = {entry.key: entry for entry in entries(read_layers(project, project / "nobody.yaml"))}
    assert found["compute.retries"].mark is not None
    assert found["compute.retries"].mark.line == 12
    assert (found["compute.grace"].value, found["compute.grace"].mark) == (10, None)


def test_get(project: Path) -> None:
    """A section gives all that is written in it; a key that does not exist gets a suggestion."""
    layers = read_layers(project, project / "nobody.yaml")
    assert get_value(layers, "project.env").value == {"A": "1", "B": "two"}
    with pytest.raises(UsageError) as caught:
        get_value(layers, "compute.retreis")
    assert caught.value.hint == "did you mean 'compute.retries'?"
    with pytest.raises(UsageError) as caught:
        get_value(layers, "zzz")
    assert "hsm config show" in (caught.value.hint or "")


def test_the_text_says_the_same(project: Path) -> None:
    """After a change everything else in the file means what it meant."""
    before = loads(TEXT, "f").data
    before["compute"]["retries"] = 3
    assert loads(_set(project, "compute.retries", "3"), "f").data == before
