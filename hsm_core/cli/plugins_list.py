"""`hsm plugins`: what is installed, what it offers, and what is broken."""

from __future__ import annotations

import click

from .choose import echo_json, json_option

__all__ = ["plugins"]


@click.command()
@json_option
def plugins(as_json: bool) -> None:
    """List the installed plugins and what each offers."""
    from ..plugins import load

    infos = load().infos
    if as_json:
        keys = ("name", "distribution", "version", "kinds", "hosts", "strategies", "error")
        echo_json([{key: getattr(info, key) for key in keys} for info in infos])
        return
    if not infos:
        click.echo("No plugins are installed. To run sweeps on this machine: pip install hsm-local hsm-round-robin")
        return
    from ..report.tables import Column, Table, show

    rows = [
        (
            info.name,
            info.version or "-",
            ", ".join(info.kinds) or "-",
            ", ".join(info.strategies) or "-",
            "broken" if info.error else "ok",
        )
        for info in infos
    ]
    columns = (
        Column("Plugin"),
        Column("Version"),
        Column("Source kinds"),
        Column("Strategies"),
        Column("State", state=True),
    )
    show(Table(columns, rows))
    for info in infos:
        if info.error:
            click.echo(f"{info.name}: {info.error}")
