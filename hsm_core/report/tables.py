"""Tables: drawn by rich in a terminal, plain aligned columns elsewhere, so that `grep` and `awk` can read them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple, Optional, Sequence, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["Column", "Table", "is_terminal", "make_console", "show", "style_of"]

_STYLES = {
    "completed": "green",
    "healthy": "green",
    "running": "cyan",
    "held": "yellow",
    "paused": "yellow",
    "interrupted": "yellow",
    "cancelled": "yellow",
    "degraded": "yellow",
    "failures": "red",
    "failed": "red",
    "timeout": "red",
    "lost": "red",
    "unhealthy": "red",
    "disabled": "red",
    "broken": "red",
}


class Column(NamedTuple):
    """A column's heading.

    :param right: numbers stand on the right.
    :param wide: it may fold when there is too little room; the others never do.
    :param state: its cells are states or healths, and have their colours.
    """

    title: str
    right: bool = False
    wide: bool = False
    state: bool = False


class Table(NamedTuple):
    """What to show; how is `show`'s business."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    title: str = ""


def style_of(word: str) -> str:
    """The colour of a state or a health by its last word (`Completed with failures`), "" for any other."""
    return _STYLES.get(word.lower().rpartition(" ")[2], "")


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at it, on something that can move a cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def make_console(stream: TextIO) -> Console:
    """A rich console that colours only what we say, and heeds NO_COLOR."""
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)


def show(table: Table, stream: Optional[TextIO] = None) -> None:
    """Write a table to the stream, standard output by default."""
    stream = sys.stdout if stream is None else stream
    if is_terminal(stream):
        make_console(stream).print(drawn(table))
    else:
        stream.write(plain(table))


def drawn(table: Table) -> RenderableType:
    """The table as rich draws it."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    result = RichTable(
        title=table.title or None, title_justify="left", title_style="bold", box=box.ROUNDED, header_style="bold"
    )
    for column in table.columns:
        result.add_column(
            column.title, justify="right" if column.right else "left", no_wrap=not column.wide, overflow="fold"
        )
    for row in table.rows:
        cells = zip(row, table.columns)
        result.add_row(*[Text(cell, style=style_of(cell) if column.state else "") for cell, column in cells])
    return result


def plain(table: Table) -> str:
    """The table as text: a title, a line of headings, a line for each row, nothing cut off."""
    lines = [[column.title for column in table.columns], *table.rows]
    widths = [max(len(line[number]) for line in lines) for number in range(len(table.columns))]
    text = f"{table.title}\n" if table.title else ""
    for line in lines:
        cells = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, table.columns)
        ]
        text += "  ".join(cells).rstrip() + "\n"
    return text
