"""`--sources`: what may be typed, and what it means in a project."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, List, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.config import LoadedConfig, load_config
from hsm_core.contract import SourceSpec, SourceType
from hsm_core.errors import HsmError, NoSourceError, UsageError
from hsm_core.hookspecs import hookimpl
from hsm_core.plugins import Plugins, from_modules
from hsm_core.run.sources import SourceRequest, as_configured, parse_sources, resolve_sources


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        ("local", [SourceRequest("local")]),
        ("local:4", [SourceRequest("local", None, 4)]),
        ("local:a", [SourceRequest("local", "a")]),
        ("ssh:me@host:8", [SourceRequest("ssh", "me@host", 8)]),
        ("ssh:[::1]:8", [SourceRequest("ssh", "[::1]", 8)]),
        ("ssh:10.0.0.1", [SourceRequest("ssh", "10.0.0.1")]),
        (" local:2 , hpc:cluster:16", [SourceRequest("local", None, 2), SourceRequest("hpc", "cluster", 16)]),
        ("7", [SourceRequest("7")]),
    ],
)
def test_a_last_field_of_digits_is_the_number_of_slots(text: str, requests: List[SourceRequest]) -> None:
    """`KIND[:NAME][:SLOTS]`, comma-separated; addresses are names like any other."""
    assert parse_sources(text) == requests


_WORD = st.from_regex(r"[a-z_][a-z0-9_@.]{0,8}", fullmatch=True)


@given(st.lists(st.tuples(_WORD, st.none() | _WORD, st.none() | st.integers(1, 10**6)), min_size=1, unique=True))
def test_what_is_written_in_the_form_is_read_back(sources: List[Any]) -> None:
    """Every request that can be written in the grammar means what it says."""
    text = ",".join(":".join(str(field) for field in source if field is not None) for source in sources)
    assert parse_sources(text) == [SourceRequest(*source) for source in sources]


@given(st.text(max_size=30))
def test_anything_else_is_a_usage_error_of_one_line(text: str) -> None:
    """Whatever is typed is read or refused in one printable line."""
    refusal = None
    try:
        assert parse_sources(text)
    except UsageError as error:
        refusal = error
    if refusal is not None:
        assert len(refusal.message.splitlines()) == 1
        assert refusal.hint


@pytest.mark.parametrize("text", ["local:4:5", "local:4:", "local:x:y:5", "local:0"])
def test_a_name_is_never_a_number(text: str) -> None:
    """`local:4:5` is a slip of the finger, not a source called 4."""
    with pytest.raises(UsageError):
        parse_sources(text)


def _fail(*arguments: Any) -> Any:
    raise AssertionError("resolving does no I/O and makes no source")


def plugins(*found: SourceSpec) -> Plugins:
    """Two kinds that run here, and two batch kinds of which `found` is discovered."""
    module: Any = types.ModuleType("kinds")
    schema = {"type": "object", "additionalProperties": False, "properties": {"speed": {"type": "integer"}}}

    def hsm_source_types() -> List[SourceType]:
        return [
            SourceType("local", _fail, schema),
            SourceType("ssh", _fail),
            SourceType("slurm", _fail, family="batch"),
            SourceType("pbs", _fail, family="batch"),
        ]

    def hsm_discover_sources() -> List[SourceSpec]:
        return list(found)

    module.hsm_source_types = hookimpl(hsm_source_types)
    module.hsm_discover_sources = hookimpl(hsm_discover_sources)
    loaded = from_modules({"kinds": module})
    assert not loaded.infos[0].error
    return loaded


def project(tmp_path: Path, sources: str = "{}") -> LoadedConfig:
    """A project that names these sources."""
    (tmp_path / "hsm_config.yaml").write_text(f"sources: {sources}\n")
    return load_config(tmp_path)


def resolve(text: str, config: LoadedConfig, loaded: Optional[Plugins] = None) -> List[SourceSpec]:
    """What a text means there."""
    return resolve_sources(parse_sources(text), config, loaded or plugins())


def test_names_of_the_configuration_bring_their_options(tmp_path: Path) -> None:
    """A bare name, or its kind and name, is the configured source; slots typed here win."""
    config = project(tmp_path, "{box: {kind: local, slots: 2, speed: 5}}")
    (bare,) = resolve("box", config)
    assert bare == SourceSpec("local", "box", 2, {"speed": 5})
    assert resolve("local:box", config) == [bare]
    (more,) = resolve("box:7", config)
    assert (more.slots, more.options) == (7, {"speed": 5})
    assert resolve("local:other:3", config) == [SourceSpec("local", "other", 3)]


def test_a_sweep_goes_on_with_what_is_configured_now(tmp_path: Path) -> None:
    """Its own sources have the options of today, and their slots of then; what is not configured is as it was."""
    config = project(tmp_path, "{box: {kind: local, slots: 2, speed: 5}}")
    then = [SourceSpec("local", "box", 7, {"speed": 1}), SourceSpec("ssh", "gone", 1, {"host": "h"})]
    assert as_configured(then, config, plugins()) == [SourceSpec("local", "box", 7, {"speed": 5}), then[1]]


def test_options_are_checked_by_their_plugin(tmp_path: Path) -> None:
    """An option that the kind does not take is an error with its place."""
    config = project(tmp_path, "{box: {kind: local, sped: 5}}")
    with pytest.raises(HsmError, match=r"hsm_config\.yaml:1.*sped"):
        resolve("box", config)


def test_the_same_source_twice_is_refused(tmp_path: Path) -> None:
    """By whatever words: one source, one set of slots."""
    config = project(tmp_path, "{box: {kind: local}}")
    for text in ("local,local", "box,local:box", "local:1,local:2"):
        with pytest.raises(UsageError, match="twice"):
            resolve(text, config)


def test_a_kind_that_is_not_installed_says_what_to_install(tmp_path: Path) -> None:
    """The message names the kind, the hint the package."""
    with pytest.raises(NoSourceError, match="no source kind 'moab'") as caught:
        resolve("moab:x", project(tmp_path))
    assert caught.value.hint == "pip install hsm-moab"


def test_a_bare_word_may_be_meant_for_a_machine(tmp_path: Path) -> None:
    """A word that is no kind and no configured name is answered with how machines are written."""
    with pytest.raises(NoSourceError, match="no source kind 'server1'") as caught:
        resolve("server1", project(tmp_path))
    assert "KIND:server1" in caught.value.hint
    assert "pip install hsm-server1" in caught.value.hint


def test_hpc_is_the_one_batch_source_there_is(tmp_path: Path) -> None:
    """Discovered or configured, of whatever batch kind."""
    found = SourceSpec("slurm", "cluster")
    assert resolve("hpc", project(tmp_path), plugins(found)) == [found]
    assert resolve("hpc:9", project(tmp_path), plugins(found)) == [SourceSpec("slurm", "cluster", 9)]
    config = project(tmp_path, "{big: {kind: pbs}, box: {kind: local}}")
    assert resolve("hpc", config) == [SourceSpec("pbs", "big")]
    assert resolve("hpc:big:4", config, plugins(found)) == [SourceSpec("pbs", "big", 4)]


def test_a_configured_cluster_is_the_one_that_is_discovered(tmp_path: Path) -> None:
    """Describing the cluster of this machine does not make `hpc` ambiguous; one on another host is a second one."""
    found = SourceSpec("slurm", "slurm")
    here = project(tmp_path, "{big: {kind: slurm}}")
    assert resolve("hpc", here, plugins(found)) == [SourceSpec("slurm", "big")]
    there = project(tmp_path, "{big: {kind: slurm, host: me@login}}")
    with pytest.raises(NoSourceError, match="could be any of: slurm:big, slurm:slurm"):
        resolve("hpc", there, plugins(found))


def test_hpc_with_none_or_several_candidates_lists_them(tmp_path: Path) -> None:
    """Nothing is guessed."""
    with pytest.raises(NoSourceError, match="no such batch system here"):
        resolve("hpc", project(tmp_path))
    both = plugins(SourceSpec("slurm", "a"), SourceSpec("pbs", "b"))
    with pytest.raises(NoSourceError, match="could be any of: pbs:b, slurm:a"):
        resolve("hpc", project(tmp_path), both)
    with pytest.raises(NoSourceError, match="there are: pbs:b, slurm:a"):
        resolve("hpc:c", project(tmp_path), both)
    assert resolve("hpc:b", project(tmp_path), both) == [SourceSpec("pbs", "b")]
