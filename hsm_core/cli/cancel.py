"""`hsm cancel`: end a sweep or some of its tasks, through its controller or, when there is none, without it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

import click

from .choose import sweep_argument, the_sweep

if TYPE_CHECKING:
    from ..api import Sweep

__all__ = ["cancel"]

_PATIENCE_S = 30.0


@click.command()
@sweep_argument(required=True)
@click.argument("tasks", metavar="[TASK]...", nargs=-1)
def cancel(sweep_id: str, tasks: Tuple[str, ...]) -> None:
    """End a sweep, or only the tasks that are named (task_007, 7, 10-20). What ended before keeps its results."""
    from ..api import Sweep
    from ..store.lease import holder

    sweep = Sweep(the_sweep(sweep_id))
    state = sweep.state()
    indices = _indices(tasks, state.total) if tasks else None
    if state.total and state.finished == state.total:
        click.echo(f"{sweep.id} is over ({state.sweep_state()}); nothing to cancel.")
        return
    held = holder(sweep.layout)
    if held is not None:
        _ask_controller(sweep, indices)
    else:
        _cancel_here(sweep, indices)


def _indices(tasks: Sequence[str], total: int) -> List[int]:
    """Indices of the tasks that are named. :raises UsageError, NotFoundError: one of them cannot be meant."""
    from ..store.layout import task_index

    indices: List[int] = []
    for text in tasks:
        first, dash, last = text.partition("-")
        start = task_index(first, total)
        indices += range(start, (task_index(last, total) if dash else start) + 1)
    return sorted(set(indices))


def _ask_controller(sweep: Sweep, indices: Optional[List[int]]) -> None:
    """Leave a request, and wait until the controller has journalled it."""
    from ..errors import HsmError, SweepBusyError
    from ..store import requests

    request = requests.ask(sweep.layout, "cancel", tasks=indices)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        answer = requests.read_answer(sweep.layout, request)
        if answer is not None:
            if "error" in answer:
                raise HsmError(f"{sweep.id}: {answer['error']}")
            what = f"{len(indices)} tasks of {sweep.id}" if indices is not None else sweep.id
            click.echo(f"Cancelling {what}; see: hsm status {sweep.id}")
            return
        time.sleep(0.05)
    requests.withdraw(sweep.layout, request)
    raise SweepBusyError(
        f"the controller of {sweep.id} does not answer; the request was taken back", f"see: hsm status {sweep.id}"
    )


def _cancel_here(sweep: Sweep, indices: Optional[List[int]]) -> None:
    """Nobody holds the sweep: hold it, end what still runs, and say so in its journal."""
    from ..api import Conduct

    finish, state = sweep.run(Conduct(only_cancel=True, cancel_tasks=indices))
    click.echo(f"{sweep.id}: {finish.state}; {state.in_flight} tasks still under way.")
