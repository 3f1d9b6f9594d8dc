"""The sweeps of a project: making one, listing them, and finding the one that a person means."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from ..errors import HsmError, NotFoundError, StoreError, UsageError
from .files import unique
from .journal import created_at
from .layout import ProjectLayout, SweepLayout, check_sweep_id, new_sweep_id

__all__ = ["create", "create_new", "discard", "find_sweep", "list_sweeps"]

_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


class _Taken(UsageError):
    """There is a sweep of that id already."""


def create(layout: SweepLayout, fill: Callable[[SweepLayout], None] = lambda draft: None) -> None:
    """Make the folders of a new sweep, all or none: it is made under a hidden name, and renamed when it is whole.

    A crash before the rename leaves nothing that is taken for a sweep.

    :param fill: writes the sweep's first files into the layout that it is given.
    :raises UsageError: there is such a sweep already.
    :raises NotFoundError: its place cannot be written.
    :raises StoreError: the disk does not take it.
    """
    outputs = layout.root.parent
    missing = [folder for folder in (outputs, *outputs.parents) if not folder.exists()]
    draft = SweepLayout(outputs / f".{layout.sweep_id}.{unique()[:8]}.new")
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        for folder in (
            draft.root,
            draft.tasks,
            draft.source_logs,
            draft.errors,
            draft.job_scripts,
            draft.setup_scripts,
            draft.reports,
            draft.journal,
            draft.leases,
            draft.requests,
            draft.runners,
        ):
            folder.mkdir(parents=True)
        fill(draft)
        os.rename(draft.root, layout.root)  # fails where a folder is that has anything in it
    except BaseException as error:
        discard(draft)
        _remove_empty(missing)
        if not isinstance(error, OSError):
            raise
        if outputs.is_dir() and layout.root.exists():
            raise _Taken(
                f"there is a sweep {layout.sweep_id} already, in {outputs}",
                hint=f"Go on with it: hsm complete {layout.sweep_id}, or choose another --sweep-id.",
            ) from None
        raise _cannot_make(layout.root, error) from error


def create_new(
    project: ProjectLayout, now: float, fill: Callable[[SweepLayout], None] = lambda draft: None
) -> SweepLayout:
    """Make a sweep under an id of its own, from the time `now`; several in one second get `_2`, `_3` behind it.

    :param fill: as for `create`.
    :raises NotFoundError, StoreError: as `create`.
    """
    stem = new_sweep_id(now)
    name, number = stem, 1
    while True:
        layout = project.sweep(name)
        try:
            create(layout, fill)
        except _Taken:
            number += 1
            name = f"{stem}_{number}"
        else:
            return layout


def discard(layout: SweepLayout) -> None:
    """Remove a sweep that could not be begun. Never for one that has results."""
    shutil.rmtree(layout.root, ignore_errors=True)


def list_sweeps(project: ProjectLayout) -> List[SweepLayout]:
    """The sweeps of a project, newest first."""
    try:
        names = os.listdir(project.outputs)
    except OSError:
        return []
    layouts = [SweepLayout(project.outputs / name) for name in names if not name.startswith(".")]
    dated = [(_created(layout), layout) for layout in layouts if layout.private.is_dir()]
    dated.sort(key=lambda item: item[0], reverse=True)
    return [layout for _, layout in dated]


def find_sweep(project: ProjectLayout, prefix: Optional[str] = None) -> SweepLayout:
    """The sweep that a person means.

    :param prefix: its id or the beginning of it; None means the newest sweep, and the caller says which that is.
    :raises UsageError: it cannot be an id, or several sweeps begin with it.
    :raises NotFoundError: there is none.
    """
    if prefix is not None:
        exact = project.sweep(check_sweep_id(prefix))
        if exact.private.is_dir():
            return exact
    sweeps = list_sweeps(project)
    if not sweeps:
        raise NotFoundError(f"there are no sweeps in {project.outputs}", hint="Start one: hsm run")
    if prefix is None:
        return sweeps[0]
    found = [sweep for sweep in sweeps if sweep.sweep_id.startswith(prefix)]
    if not found:
        raise NotFoundError(f"there is no sweep {prefix} in {project.outputs}", hint="List them: hsm status --all")
    if len(found) > 1:
        names = ", ".join(sweep.sweep_id for sweep in found[:5]) + (", …" if len(found) > 5 else "")
        raise UsageError(f"{len(found)} sweeps begin with {prefix}: {names}", hint="Give more of the id.")
    return found[0]


def _created(layout: SweepLayout) -> Tuple[float, str]:
    """What sweeps are sorted by. A folder's own time changes with its content and with copying, the journal's not."""
    at = created_at(layout.journal)
    if at is None:
        with contextlib.suppress(OSError):
            at = layout.root.stat().st_mtime
    return (at or 0.0, layout.sweep_id)


def _remove_empty(folders: List[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _cannot_make(path: Path, error: OSError) -> HsmError:
    message = f"cannot make the sweep's folder {path}: {error.strerror}"
    if error.errno in _NOT_WRITABLE or isinstance(error, FileExistsError):
        return NotFoundError(message, hint=f"Make it writable for you, or go elsewhere: ls -ld {path.parent}")
    return StoreError(message, hint=f"Make room there: df -h {path.parent}")
