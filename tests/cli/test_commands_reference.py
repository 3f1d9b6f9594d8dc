"""docs/reference/commands.md says what the commands say of themselves."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import pytest

from hsm_core.errors import ExitCode
from hsm_core.testing.recorded import RecordedSweep

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The script that writes the page."""
    spec = importlib.util.spec_from_file_location("commands_reference", ROOT / "scripts" / "commands_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_lists_every_command_and_option(reference: ModuleType) -> None:
    """The generated part is up to date: run `python scripts/commands_reference.py` after changing a command."""
    page = reference.PAGE.read_text(encoding="utf-8")
    assert reference.written(page) == page


def test_every_option_has_words(reference: ModuleType) -> None:
    """No command without help, no option without meaning."""
    for words, command in reference.commands(reference.cli, "hsm"):
        assert command.help, words
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.help, (words, parameter.name)


def test_every_exit_code_is_listed(reference: ModuleType) -> None:
    """The table of exit codes has them all."""
    page = reference.PAGE.read_text(encoding="utf-8")
    for code in ExitCode:
        assert f"| {code.value} |" in page


def test_every_json_key_is_listed(
    reference: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, type_hsm: Callable[..., Any]
) -> None:
    """Whatever key a reading command prints, the page says what it means."""
    monkeypatch.chdir(tmp_path)
    sweep = RecordedSweep(tmp_path)
    sweep.play(0, state="failed", exit_code=1)
    sweep.close("interrupted")
    page = reference.PAGE.read_text(encoding="utf-8")
    facts = json.loads(type_hsm("status", "--json").out)
    answer = json.loads(type_hsm("explain", "sweep_1", "1", "--json").out)
    parts = [facts, facts["controller"], *facts["sources"], *facts["failures"], *facts["recent_failures"]]
    for part in [*parts, answer, *answer["evidence"]]:
        for key in part:
            assert f"`{key}`" in page, key
