"""`hsm status`: how a sweep stands, or all of them."""

from __future__ import annotations

from typing import List, Optional

import click

from ..errors import HsmError, UsageError
from ..report.reading import open_sweep
from ..store.sweeps import list_sweeps
from ..store.views.facts import Facts
from .choose import echo_json, here, json_option, sweep_argument, the_sweep

__all__ = ["status"]


@click.command()
@sweep_argument()
@click.option("--all", "show_all", is_flag=True, help="Show all sweeps of the project, one line each.")
@json_option
def status(sweep_id: Optional[str], show_all: bool, as_json: bool) -> None:
    """Show how a sweep stands; the latest without ID."""
    if show_all:
        if sweep_id is not None:
            raise UsageError("--all shows every sweep, so it takes no ID", "leave one of them out")
        show_sweeps(everything(), as_json)
        return
    facts = open_sweep(the_sweep(sweep_id)).facts
    if as_json:
        echo_json(facts)
    else:
        show_sweep(facts)


def show_sweep(facts: Facts) -> None:
    """One sweep, with its sources, its latest failures and what to type next."""
    from ..report.status import failure_lines, next_steps, sources_table, sweep_table
    from ..report.tables import show

    show(sweep_table(facts))
    if facts["sources"]:
        click.echo()
        show(sources_table(facts))
    failures = failure_lines(facts)
    if failures:
        click.echo("\nLatest failures:")
        for line in failures:
            click.echo(f"  {line}")
    steps = next_steps(facts)
    if steps:
        click.echo("\nNext:")
        for step in steps:
            click.echo(f"  {step}")


def everything(limit: Optional[int] = None) -> List[Facts]:
    """The facts of the project's sweeps, newest first; one that cannot be read is named on standard error."""
    found: List[Facts] = []
    for layout in list_sweeps(here())[:limit]:
        try:
            found.append(open_sweep(layout).facts)
        except HsmError as error:
            click.echo(f"{layout.sweep_id}: {error.message}", err=True)
    return found


def show_sweeps(sweeps: List[Facts], as_json: bool) -> None:
    """Many sweeps as a table or a JSON list."""
    if as_json:
        echo_json(sweeps)
        return
    if not sweeps:
        click.echo("No sweeps yet. Start one: hsm run")
        return
    from ..report.status import sweeps_table
    from ..report.tables import show

    show(sweeps_table(sweeps))
