"""What `hsm run --dry-run` shows: the space, the plan, and the first commands exactly as they would be run."""

from __future__ import annotations

import shlex
from typing import List, Sequence

import click

from ..contract import Previewing, SubmitRequest
from ..plugins import Plugins
from ..run.conduct import source_context
from ..run.prepare import Prepared
from ..run.tasks import task_maker
from ..store.layout import ProjectLayout
from .tables import Column, Table, show

__all__ = ["show_dry_run"]

_SHOWN = 3
_SHOWN_VERBOSE = 20


_SUBMITTED = 2048
"""The engine hands over no more at once."""


def show_dry_run(prepared: Prepared, plugins: Plugins, verbose: bool = False, forecast: Sequence[str] = ()) -> None:
    """Print it; nothing is written and nothing enumerated.

    :param verbose: more commands, and what sources would hand to their schedulers.
    :param forecast: lines for the plan.
    :raises ConfigError: something that a scheduler could not be handed.
    """
    settings, space = prepared.settings, prepared.sweep.space
    click.echo(f"Total parameter combinations: {space.total}\n")
    click.echo("Dry Run Information")
    rows = [(axis.name, axis.label) for axis in space.axes]
    show(Table((Column("Parameter"), Column("Values", wide=True)), rows, title="Parameter Combinations"))
    click.echo("\nExecution Plan:")
    for line in (*_plan(prepared), *forecast):
        click.echo(f"  {line}")
    make = task_maker(settings, prepared.sweep, "sweeps/outputs/SWEEP_ID")
    shown = min(settings.total, _SHOWN_VERBOSE if verbose else _SHOWN)
    click.echo(f"\nThe first {shown} of {settings.total} commands:" if shown < settings.total else "\nCommands:")
    for index in range(shown):
        task = make((index, 1))
        variables = [f"{name}={shlex.quote(value)}" for name, value in task.env.items()]
        click.echo(f"  {task.task_id}: {' '.join([*variables, *map(shlex.quote, task.argv)])}")
    if verbose:
        _show_previews(prepared, plugins)


def _show_previews(prepared: Prepared, plugins: Plugins) -> None:
    """What each source would hand to its scheduler for an even share of the tasks."""
    settings = prepared.settings
    layout = ProjectLayout(settings.project_dir).sweep(prepared.sweep_id or "SWEEP_ID")
    make = task_maker(settings, prepared.sweep, str(layout.root))
    share = min(-(-settings.total // len(settings.sources)), _SUBMITTED)
    for spec in settings.sources:
        source = plugins.make_source(spec)
        if not isinstance(source, Previewing):
            continue
        request = SubmitRequest("hsm-UID-1-1", [make((index, 1)) for index in range(share)])
        for path, text in source.preview(source_context(layout, settings, spec), request):
            click.echo(f"\n{spec.id} would be handed {path}:\n")
            click.echo("".join(f"  {line}\n" for line in text.splitlines()), nl=False)


def _plan(prepared: Prepared) -> List[str]:
    settings = prepared.settings
    count = len(settings.sources)
    lines = [
        f"Total combinations: {prepared.sweep.space.total}",
        f"Tasks to execute: {settings.total}",
        f"Tasks per source: ~{-(-settings.total // count)}",
        f"Sources: {', '.join(_source(spec.id, spec.slots) for spec in settings.sources)}",
        f"Strategy: {settings.strategy}",
    ]
    if settings.parallel_limit is not None:
        lines.append(f"Parallel limit: {settings.parallel_limit}")
    return lines


def _source(id: str, slots: object) -> str:
    kind, _, name = id.partition(":")
    shown = kind if kind == name else id
    return shown if slots is None else f"{shown} ({slots} at once)"
