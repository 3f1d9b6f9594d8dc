"""`hsm run`: count, preview, or run a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

import click

from .options import (
    canary_option,
    detach_option,
    keep_going_option,
    max_failures_option,
    parallel_limit_option,
    retries_option,
    sources_option,
    strategy_option,
    timeout_option,
)

__all__ = ["run"]


@click.command()
@click.option(
    "--config", "sweep_file", type=click.Path(path_type=Path), help="The sweep file [sweeps/sweep_config.yaml]."
)
@sources_option
@click.option("--count-only", is_flag=True, help="Print how many combinations there are, and stop.")
@click.option("--dry-run", is_flag=True, help="Show what would be run, and stop.")
@parallel_limit_option
@strategy_option
@click.option("--no-verify-sync", is_flag=True, help="Do not compare remote copies of the project; is recorded.")
@click.option("--max-tasks", type=click.IntRange(1), help="Run only the first N combinations.")
@click.option("--sweep-id", help="Name the sweep; by default sweep_DATE_TIME.")
@retries_option
@timeout_option
@keep_going_option
@max_failures_option
@canary_option
@detach_option
@click.option("-v", "--verbose", is_flag=True, help="With --dry-run: show more tasks, and job scripts.")
def run(
    sweep_file: Optional[Path],
    sources: Optional[str],
    count_only: bool,
    dry_run: bool,
    parallel_limit: Optional[int],
    strategy: Optional[str],
    no_verify_sync: bool,
    max_tasks: Optional[int],
    sweep_id: Optional[str],
    retries: Optional[int],
    timeout: Optional[float],
    keep_going: bool,
    max_failures: Optional[int],
    canary: bool,
    detach: bool,
    verbose: bool,
) -> None:
    """Run a sweep: every combination of parameters once, on the sources you name.

    Without options it runs sweeps/sweep_config.yaml on this machine.
    """
    from ..api import Project, RunOptions

    project = Project.open()
    options = RunOptions(
        sources=sources,
        parallel_limit=parallel_limit,
        strategy=strategy,
        max_tasks=max_tasks,
        sweep_id=sweep_id,
        retries=retries,
        timeout_s=timeout,
        keep_going=keep_going,
        max_failures=max_failures,
        canary=canary,
        verify_sync=not no_verify_sync,
    )
    if count_only:
        prepared = project.prepare(sweep_file, options)
        click.echo(f"Total parameter combinations: {prepared.sweep.space.total}")
        return

    from ..plugins import load

    plugins = load()
    prepared = project.prepare(sweep_file, options, plugins)
    for warning in prepared.warnings:
        click.echo(f"warning: {warning}", err=True)
    if dry_run:
        from ..report.dry_run import show_dry_run

        forecast: Sequence[str] = ()
        if project.sweeps():
            from ..report.forecast import short_form

            forecast = short_form(prepared.settings, project.config, plugins)
        show_dry_run(prepared, plugins, verbose, forecast)
        return

    from .conducting import conduct_here, detach_controller

    sweep = project.begin(prepared, plugins)
    if detach:
        detach_controller(sweep, [])
    else:
        conduct_here(sweep)
