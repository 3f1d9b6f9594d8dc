"""The summary of a sweep."""

from __future__ import annotations

import pytest

from hsm_core.store import summary
from hsm_core.store.journal import Position
from hsm_core.store.layout import SweepLayout


def test_a_summary_comes_back_with_its_position(sweep: SweepLayout) -> None:
    """What was written is read, for the place in the journal it was written for."""
    summary.write(sweep, {"counts": {"completed": 3}}, Position(2, 1234))
    assert summary.read(sweep) == ({"counts": {"completed": 3}}, Position(2, 1234))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"hsm_summary": 2, "position": [1, 1], "summary": {}}',
        '{"hsm_summary": 1, "position": 1, "summary": {}}',
    ],
)
def test_a_summary_that_cannot_be_used_is_none(sweep: SweepLayout, text: str) -> None:
    """Torn, foreign or of a later format: the reader replays the journal instead."""
    assert summary.read(sweep) is None
    sweep.summary.write_text(text)
    assert summary.read(sweep) is None
