"""`hsm export`: a sweep's parameters, metrics and times as a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Optional

import click

from ..errors import UsageError
from ..report.reading import open_sweep
from .choose import sweep_argument, the_sweep

__all__ = ["export"]


@click.command()
@sweep_argument()
@click.option(
    "--format",
    "format",
    type=click.Choice(["csv", "json", "jsonl", "parquet"]),
    help="How to write it; by default as --output ends, or csv.",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="The file; by default standard output."
)
def export(sweep_id: Optional[str], format: Optional[str], output: Optional[Path]) -> None:
    """Write one row for each task: state, times, parameters, metrics. Works while the sweep runs."""
    from ..report.export import FORMATS, replacing
    from ..report.export import export as write
    from ..space import load_space
    from ..yamlfile import load

    if format is None:
        ending = output.suffix[1:] if output is not None else ""
        format = ending if ending in FORMATS else "csv"
    if format == "parquet" and output is None:
        raise UsageError("parquet is not text, and cannot be printed", "name a file: --output results.parquet")
    layout = the_sweep(sweep_id)
    state = open_sweep(layout).state()
    space = load_space(load(layout.config)).space
    if output is None:
        write(layout, state, space, format, sys.stdout.buffer)
        return
    with replacing(output) as file:
        write(layout, state, space, format, file)
    click.echo(f"{state.total:,} rows written to {output}", err=True)
