"""`hsm sync`: bring the project to where tasks run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, List, Sequence, Tuple

import click

from ..errors import HsmError, NoSourceError
from ..project.paths import shown_path

if TYPE_CHECKING:
    from ..api import Project
    from ..contract import PushPlan, SourceSpec
    from ..plugins import Plugins

__all__ = ["sync"]

_NAMED = 20
"""How many files are named before a push; a dry run names more."""
_NAMED_DRY = 1000
_OVER = ("completed", "completed_with_failures", "cancelled")


@click.command()
@click.option("--target", metavar="LIST", required=True, help="Where to, as for --sources: ssh:server1,ssh:server2.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and stop.")
@click.option("--force", is_flag=True, help="Also where files were changed there; a backup of those is kept there.")
def sync(target: str, dry_run: bool, force: bool) -> None:
    """Bring the project to a source's machine: what is not there yet is shown, then sent.

    Never outputs, never .git. Without a folder of your own configured there (the source's `project`) it goes to a new
    folder named by its content, so that sweeps that run keep the code they began with.
    """
    from ..api import Project
    from ..plugins import load
    from ..run.sources import parse_sources, resolve_sources

    project, plugins = Project.open(), load()
    specs = resolve_sources(parse_sources(target), project.config, plugins)
    failed: List[HsmError] = []
    for spec in specs:
        try:
            _sync_one(project, plugins, spec, dry_run, force)
        except HsmError as error:
            failed.append(error)
            if spec is not specs[-1] or len(failed) > 1:
                click.echo(f"hsm: {error.message}" + (f"\n  {error.hint}" if error.hint else ""), err=True)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise NoSourceError(f"{len(failed)} of {len(specs)} targets are not in sync", "see above")


def _sync_one(project: Project, plugins: Plugins, spec: SourceSpec, dry_run: bool, force: bool) -> None:
    """:raises HsmError: naming the source, and what stands against it."""
    from ..contract import PushRequest
    from ..run.copies import has_own_files
    from ..run.worker import worded

    source = plugins.make_source(spec)
    try:
        if not has_own_files(source):
            click.echo(f"{spec.id} uses the files here: nothing to send.")
            return
        plan = plugins.plan_push(source, PushRequest(str(project.layout.root), spec, _unfinished(project)))
        if plan is None:
            raise NoSourceError(f"{spec.id}: no installed plugin can bring the project there", "pip install hsm-sync")
        for line in _shown(spec.id, plan, _NAMED_DRY if dry_run else _NAMED):
            click.echo(line)
        if plan.refusal:
            raise NoSourceError(f"{spec.id}: {plan.refusal}", plan.remedy or None)
        if plan.edited and not force:
            raise NoSourceError(
                f"{spec.id}: {_count(len(plan.edited), 'file')} changed there since it was sent: {_some(plan.edited)}",
                f"look at it there; to go on and keep a backup of it: hsm sync --force --target {spec.id}",
            )
        if dry_run or plan.is_empty:
            return
        lines = plan.apply(force, _Progress(plan.send_bytes))
        for line in (*lines, f"{spec.id} has the project as it is here."):
            click.echo(line)
    except HsmError:
        raise
    except Exception as error:
        # A source, and what pushes, are somebody else's code: anything may come out of it.
        raise NoSourceError(f"{spec.id}: {worded(error)}", f"try: hsm test {spec.id}") from error
    finally:
        source.close()


class _Progress:
    """Shows how much was sent, where a person is looking."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = -1
        self._wanted = sys.stderr.isatty()

    def __call__(self, sent: int) -> None:
        percent = 100 * sent // max(1, self._total)
        if self._wanted and percent != self._shown:
            self._shown = percent
            click.echo(f"\r{percent:3d} % of {_size(self._total)} sent", err=True, nl=percent == 100)


def _shown(id: str, plan: PushPlan, most: int) -> List[str]:
    """The plan for a person."""
    if plan.is_empty:
        return [f"{id} has the project as it is here, in {plan.place}: nothing to send.", *plan.notes]
    lines = [f"{id}: {plan.place}"]
    for what, names in (("send", plan.send), ("remove", plan.remove), ("changed there", plan.edited)):
        lines += [f"  {what}  {shown_path(name)}" for name in names[:most]]
        if len(names) > most:
            lines.append(f"  {what}  … and {len(names) - most:,} more")
    lines += [f"  note: {note}" for note in plan.notes]
    sums = f"{_count(len(plan.send), 'file')} to send ({_size(plan.send_bytes)})"
    if plan.reuse:
        sums += f", {plan.reuse:,} made from what is there"
    if plan.remove:
        sums += f", {len(plan.remove):,} to remove"
    return [*lines, f"  {sums}"]


def _unfinished(project: Project) -> Tuple[str, ...]:
    """The sweeps that may still run something."""
    from ..report.reading import open_sweep

    found = []
    for sweep in project.sweeps():
        try:
            if open_sweep(sweep.layout).facts["state"] not in _OVER:
                found.append(sweep.id)
        except HsmError:
            found.append(sweep.id)  # nobody can say: then it may
    return tuple(found)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(shown_path(name) for name in names[:5]) + (", …" if len(names) > 5 else "")


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
