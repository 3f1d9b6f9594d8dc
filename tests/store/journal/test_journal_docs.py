"""The journal's reference page is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_core.engine.events import EVENTS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "journal.md"


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_in_the_reference(name: str) -> None:
    """The page has each event, its meaning and its fields, in the words of the code."""
    fields = EVENTS[name]
    section = "\n".join([f"### `{name}`", "", fields[""], *[f"- `{f}`: {text}" for f, text in fields.items() if f]])
    page = PAGE.read_text(encoding="utf-8").replace("\n\n- ", "\n- ")
    assert section in page, f"{PAGE.name} should say:\n\n{section}"


def test_no_other_event_is_in_the_reference() -> None:
    """An event that is gone from the code is gone from the page."""
    headings = [line[5:-1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("### `")]
    assert headings == list(EVENTS)
