"""Diagnostics: nothing unless asked for, and then lines that programs can read."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Dict

import pytest

from hsm_core.log import Log

_SAY = """
from hsm_core.log import Log
log = Log("worker")
log.debug("call", seconds=0.5)
log.warning("a b", error="x")
"""


def _lines(code: str = _SAY, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('structlog' in sys.modules)"],
        env={"PYTHONPATH": ":".join(sys.path), **env},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip() + "|" + done.stderr


def test_silent_and_cheap_unless_asked() -> None:
    """Without HSM_LOG nothing is printed, and structlog is not even imported."""
    assert _lines() == "False|"


def test_a_level_shows_what_weighs_as_much_or_more() -> None:
    """`HSM_LOG=warning` leaves out the calls; every line says its part of the program."""
    shown = _lines(HSM_LOG="warning")
    assert shown.startswith("True|")
    assert 'level=warning part=worker event="a b" error=x' in shown
    assert "call" not in shown
    assert "event=call seconds=0.5" in _lines(HSM_LOG="debug")


def test_json_lines() -> None:
    """`HSM_LOG_FORMAT=json` gives one object a line."""
    (line,) = _lines(HSM_LOG="info", HSM_LOG_FORMAT="json").partition("|")[2].splitlines()
    record: Dict[str, str] = json.loads(line)
    assert (record["level"], record["part"], record["event"], record["error"]) == ("warning", "worker", "a b", "x")


@pytest.mark.parametrize("level", ["nonsense", ""])
def test_an_unknown_level_is_off(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error in the variable costs the log, not the sweep."""
    Log("x", {"HSM_LOG": level}).warning("anything")
    assert capsys.readouterr().err == ""
