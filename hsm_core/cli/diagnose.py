"""`hsm test`: try sources before a sweep depends on them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import click

from ..store.views.words import one_line
from .choose import echo_json, json_option
from .options import Duration

if TYPE_CHECKING:
    from ..contract import SourceSpec
    from ..run.diagnose import StageEnd

__all__ = ["test"]

_PATIENCE_S = 300.0


@click.command()
@click.argument("sources", metavar="SOURCE")
@click.option(
    "--timeout", "patience_s", type=Duration(), default=_PATIENCE_S, help="How long the one task may take [5m]."
)
@json_option
def test(sources: str, patience_s: float, as_json: bool) -> None:
    """Try a SOURCE, step by step, up to one task that takes a second.

    SOURCE is written as for --sources: local, ssh:server1, hpc:cluster; several with commas. Each step says what it
    found and how long it took. The first that fails says what to do, and those after it are not tried.
    """
    from ..api import Project
    from ..errors import ExitCode
    from ..plugins import load
    from ..run.diagnose import FAILED, diagnose
    from ..run.sources import parse_sources, resolve_sources

    config = Project.open().config
    plugins = load()
    specs = resolve_sources(parse_sources(sources), config, plugins)
    tried: List[Dict[str, Any]] = []
    display = _Display(quiet=as_json)
    for spec in specs:
        display.head(spec)
        ends: List[StageEnd] = []
        for end in diagnose(spec, config, plugins, patience_s, display.wait):
            display.show(end)
            ends.append(end)
        well = all(end.state != FAILED for end in ends)
        tried.append({"source": spec.id, "ok": well, "stages": [end._asdict() for end in ends]})
    if as_json:
        echo_json(tried)
    if not all(one["ok"] for one in tried):
        raise SystemExit(ExitCode.TASKS_FAILED)


class _Display:
    """A line for each stage as it ends; on a terminal, below it, what is being waited for."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        # Where only one of the two is a terminal, lines of the other would come in between.
        self._live = sys.stderr.isatty() and sys.stdout.isatty() and not quiet
        self._waiting: Optional[str] = None

    def head(self, spec: SourceSpec) -> None:
        if not self._quiet:
            click.echo(spec.id)

    def wait(self, line: str) -> None:
        if self._live:
            self._clear()
            self._waiting = line
            click.echo(f"  {one_line(line)[:76]}", nl=False, err=True)

    def show(self, end: StageEnd) -> None:
        if self._quiet:
            return
        self._clear()
        click.echo(f"  {end.name:<14} {end.state:<7} {end.seconds:>7.2f} s  {end.found}".rstrip())
        if end.hint:
            click.echo(f"  {'':<14} {'':<7} {'':>7}    {end.hint}")

    def _clear(self) -> None:
        if self._waiting is not None:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._waiting = None
