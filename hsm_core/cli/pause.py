"""`hsm pause` and `hsm resume`: start nothing more of a sweep for a while."""

from __future__ import annotations

import click

from .asking import fulfil
from .choose import sweep_argument, the_sweep

__all__ = ["pause", "resume"]


@click.command()
@sweep_argument(required=True)
def pause(sweep_id: str) -> None:
    """Start nothing more of a sweep until `hsm resume`. What runs goes on; what waits in a queue is taken back."""
    from ..api import Sweep

    sweep = Sweep(the_sweep(sweep_id))
    state = sweep.state()
    if state.total and state.finished == state.total:
        click.echo(f"{sweep.id} is over ({state.sweep_state()}); nothing to pause.")
        return
    if state.paused is not None:
        click.echo(f"{sweep.id} is paused already; to go on: hsm resume {sweep.id}")
        return
    fulfil(sweep, "pause")
    click.echo(f"{sweep.id} is paused; what runs goes on. To go on with the rest: hsm resume {sweep.id}")


@click.command()
@sweep_argument(required=True)
def resume(sweep_id: str) -> None:
    """Go on with a sweep that was paused."""
    from ..api import Sweep

    sweep = Sweep(the_sweep(sweep_id))
    if sweep.state().paused is None:
        click.echo(f"{sweep.id} is not paused; see: hsm status {sweep.id}")
        return
    if fulfil(sweep, "resume") is None:
        click.echo(f"{sweep.id} goes on; see: hsm status {sweep.id}")
    else:
        click.echo(f"{sweep.id} is no longer paused, but nobody runs it; to go on: hsm complete {sweep.id}")
