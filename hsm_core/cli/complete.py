"""`hsm complete`: finish a sweep that was interrupted, here or elsewhere, or whose tasks failed."""

from __future__ import annotations

from typing import List, Mapping, Optional, Sequence

import click

from ..contract import TaskState
from ..engine.state import IN_FLIGHT
from .choose import sweep_argument, the_sweep
from .options import (
    canary_option,
    detach_option,
    keep_going_option,
    max_failures_option,
    parallel_limit_option,
    retries_option,
    sources_option,
    strategy_option,
    takeover_option,
    timeout_option,
)

__all__ = ["complete"]

_MISSING = (TaskState.LOST, TaskState.CANCELLED)
_BAD = (TaskState.FAILED, TaskState.TIMEOUT)


@click.command()
@sweep_argument()
@sources_option
@click.option("--retry-failed", is_flag=True, help="Run failed and timed-out tasks again as well.")
@click.option("--dry-run", is_flag=True, help="Show what would be run, and stop.")
@parallel_limit_option
@strategy_option
@retries_option
@timeout_option
@keep_going_option
@max_failures_option
@canary_option
@takeover_option
@detach_option
def complete(
    sweep_id: Optional[str],
    sources: Optional[str],
    retry_failed: bool,
    dry_run: bool,
    parallel_limit: Optional[int],
    strategy: Optional[str],
    retries: Optional[int],
    timeout: Optional[float],
    keep_going: bool,
    max_failures: Optional[int],
    canary: bool,
    takeover: bool,
    detach: bool,
) -> None:
    """Finish a sweep: run what is missing (never run, lost or cancelled), on its own sources or others.

    Tasks that still run, of a controller that is gone, are adopted; nothing runs twice.
    """
    from ..api import Conduct, Project, Sweep
    from ..errors import ExitCode
    from ..plugins import load
    from ..run.settings import Settings
    from ..run.sources import as_configured, parse_sources, resolve_sources
    from .conducting import conduct_here, detach_controller

    layout = the_sweep(sweep_id)
    plugins = load()
    sweep = Sweep(layout, plugins)
    config = Project(layout.root.parents[2]).config
    if sources is not None:
        specs = resolve_sources(parse_sources(sources), config, plugins)
    else:
        specs = as_configured(Settings.read(layout).sources, config, plugins)
    if strategy is not None:
        plugins.strategy(strategy)
    restore = (*_MISSING, *_BAD) if retry_failed else _MISSING
    state = sweep.state()
    if state.total:
        lines = _plan(state.counts, restore)
        if dry_run or not lines:
            failed = sum(state.counts[one] for one in _BAD)
            click.echo("\n".join(lines) or f"{sweep.id}: nothing is missing.")
            if failed and not retry_failed:
                click.echo(f"{_tasks(failed)} failed; to run again: hsm complete {sweep.id} --retry-failed")
            raise SystemExit(ExitCode.OK if dry_run or not failed else ExitCode.TASKS_FAILED)
    elif dry_run:
        click.echo(f"{sweep.id}: nothing was run yet.")
        return
    if detach:
        detach_controller(sweep, _options_given(click.get_current_context()))
        return
    how = Conduct(
        sources=specs,
        restore=restore,
        takeover=takeover,
        keep_going=keep_going,
        max_failures=max_failures,
        canary=canary,
        retries=retries,
        timeout_s=timeout,
        parallel_limit=parallel_limit,
        strategy=strategy,
    )
    conduct_here(sweep, how)


def _plan(counts: Mapping[TaskState, int], restore: Sequence[TaskState]) -> List[str]:
    """What would be done, a line for each kind of task; empty when there is nothing to do."""
    in_flight = sum(counts[one] for one in IN_FLIGHT)
    lines = []
    if counts[TaskState.PENDING]:
        lines.append(f"{_tasks(counts[TaskState.PENDING])} never run: to run")
    if in_flight:
        lines.append(f"{_tasks(in_flight)} under way: to adopt if they live, else to settle and run again")
    lines += [f"{_tasks(counts[one])} {one.value}: to run again" for one in restore if counts[one]]
    return lines


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count:,} tasks"


def _options_given(context: click.Context) -> List[str]:
    """The options of this command line, for the same command in the background."""
    words: List[str] = []
    for option in context.command.params:
        value = context.params.get(option.name or "")
        if not isinstance(option, click.Option) or option.name == "detach" or value in (None, False):
            continue
        words += [option.opts[0]] if value is True else [option.opts[0], str(value)]
    return words
