"""`hsm monitor`: watch sweeps, or list recent ones."""

from __future__ import annotations

import sys
import time
from typing import Callable, Dict, List, Optional

import click

from ..errors import ExitCode, HsmError
from ..report.reading import open_sweep
from ..store.layout import SweepLayout
from ..store.lease import holder
from ..store.sweeps import list_sweeps
from ..store.views.facts import Facts
from .choose import echo_json, here, json_option, sweep_argument, the_sweep
from .status import everything, show_sweep, show_sweeps

__all__ = ["monitor"]

_MIN_INTERVAL_S = 0.2
_SECONDS = "Seconds between two looks."


@click.group()
def monitor() -> None:
    """Watch sweeps while they run, or list recent ones."""


@monitor.command()
@click.option("--limit", type=click.IntRange(1), default=10, show_default=True, help="How many.")
@json_option
def recent(limit: int, as_json: bool) -> None:
    """List the latest sweeps."""
    show_sweeps(everything(limit), as_json)


@monitor.command()
@sweep_argument()
@click.option(
    "--interval",
    type=click.FloatRange(_MIN_INTERVAL_S),
    default=2.0,
    show_default=True,
    help=_SECONDS,
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line: a sweep whenever it has changed.")
def watch(sweep_id: Optional[str], interval: float, as_json: bool) -> None:
    """Watch a sweep until it ends; without ID all that run now. Ctrl-C stops watching, not the sweep."""
    layouts = _layouts(sweep_id)
    try:
        if as_json or not _on_terminal():
            _watch_lines(layouts, interval, as_json)
        else:
            _watch_live(layouts, interval)
    except KeyboardInterrupt:
        click.echo("Stopped watching; the sweep goes on.", err=True)
        raise SystemExit(ExitCode.OK) from None


@monitor.command()
@sweep_argument()
@click.option("--watch", "again", is_flag=True, help="Look again and again, until the sweep ends.")
@click.option("--interval", type=click.FloatRange(_MIN_INTERVAL_S), default=5.0, show_default=True, help=_SECONDS)
@json_option
def health(sweep_id: Optional[str], again: bool, interval: float, as_json: bool) -> None:
    """Show how the sources of a sweep are: since when, why, and what they last said of their machines.

    It reads the sweep's files, and asks no source anything.
    """
    layout = the_sweep(sweep_id)
    try:
        while True:
            facts = open_sweep(layout).facts
            _show_health(facts, as_json)
            if not again or _is_over(facts):
                return
            time.sleep(interval)
    except KeyboardInterrupt:
        raise SystemExit(ExitCode.OK) from None


def _show_health(facts: Facts, as_json: bool) -> None:
    from ..report.status import health_table
    from ..report.tables import show

    if as_json:
        keys = ("id", "name", "open", "health", "reason", "since", "facts", "facts_at")
        sources = [{key: source[key] for key in keys} for source in facts["sources"]]
        echo_json({"sweep_id": facts["sweep_id"], "state": facts["state"], "sources": sources})
    elif facts["sources"]:
        show(health_table(facts, time.time()))
    else:
        click.echo(f"{facts['sweep_id']}: no source has joined yet.")


def _layouts(sweep_id: Optional[str]) -> List[SweepLayout]:
    """The sweeps to watch: the one that is meant, or all with a controller, or the latest."""
    if sweep_id is not None:
        return [the_sweep(sweep_id)]
    active = [layout for layout in list_sweeps(here()) if holder(layout) is not None]
    return active or [the_sweep(None)]


def _on_terminal() -> bool:
    from ..report.tables import is_terminal

    return is_terminal(sys.stdout)


def _look(layouts: List[SweepLayout]) -> List[Facts]:
    """How they stand now; one whose folder vanished meanwhile is watched no longer."""
    found = []
    for layout in list(layouts):
        try:
            found.append(open_sweep(layout).facts)
        except HsmError as error:
            if len(layouts) == 1:
                raise
            layouts.remove(layout)
            click.echo(f"{layout.sweep_id}: {error.message}", err=True)
    return found


def _is_over(facts: Facts) -> bool:
    return not facts["controller"]["alive"]


def _watch_lines(layouts: List[SweepLayout], interval: float, as_json: bool) -> None:
    """One line for each change."""
    import json

    from ..report.status import change_text

    last: Dict[str, str] = {}
    say: Callable[[Facts], str] = json.dumps if as_json else change_text
    while True:
        sweeps = _look(layouts)
        for facts in sweeps:
            changed = change_text(facts)
            if last.get(facts["sweep_id"]) != changed:
                last[facts["sweep_id"]] = changed
                click.echo(say(facts))
        sys.stdout.flush()
        if all(map(_is_over, sweeps)):
            return
        time.sleep(interval)


def _watch_live(layouts: List[SweepLayout], interval: float) -> None:
    """The tables of `hsm status`, redrawn in place; what stands there at the end stays."""
    from rich.live import Live

    from ..report.live import status_picture
    from ..report.tables import make_console

    sweeps = _look(layouts)
    with Live(console=make_console(sys.stdout), auto_refresh=False, transient=True, vertical_overflow="crop") as live:
        while not all(map(_is_over, sweeps)):
            live.update(status_picture(sweeps, interval), refresh=True)
            time.sleep(interval)
            sweeps = _look(layouts)
    if len(sweeps) == 1:
        show_sweep(sweeps[0])
    else:
        show_sweeps(sweeps, as_json=False)
