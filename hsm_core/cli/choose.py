"""What the reading commands share: the project around here, the sweep that is meant, and JSON on standard output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence, Tuple, TypeVar

import click
from click.shell_completion import CompletionItem

from ..errors import HsmError, NotFoundError, UsageError
from ..store.layout import ProjectLayout, SweepLayout
from ..store.sweeps import find_sweep, list_sweeps

__all__ = ["echo_json", "here", "json_option", "sweep_and_task", "sweep_argument", "task_arguments", "the_sweep"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def here() -> ProjectLayout:
    """The project of the nearest folder upwards that has a `hsm_config.yaml` or sweeps.

    :raises NotFoundError: when there is none.
    """
    # Not config.find_project: reading sweeps must not cost the import of what reads configuration.
    start = Path.cwd()
    for folder in (start, *start.parents):
        project = ProjectLayout(folder)
        if project.config.is_file() or project.outputs.is_dir():
            return project
    raise NotFoundError(
        f"{start}: no hsm_config.yaml here or in any folder above", "run `hsm config init` in the project's folder"
    )


def the_sweep(sweep_id: Optional[str]) -> SweepLayout:
    """The sweep of this id or beginning of one; without one the latest, which is said on standard error.

    :raises UsageError, NotFoundError: as `find_sweep`.
    """
    layout = find_sweep(here(), sweep_id)
    if sweep_id is None:
        click.echo(f"The latest sweep: {layout.sweep_id}", err=True)
    return layout


def echo_json(value: Any) -> None:
    """Write a value for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _complete_sweep(context: click.Context, parameter: click.Parameter, incomplete: str) -> List[CompletionItem]:
    try:
        sweeps = list_sweeps(here())
    except HsmError:
        return []
    return [CompletionItem(sweep.sweep_id) for sweep in sweeps if sweep.sweep_id.startswith(incomplete)]


def sweep_argument(required: bool = False) -> Callable[[_Command], _Command]:
    """The argument `ID`: a sweep's id or a unique beginning of it."""
    return click.argument(
        "sweep_id", metavar="ID" if required else "[ID]", required=required, shell_complete=_complete_sweep
    )


def task_arguments(command: _Command) -> _Command:
    """The arguments `[ID] TASK`, as `words` for `sweep_and_task`."""
    return click.argument("words", metavar="[ID] TASK", nargs=-1, required=True, shell_complete=_complete_sweep)(
        command
    )


def sweep_and_task(words: Sequence[str]) -> Tuple[SweepLayout, str]:
    """The sweep, the latest where none is named, and what stands for the task.

    :raises UsageError, NotFoundError: as `find_sweep`.
    """
    if len(words) > 2:
        raise UsageError(f"one task at a time, not {len(words) - 1}", "write: hsm logs ID TASK")
    return the_sweep(words[0] if len(words) == 2 else None), words[-1]


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
