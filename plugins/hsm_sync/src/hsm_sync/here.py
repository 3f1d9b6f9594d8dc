"""The project on this machine as a manifest, with checksums remembered between looks."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Tuple

from hsm_core.errors import NotFoundError
from hsm_core.project.paths import shown_path

from .rules import Rules, walk
from .there.tree import Hashes, Manifest, digest, is_executable, to_text

__all__ = ["Here", "look_here", "project_name"]

_looking = threading.Lock()
"""One look at a time: the second finds the checksums of the first."""


@dataclass(frozen=True)
class Here:
    """The project on this machine as it was a moment ago.

    :param name: under which its copies are kept elsewhere, NAME-ID.
    :param skipped: what is neither file, folder nor link, and cannot be copied.
    :param outward: links that point out of the project.
    """

    root: Path
    name: str
    manifest: Manifest
    digest: str
    rules: Rules
    skipped: Tuple[str, ...]
    outward: Tuple[str, ...]

    @property
    def files(self) -> int:
        """How many files and links there are."""
        return len(self.manifest["files"]) + len(self.manifest["links"])


def look_here(project_dir: str) -> Here:
    """Take stock of the project. :raises NotFoundError: something in it cannot be read."""
    root = os.fsencode(os.path.abspath(project_dir))
    name = project_name(os.path.abspath(project_dir))
    with _looking:
        return _look(root, name)


def _look(root: bytes, name: str) -> Here:
    rules = Rules.of(root)
    hashes = Hashes(os.fsencode(_cache_folder() / f"{name}.json"))
    files: Dict[str, List[object]] = {}
    links: Dict[str, str] = {}
    folders: List[str] = []
    skipped: List[str] = []
    path = ""
    try:
        for entry in walk(rules):
            path, mode = entry.path, entry.status.st_mode
            if stat.S_ISREG(mode):
                checksum = hashes.of(path, entry.location, entry.status)
                files[path] = [checksum, entry.status.st_size, is_executable(entry.status)]
            elif stat.S_ISLNK(mode):
                links[path] = to_text(os.readlink(entry.location))
            elif stat.S_ISDIR(mode):
                folders.append(path)
            else:
                skipped.append(path)
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename is not None else path
        raise NotFoundError(
            f"cannot read {shown_path(where)} of the project: {error.strerror}",
            "make it readable, or leave it out by a line in .hsmignore",
        ) from error
    hashes.save()
    manifest: Manifest = {"files": files, "links": links, "folders": folders}
    outward = tuple(link for link, target in links.items() if _points_out(link, target))
    return Here(Path(os.fsdecode(root)), name, manifest, digest(manifest), rules, tuple(skipped), outward)


def _points_out(link: str, target: str) -> bool:
    """Whether a link means something that is not in the project, and that may not be there elsewhere."""
    if target.startswith("/"):
        return True
    return os.path.normpath(os.path.join(os.path.dirname(link), target)).split("/")[0] == ".."


def project_name(root: str, machine: Callable[[], str] = lambda: _machine()) -> str:
    """NAME-ID: its folder's name for a person, and what tells it from every other project of that name.

    :param machine: names this machine: two laptops may have a project at the same path.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", os.path.basename(root)).lstrip(".-")[:40] or "project"
    told = "\0".join((machine(), str(os.getuid()), root))
    return f"{name}-{hashlib.sha256(os.fsencode(told)).hexdigest()[:8]}"


def _machine() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip() or platform.node()
    except (OSError, ValueError):
        return platform.node()


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG rules: a relative path there is to be ignored.
    return (Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~")) / ".cache") / "hsm" / "sync"
