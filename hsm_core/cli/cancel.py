"""`hsm cancel`: end a sweep or some of its tasks, through its controller or, when there is none, without it."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import click

from .asking import fulfil
from .choose import sweep_argument, the_sweep

__all__ = ["cancel"]


@click.command()
@sweep_argument(required=True)
@click.argument("tasks", metavar="[TASK]...", nargs=-1)
def cancel(sweep_id: str, tasks: Tuple[str, ...]) -> None:
    """End a sweep, or only the tasks that are named (task_007, 7, 10-20). What ended before keeps its results."""
    from ..api import Sweep

    sweep = Sweep(the_sweep(sweep_id))
    state = sweep.state()
    indices = _indices(tasks, state.total) if tasks else None
    if state.total and state.finished == state.total:
        click.echo(f"{sweep.id} is over ({state.sweep_state()}); nothing to cancel.")
        return
    after = fulfil(sweep, "cancel", tasks=indices)
    if after is None:
        what = (
            f"{len(indices)} {'task' if len(indices) == 1 else 'tasks'} of {sweep.id}"
            if indices is not None
            else sweep.id
        )
        click.echo(f"Cancelling {what}; see: hsm status {sweep.id}")
    else:
        click.echo(f"{sweep.id}: {after.sweep_state()}; {after.in_flight} tasks still under way.")


def _indices(tasks: Sequence[str], total: int) -> List[int]:
    """Indices of the tasks that are named. :raises UsageError, NotFoundError: one of them cannot be meant."""
    from ..store.layout import task_index

    indices: List[int] = []
    for text in tasks:
        first, dash, last = text.partition("-")
        start = task_index(first, total)
        indices += range(start, (task_index(last, total) if dash else start) + 1)
    return sorted(set(indices))
