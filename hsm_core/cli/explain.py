"""`hsm explain`: why a task is said to be in its state."""

from __future__ import annotations

import os
from typing import Any, Dict, Tuple

import click

from ..report.reading import SweepReading, open_sweep
from ..store.layout import task_id, task_index
from .choose import echo_json, json_option, sweep_and_task, task_arguments

__all__ = ["explain"]


@click.command()
@task_arguments
@json_option
def explain(words: Tuple[str, ...], as_json: bool) -> None:
    """Tell the evidence behind a task's state, from the journal. TASK is task_007, or 7; without an ID, of
    the latest sweep.
    """
    layout, task = sweep_and_task(words)
    reading = open_sweep(layout)
    answer = _examine(reading, task_index(task, reading.total))
    if as_json:
        echo_json(answer)
    else:
        _print(answer)


def _examine(reading: SweepReading, index: int) -> Dict[str, Any]:
    from ..engine.reduce import reduce
    from ..engine.state import SweepState
    from ..report.evidence import evidence, meaning

    # One pass for both, so that evidence and state are of one moment though the sweep goes on.
    state = SweepState()
    facts = evidence((event for event in reading.events() if reduce(state, event)), index)
    name = task_id(index, state.total)
    word = state.state_of(index).value
    return {
        "sweep_id": state.sweep_id,
        "task_id": name,
        "state": word,
        "meaning": meaning(word),
        "controller_alive": reading.is_active,
        "evidence": [fact._asdict() for fact in facts],
        "folder": str(reading.layout.task_dir(name)),
        "files": sorted(os.listdir(reading.layout.task_dir(name))) if reading.layout.task_dir(name).is_dir() else [],
    }


def _print(answer: Dict[str, Any]) -> None:
    from ..store.views.words import clock

    click.echo(f"{answer['task_id']} of {answer['sweep_id']}: {answer['state']}")
    click.echo(answer["meaning"])
    if answer["state"] in ("assigned", "submitted", "running", "collecting") and not answer["controller_alive"]:
        click.echo("No controller follows it now; what became of it is found out by:")
        click.echo(f"  hsm complete {answer['sweep_id']}")
    click.echo("\nEvidence, from the journal:")
    several = any((fact["attempt"] or 1) > 1 for fact in answer["evidence"])
    for fact in answer["evidence"]:
        attempt = f"attempt {fact['attempt']}: " if several and fact["attempt"] else ""
        click.echo(f"  {clock(fact['t'])}  {attempt}{fact['text']}")
    click.echo(f"\nFiles: {answer['folder']}")
    click.echo(f"  {', '.join(answer['files']) or 'none yet'}")
