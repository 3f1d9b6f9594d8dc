"""The sweeps of a project: making one, listing them, and finding the one that a person means."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import List, Optional, Tuple

from ..errors import HsmError, NotFoundError, StoreError, UsageError
from .journal import created_at
from .layout import ProjectLayout, SweepLayout, check_sweep_id, new_sweep_id

__all__ = ["create", "create_new", "discard", "find_sweep", "list_sweeps"]

_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


def create(layout: SweepLayout) -> None:
    """Make the folders of a new sweep, all or none.

    :raises UsageError: there is such a sweep already.
    :raises NotFoundError: its place cannot be written.
    :raises StoreError: the disk does not take it.
    """
    outputs = layout.root.parent
    missing = [folder for folder in (outputs, *outputs.parents) if not folder.exists()]
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        layout.root.mkdir()
    except FileExistsError as error:
        if not outputs.is_dir():
            raise _cannot_make(layout.root, error) from error
        raise UsageError(
            f"there is a sweep {layout.sweep_id} already, in {outputs}",
            hint=f"Go on with it: hsm complete {layout.sweep_id}, or choose another --sweep-id.",
        ) from None
    except OSError as error:
        _remove_empty(missing)
        raise _cannot_make(layout.root, error) from error
    try:
        for folder in (
            layout.tasks,
            layout.source_logs,
            layout.errors,
            layout.job_scripts,
            layout.setup_scripts,
            layout.reports,
            layout.journal,
            layout.leases,
            layout.requests,
            layout.runners,
        ):
            folder.mkdir(parents=True)
    except BaseException as error:
        discard(layout)
        _remove_empty(missing)
        if isinstance(error, OSError):
            raise _cannot_make(layout.root, error) from error
        raise


def create_new(project: ProjectLayout, now: float) -> SweepLayout:
    """Make a sweep under an id of its own, from the time `now`; several in one second get `_2`, `_3` behind it.

    :raises NotFoundError, StoreError: as `create`.
    """
    stem = new_sweep_id(now)
    name, number = stem, 1
    while True:
        layout = project.sweep(name)
        try:
            create(layout)
        except UsageError:
            number += 1
            name = f"{stem}_{number}"
        else:
            return layout


def discard(layout: SweepLayout) -> None:
    """Remove a sweep that was made a moment ago and could not be begun. Never for one that has results."""
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
