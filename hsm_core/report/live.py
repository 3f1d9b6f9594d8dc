"""Live displays, redrawn in place by rich: four lines under a running sweep, the tables of whoever watches."""

from __future__ import annotations

from typing import List, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..contract import TaskState
from ..engine.state import SweepState
from ..store.views.facts import Facts, by_name
from ..store.views.names import short_names
from ..store.views.words import span
from .status import failure_lines, shown_counts, sources_table, sweep_table, sweeps_table
from .tables import drawn, style_of

__all__ = ["LiveDisplay", "picture", "status_picture"]

_MAX_SOURCES = 8


class LiveDisplay:
    """Owns the bottom of a terminal until it is stopped."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Its own refresh thread would take time from tasks; the controller's loop says when to draw.
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    def update(self, state: SweepState, elapsed_s: float) -> None:
        """Draw how the sweep stands."""
        self._live.update(picture(state, elapsed_s), refresh=True)

    def print(self, line: str) -> None:
        """Print a line above."""
        self._console.print(line, soft_wrap=True)

    def stop(self) -> None:
        """Leave the last picture on the screen."""
        self._live.stop()


def picture(state: SweepState, elapsed_s: float) -> RenderableType:
    """A bar, the counts, the pace, the sources."""
    done = f"{state.finished:,}/{state.total:,}"
    bar = Table.grid(expand=True, padding=(0, 1))
    bar.add_column(no_wrap=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True)
    failed = any(state.counts[one] for one in (TaskState.FAILED, TaskState.TIMEOUT, TaskState.LOST))
    style = "red" if failed else "green"
    bar.add_row(
        Text(state.sweep_id, style="bold"),
        ProgressBar(total=max(state.total, 1), completed=state.finished, complete_style="cyan", finished_style=style),
        Text(f"{done} ({_percent(state)})"),
    )
    return Group(bar, _counts(state), Text(_pace(state, elapsed_s)), _sources(state))


def _percent(state: SweepState) -> str:
    if state.finished == state.total:
        return "100%"
    return f"{min(99, 100 * state.finished // state.total)}%"


def _counts(state: SweepState) -> Text:
    text = Text()
    for count, word in shown_counts(by_name(state)):
        text.append(f"{count:,} {word}", style=style_of(word)).append("   ")
    return text


def _pace(state: SweepState, elapsed_s: float) -> str:
    eta = state.eta_s()
    words = [f"elapsed {span(elapsed_s)}"]
    if eta is not None and state.finished < state.total:
        rate = (state.total - state.finished) / eta
        words.append(f"{rate:,.0f} tasks/s" if rate >= 10 else f"{60 * rate:,.1f} tasks/min")
        words.append(f"ETA {span(eta)}")
    return "   ".join(words)


def _sources(state: SweepState) -> Text:
    short = short_names(state.sources)
    text = Text()
    for source in list(state.sources.values())[:_MAX_SOURCES]:
        text.append(f"{short[source.id]} {source.running}/{source.slots}")
        if source.health != "healthy":
            text.append(f" {source.health}", style=style_of(source.health))
        text.append("   ")
    return text


def status_picture(sweeps: Sequence[Facts], interval_s: float) -> RenderableType:
    """One sweep whole, or several a line each, under a heading that says how often it is drawn."""
    heading = Text(f"Live progress, every {interval_s:g} s; Ctrl-C stops watching, not the sweep", style="dim")
    if len(sweeps) != 1:
        return Group(heading, drawn(sweeps_table(sweeps)))
    facts = sweeps[0]
    parts: List[RenderableType] = [heading, drawn(sweep_table(facts))]
    if facts["sources"]:
        parts.append(drawn(sources_table(facts)))
    parts += [Text(f"  {line}") for line in failure_lines(facts)]
    return Group(*parts)
