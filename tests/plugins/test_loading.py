"""The loader, with real distributions on disk: whatever one plugin does, the others load and the reason is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable, Dict, Iterator

import pytest

from hsm_core import plugins
from hsm_core.contract import DiscoverRequest
from hsm_core.errors import NoSourceError, UsageError
from hsm_core.plugins import PluginInfo, Plugins

GOOD = """
from hsm_core.contract import SourceType, SourceSpec, StrategyType
from hsm_core.hookspecs import hookimpl

@hookimpl
def hsm_source_types():
    yield SourceType("{kind}", lambda spec: None)

@hookimpl
def hsm_strategies():
    yield StrategyType("{kind}_first", lambda seed: None)
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution with one plugin module on the path, as pip would."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(name: str, text: str, *, distribution: str = "", entries: str = "", metadata: str = "") -> None:
        distribution = distribution or f"hsm-{name}"
        module = f"tested_{name}"
        tmp_path.joinpath(f"{module}.py").write_text(text)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text(metadata or f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        info.joinpath("entry_points.txt").write_text(entries or f"[hsm]\n{name} = {module}\n")

    yield put
    for module in set(sys.modules) - known:
        if module.startswith("tested_"):
            del sys.modules[module]


def loaded() -> Dict[str, PluginInfo]:
    """What the loader found, by name."""
    return {info.name: info for info in plugins.load().infos}


def test_good_plugin_is_listed_with_what_it_offers(install: Install) -> None:
    """A plugin is listed with its distribution, version, kinds and strategies."""
    install("good", GOOD.format(kind="alpha"))
    info = loaded()["good"]
    assert (info.distribution, info.version, info.error) == ("hsm-good", "1.2", "")
    assert (info.kinds, info.strategies) == (["alpha"], ["alpha_first"])


BROKEN = {
    "import": ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    "syntax": ("def", "SyntaxError"),
    "exit": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "lines": ("raise ValueError('one\\ntwo')", "ValueError: one two"),
    "misspelt": (GOOD.format(kind="alpha").replace("hsm_strategies", "hsm_stratgies"), "hsm_stratgies"),
    "argument": (GOOD.format(kind="alpha").replace("types()", "types(no)"), "hsm_source_types"),
    "raises": (GOOD.format(kind="alpha").replace("yield", "1 / 0; yield"), "ZeroDivisionError"),
    "wrong type": (
        GOOD.format(kind="alpha").replace('yield SourceType("alpha", lambda spec: None)', "yield 7"),
        "not 7",
    ),
    "newer": (
        GOOD.format(kind="alpha").replace("spec: None", "spec: None, api=(1, 99)"),
        "1.99, but this hsm-core has 1.",
    ),
    "older": (GOOD.format(kind="alpha").replace("seed: None", "seed: None, api=(0, 1)"), "written for plugin API 0.1"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_plugin_stops_nobody(install: Install, how: str) -> None:
    """A broken plugin is listed with one line, offers nothing, and the one beside it works."""
    text, said = BROKEN[how]
    install("aa_broken", text)
    install("good", GOOD.format(kind="beta"))
    found = plugins.load()
    infos = {info.name: info for info in found.infos}
    assert said in infos["aa_broken"].error
    assert len(infos["aa_broken"].error.splitlines()) == 1
    assert "alpha" not in found.kinds
    assert not infos["aa_broken"].kinds
    assert not infos["good"].error
    assert "beta" in found.kinds


def test_two_plugins_with_one_kind(install: Install) -> None:
    """The second plugin to offer a kind is broken, offers nothing at all, and the first keeps the kind."""
    install("one", GOOD.format(kind="alpha"))
    install("two", GOOD.format(kind="beta") + GOOD.format(kind="alpha"))
    found = plugins.load()
    errors = {info.name: info.error for info in found.infos if info.name in ("one", "two")}
    assert sorted(errors.values()) == ["", "ValueError: another plugin already offers 'alpha'"]
    assert "alpha" in found.kinds


def test_two_distributions_with_one_plugin_name(install: Install) -> None:
    """Two distributions that both call their plugin `same`: one works, the other is listed as in its way."""
    install("same", GOOD.format(kind="alpha"))
    install("other", GOOD.format(kind="beta"), entries="[hsm]\nsame = tested_other\n")
    errors = sorted(info.error for info in plugins.load().infos if info.name == "same")
    assert errors[0] == ""
    assert errors[1].endswith("already has a plugin 'same'")


def test_one_module_under_two_names(install: Install) -> None:
    """A module that is registered a second time does not take its first registration down with it."""
    install("good", GOOD.format(kind="alpha"), entries="[hsm]\ngood = tested_good\nagain = tested_good\n")
    found = plugins.load()
    assert sorted(bool(info.error) for info in found.infos if info.name in ("good", "again")) == [False, True]
    assert "alpha" in found.kinds


def test_blocked_plugin_is_never_imported(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """`HSM_BLOCK_PLUGINS` keeps a plugin out without even importing it, and says so."""
    install("good", "raise AssertionError('imported')")
    monkeypatch.setenv("HSM_BLOCK_PLUGINS", "other,good")
    assert loaded()["good"].error == "blocked by HSM_BLOCK_PLUGINS"


def test_broken_metadata_of_a_stranger(install: Install, tmp_path: Path) -> None:
    """A distribution whose entry points cannot be read at all hides no other plugin."""
    install("good", GOOD.format(kind="alpha"))
    stranger = tmp_path / "stranger-0.dist-info"
    stranger.mkdir()
    stranger.joinpath("entry_points.txt").write_bytes(b"\xff\xfe\x00[\n=")
    assert not loaded()["good"].error


def test_missing_kind_names_the_remedy() -> None:
    """Asking for a kind that nobody offers names the package to install, or the word that was meant."""
    found = Plugins()
    with pytest.raises(NoSourceError) as caught:
        found.source_type("slurm")
    assert caught.value.message == "no source kind 'slurm' (none is installed)"
    assert caught.value.hint == "pip install hsm-slurm"


def test_misspelt_name_is_guessed(install: Install) -> None:
    """A near miss is answered with the word that was meant."""
    install("good", GOOD.format(kind="alpha"))
    with pytest.raises(UsageError) as caught:
        plugins.load().strategy("alpha_frist")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean 'alpha_first'?")


def test_broken_plugin_is_quoted_when_its_kind_is_asked_for(install: Install) -> None:
    """The reason why a kind is missing is the broken plugin's own error."""
    install("slurm", "import no_such_module_at_all")
    with pytest.raises(NoSourceError, match="its plugin is broken: ModuleNotFoundError") as caught:
        plugins.load().source_type("slurm")
    assert caught.value.hint == "see: hsm plugins"


def test_discovery_survives_a_failing_plugin(install: Install) -> None:
    """One plugin that fails to look for sources costs only its own."""
    finds = "\n@hookimpl\ndef hsm_discover_sources({}):\n    {}\n    yield SourceSpec('alpha', 'here')\n"
    install("one", GOOD.format(kind="alpha") + finds.format("request", "assert request.project_dir"))
    install("two", GOOD.format(kind="beta") + finds.format("", "raise OSError('squeue: not found')"))
    specs, errors = plugins.load().discover(DiscoverRequest("/project"))
    assert [spec.id for spec in specs if spec.kind == "alpha"] == ["alpha:here"]
    assert [error for error in errors if error.startswith("two")] == ["two: OSError: squeue: not found"]


def test_what_a_plugin_says_of_a_search_in_our_words_is_said_as_it_is(install: Install) -> None:
    """An error that is written for a person is shown without the name of its class."""
    finds = "\n@hookimpl\ndef hsm_discover_sources():\n    from hsm_core.errors import NoSourceError\n"
    install("one", GOOD.format(kind="alpha") + finds + "    raise NoSourceError('its server is down')\n")
    _, errors = plugins.load().discover(DiscoverRequest("/project"))
    assert [error for error in errors if error.startswith("one")] == ["one: its server is down"]


def test_metrics_are_merged_and_failures_add_nothing(install: Install) -> None:
    """Metrics of several plugins are merged; one that raises adds nothing."""
    gives = "from hsm_core.hookspecs import hookimpl\n@hookimpl\ndef hsm_extract_metrics({}):\n    {}\n"
    install("one", gives.format("task_dir", "return {'dir': task_dir}"))
    install("two", gives.format("", "return {'loss': 0.5}"))
    install("three", gives.format("", "raise OSError"))
    install("four", gives.format("", "return None"))
    assert plugins.load().metrics("tasks/task_001") == {"dir": "tasks/task_001", "loss": 0.5}


def test_hooks_can_be_wrapped_and_the_core_is_last(install: Install) -> None:
    """`hsm_submit` reaches the source through the core's own implementation, which a plugin may wrap."""
    install(
        "audit",
        "from hsm_core.hookspecs import hookimpl\n"
        "@hookimpl(wrapper=True)\n"
        "def hsm_submit(source):\n"
        "    result = yield\n"
        "    return ('audited', result)\n",
    )

    class Echo:
        def submit(self, request: object) -> object:
            return request

    assert plugins.load().submit(Echo(), "request") == ("audited", "request")  # type: ignore[arg-type,comparison-overlap]
