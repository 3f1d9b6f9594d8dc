"""The page of the laws tells the truth about where they are held."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_place_the_laws_name_exists() -> None:
    """Files that are named there are there: who moves one mends the page."""
    page = (ROOT / "docs" / "design" / "laws.md").read_text(encoding="utf-8")
    places = re.findall(r"`((?:hsm_core|tests|plugins)/[\w/.]+)`", page)
    assert len(places) > 20
    assert [place for place in places if not (ROOT / place).exists()] == []
