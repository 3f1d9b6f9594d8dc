"""Tables: calm in a terminal, plain in a pipe."""

from __future__ import annotations

import io
from typing import List

import pytest

from hsm_core.report.tables import Column, Table, show

TABLE = Table((Column("Name"), Column("State", state=True), Column("N", right=True)), [("a", "Failed", "1")], "Title:")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A colour terminal, 80 columns wide."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def test_a_pipe_gets_aligned_columns() -> None:
    """No lines, no colours, nothing cut off: headings and rows."""
    stream = io.StringIO()
    show(TABLE, stream)
    assert stream.getvalue() == "Title:\nName  State   N\na     Failed  1\n"


def test_a_terminal_gets_lines_and_colours(terminal: Terminal) -> None:
    """States have their colours, other cells none."""
    show(TABLE, terminal)
    assert "│" in terminal.getvalue()
    assert "\x1b[31mFailed" in terminal.getvalue()


def test_no_color_is_heeded(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR set the lines stay and the colours go."""
    monkeypatch.setenv("NO_COLOR", "1")
    show(TABLE, terminal)
    assert "│" in terminal.getvalue()
    assert "\x1b[3" not in terminal.getvalue()


def test_a_dumb_terminal_is_a_pipe(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be drawn, nothing is."""
    monkeypatch.setenv("TERM", "dumb")
    show(TABLE, terminal)
    assert "│" not in terminal.getvalue()


def test_long_cells_fold_at_80_columns(terminal: Terminal) -> None:
    """A wide column folds; no line is wider than the terminal, and no word is lost."""
    rows: List[List[str]] = [["sweep_20231201_143022", "word " * 40]]
    show(Table((Column("Sweep"), Column("Reason", wide=True)), rows), terminal)
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 + len("\x1b[1m \x1b[0m") * 8
    assert terminal.getvalue().count("word") == 40


def test_markup_in_cells_stays_text(terminal: Terminal) -> None:
    """A source or a reason in square brackets is shown as it is."""
    show(Table((Column("A"),), [["[red]x[/red]"]]), terminal)
    assert "[red]x[/red]" in terminal.getvalue()
