"""The guide's comparison of strategies is what the benchmark makes today."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """To make it anew: python benchmarks/run.py strategies --save."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    strategies = importlib.import_module("strategies")
    page = strategies.PAGE.read_text(encoding="utf-8")
    assert strategies.BEGIN + strategies.guide_table() + strategies.END in page


def test_fastest_is_near_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every sweep of the table it comes within 15 % of the time that no strategy can beat."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    strategies = importlib.import_module("strategies")
    for what, scenario in strategies.SCENARIOS.items():
        assert strategies.times(scenario)["fastest"] <= 1.15 * strategies.at_best_s(scenario), what
