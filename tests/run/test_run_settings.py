"""What a sweep was begun with comes back as it was, months later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsm_core.contract import SourceSpec, TaskResources
from hsm_core.errors import StoreError
from hsm_core.run.settings import Settings
from hsm_core.store.layout import SweepLayout

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SECONDS = st.floats(0, 1e9)


@pytest.fixture
def layout(tmp_path: Path) -> SweepLayout:
    """A sweep's folder."""
    layout = SweepLayout(tmp_path / "s")
    layout.private.mkdir(parents=True)
    return layout


ANY = st.builds(
    Settings,
    project_dir=TEXT,
    total=st.integers(1, 10**12),
    digest=TEXT,
    command=st.lists(TEXT).map(tuple),
    arg_style=TEXT,
    python=TEXT,
    script=st.none() | TEXT,
    env=st.dictionaries(TEXT, TEXT),
    setup=st.lists(TEXT).map(tuple),
    sources=st.lists(
        st.builds(SourceSpec, TEXT, TEXT, st.none() | st.integers(1), st.dictionaries(TEXT, TEXT | st.integers()))
    ).map(tuple),
    parallel_limit=st.none() | st.integers(1),
    timeout_s=st.none() | SECONDS,
    grace_s=SECONDS,
    keep_going=st.booleans(),
    resources=st.builds(TaskResources, cpus=st.none() | st.integers(1), native=st.lists(TEXT).map(tuple)),
)


@given(ANY)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_what_is_written_is_read(layout: SweepLayout, given_settings: Settings) -> None:
    """Every value survives the file: tuples, options, unicode, nothing at all."""
    given_settings.write(layout)
    assert Settings.read(layout) == given_settings


def _write(layout: SweepLayout, **changes: Any) -> None:
    Settings("p", 1, "d", ("a",), "env", "python3", None, {}, (), ()).write(layout)
    path = layout.private / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_a_newer_version_added_is_ignored(layout: SweepLayout) -> None:
    """An older hsm reads the settings of a newer one."""
    _write(layout, colour="green")
    assert Settings.read(layout).total == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"total": 1}', "\x00"])
def test_a_damaged_file_is_one_line(layout: SweepLayout, text: str) -> None:
    """It names the sweep and the file."""
    (layout.private / "settings.json").write_text(text)
    with pytest.raises(StoreError, match=r"cannot read how s was begun: .*settings\.json") as caught:
        Settings.read(layout)
    assert "\n" not in caught.value.message


def test_a_missing_file_is_one_line(layout: SweepLayout) -> None:
    """A folder that was copied in part says so."""
    with pytest.raises(StoreError, match="No such file") as caught:
        Settings.read(layout)
    assert caught.value.hint == "was its folder copied whole?"
