"""Whatever stands in the files or is typed, the answer is a configuration or one clear line."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsm_core.config import SCHEMA, get_value, load_config, read_layers, set_value
from hsm_core.errors import HsmError, UsageError
from hsm_core.yamlfile import loads
from hsm_core.yamlfile.scalars import as_yaml

SAMPLE = """\
# a comment
project:
  name: my_project # the name
  command: ["{python}", '{script}', "{args}"]
  env: {A: "1", B: 2}
  setup:
    - module load x
compute: {retries: 1, timeout: 2h30m, parallel_limit: null}
resources:
  memory: 4G

sources:
  gpu.one: &gpu {kind: ssh, slots: 2}
  two: {<<: *gpu, host: h}
"""
_KEYS = [f"{section}.{key}" for section, schema in SCHEMA["properties"].items() for key in schema.get("properties", {})]
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_VALUES: st.SearchStrategy[Any] = (
    _SCALARS | st.lists(_SCALARS, max_size=3) | st.dictionaries(st.text(min_size=1), _SCALARS)
)
_quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that lasts for all the examples of a test."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _refused(call: Callable[[], Any]) -> Optional[HsmError]:
    """The handled error that a call ends in, which has one line; None when it succeeds."""
    try:
        call()
    except HsmError as error:
        refusal = error
    else:
        return None
    assert len(refusal.message.splitlines()) == 1
    return refusal


def _load(folder: Path, data: bytes) -> None:
    (folder / "hsm_config.yaml").write_bytes(data)
    refusal = _refused(lambda: load_config(folder, folder / "nobody.yaml"))
    if refusal is not None:
        assert "hsm_config.yaml:" in refusal.message
        assert refusal.exit_code == 2


@_quick
@given(
    st.integers(0, len(SAMPLE)),
    st.integers(0, 12),
    st.text(max_size=6) | st.sampled_from(["\t", "\0", "]", "&a", "*a"]),
)
def test_damaged_file(folder: Path, start: int, length: int, other: str) -> None:
    """A file with a piece cut out and another put in is read, or refused with its place."""
    _load(folder, (SAMPLE[:start] + other + SAMPLE[start + length :]).encode("utf-8", "surrogatepass"))


@_quick
@given(st.binary(max_size=60))
def test_any_bytes(folder: Path, data: bytes) -> None:
    """Any bytes at all are read, or refused with their place."""
    _load(folder, data)


@_quick
@given(st.sampled_from([*_KEYS, "sources", "sources.a", "project", "other"]), _VALUES)
def test_any_value(folder: Path, key: str, value: Any) -> None:
    """A key with any value of any kind is read, or refused with its place."""
    lines = [f"{'  ' * depth}{word}:" for depth, word in enumerate(key.split("."))]
    try:
        text = "\n".join(lines) + f" {as_yaml(value)}\n"
    except UnicodeEncodeError:
        return
    _load(folder, text.encode("utf-8", "surrogatepass"))


@_quick
@given(
    st.sampled_from([*_KEYS, "project.env.A", "project.env.NEW", "sources.gpu.one.slots", "sources.two.more"]),
    st.text(),
)
def test_set_anything(folder: Path, key: str, text: str) -> None:
    """Setting any key to any text changes that key and nothing else, or is refused in one line."""
    (folder / "hsm_config.yaml").write_text(SAMPLE)
    if _refused(lambda: set_value(folder, key, text, folder / "nobody.yaml")):
        return
    edit = set_value(folder, key, text, folder / "nobody.yaml")
    edit.file.write_text(edit.text, "utf-8")
    assert get_value(read_layers(folder, folder / "nobody.yaml"), key).value == edit.value
    assert "# a comment" in edit.text
    assert "# the name" in edit.text or key == "project.name"
    before, after = loads(SAMPLE, "f").data, loads(edit.text, "f").data
    section = key.split(".")[0]
    before.pop(section, None)
    after.pop(section, None)
    assert before == after


@_quick
@given(st.text() | st.lists(st.sampled_from(["project", "naem", "sources", "tow", "\n", ""])).map(".".join))
def test_any_key(folder: Path, key: str) -> None:
    """A key that does not exist is refused, for reading and for writing."""
    (folder / "hsm_config.yaml").write_text(SAMPLE)
    if key in ("project", "compute", "ssh", "resources", "sources"):
        return
    for call in (
        lambda: get_value(read_layers(folder, folder / "nobody.yaml"), key),
        lambda: set_value(folder, key, "1", folder / "nobody.yaml"),
    ):
        assert isinstance(_refused(call), UsageError)
