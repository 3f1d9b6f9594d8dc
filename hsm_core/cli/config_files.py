"""Writing a project's configuration files: all of them or none, and never over an old one without a copy of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import List, Mapping, Sequence, Tuple

from ..errors import NotFoundError
from ..store.files import write_atomic

__all__ = ["write_file", "write_new"]


def write_file(path: Path, text: str) -> None:
    """Replace a file as a whole, or the file that it is a link to, keeping its permissions.

    :raises NotFoundError: when it cannot be written; the old one is unchanged then.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode & 0o777
        write_atomic(target, text.encode())
        target.chmod(mode)
    except OSError as error:
        raise _cannot_write(path, error) from None


def write_new(folders: Sequence[Path], files: Mapping[Path, str]) -> List[Tuple[Path, Path]]:
    """Make folders and files; a file that is there already is kept under another name.

    :returns: the old files that were kept: (path, its copy's path).
    :raises NotFoundError: when something cannot be made; everything is as it was before then.
    """
    made: List[Path] = []
    kept: List[Tuple[Path, Path]] = []
    try:
        for path in [*folders, *files]:
            for folder in reversed([path, *path.parents] if path in folders else path.parents):
                if not folder.is_dir():
                    folder.mkdir()
                    made.append(folder)
            if path in files:
                if os.path.lexists(path):
                    kept.append((path, _spare_name(path)))
                    os.rename(*kept[-1])
                write_atomic(path, files[path].encode())
                made.append(path)
    except OSError as error:
        _undo(made, kept)
        raise _cannot_write(path, error) from None
    return kept


def _undo(made: Sequence[Path], kept: Sequence[Tuple[Path, Path]]) -> None:
    for path in reversed(made):
        with contextlib.suppress(OSError):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()
    for path, copy in kept:
        with contextlib.suppress(OSError):
            os.rename(copy, path)


def _spare_name(path: Path) -> Path:
    number = 1
    while True:
        spare = path.with_name(f"{path.name}.bak{number if number > 1 else ''}")
        if not os.path.lexists(spare):
            return spare
        number += 1


def _cannot_write(path: Path, error: OSError) -> NotFoundError:
    return NotFoundError(
        f"{path}: cannot be written: {error.strerror or error}", "check the folder and its permissions"
    )
