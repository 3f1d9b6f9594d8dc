"""Which files are the project: what git would track, less what `.hsmignore` says, and never what hsm and git keep.

From strong to weak: what is never part of it; the `.hsmignore` files, deeper ones first; hsm's own files; what git
tracks; the `.gitignore` files, deeper ones first; `.git/info/exclude`; what programs leave behind everywhere.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from typing import Dict, FrozenSet, Iterator, List, Mapping, Optional, Tuple

from .ignore import Line, last_word, read_lines
from .there.tree import parents, to_bytes, to_text

__all__ = ["Entry", "Rules", "walk"]

_NEVER = frozenset({".git", ".hsm"})
_OUTPUTS = "sweeps/outputs"
_OWN = ("/hsm_config.yaml", "/sweeps/")
"""Read on this machine only: a changed sweep file or time limit changes no code. `.hsmignore` may say otherwise."""
_LEFTOVERS = (
    "__pycache__/",
    "*.py[co]",
    ".venv/",
    "venv/",
    ".ipynb_checkpoints/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".DS_Store",
)
_GIT_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Entry:
    """Something in the project.

    :param path: relative to the project's folder, with slashes.
    :param status: what `lstat` says.
    """

    path: str
    location: bytes
    status: os.stat_result


@dataclass
class Rules:
    """What is ignored in one project. Ignore files are read when their folder is come to.

    :param tracked: what git tracks, whatever `.gitignore` says of it.
    """

    root: bytes
    tracked: FrozenSet[str] = frozenset()
    _git: Dict[str, List[Line]] = field(default_factory=dict)
    _hsm: Dict[str, List[Line]] = field(default_factory=dict)

    @classmethod
    def of(cls, root: bytes) -> Rules:
        """The rules of the project in this folder."""
        return cls(root, _tracked(root))

    def __post_init__(self) -> None:
        self._tracked_folders = parents(self.tracked)
        self._own = read_lines(_OWN)
        everywhere = [*_LEFTOVERS, *_lines(os.path.join(self.root, b".git", b"info", b"exclude"))]
        self._everywhere = read_lines(everywhere)

    def verdict(self, path: str, is_folder: bool, hidden: bool) -> Tuple[bool, bool]:
        """Whether it is left out; and, for a folder, whether what is in it is, unless something stronger says no.

        :param hidden: the same of the folder that it is in.
        """
        name = path.rpartition("/")[2]
        if name in _NEVER or path == _OUTPUTS:
            return True, True
        said = self._ask(self._hsm, b".hsmignore", path, is_folder)
        if said is not None:
            return said, False
        if last_word(self._own, path, is_folder):
            # What is in it may be meant by a line of .hsmignore, but only if the folder was.
            return True, True
        if path in self.tracked:
            return False, False
        ignored = hidden or self._ignored_by_git(path, is_folder)
        if is_folder and path in self._tracked_folders:
            return False, ignored
        return ignored, ignored

    def leaves_out(self, path: str, is_folder: bool) -> bool:
        """The same for a path of another copy, all the way down to it."""
        hidden, at = False, path.find("/")
        while at > 0:
            left_out, hidden = self.verdict(path[:at], True, hidden)
            if left_out:
                return True
            at = path.find("/", at + 1)
        return self.verdict(path, is_folder, hidden)[0]

    def _ignored_by_git(self, path: str, is_folder: bool) -> bool:
        said = self._ask(self._git, b".gitignore", path, is_folder)
        if said is None:
            said = last_word(self._everywhere, path, is_folder)
        return bool(said)

    def _ask(self, read: Dict[str, List[Line]], file: bytes, path: str, is_folder: bool) -> Optional[bool]:
        """What the ignore files of one name say, the deepest first: left out, taken back in, or nothing."""
        cut = path.rfind("/")
        while True:
            folder = path[: max(cut, 0)]
            if folder not in read:
                read[folder] = read_lines(_lines(os.path.join(self.root, to_bytes(folder), file)))
            said = last_word(read[folder], path[cut + 1 :], is_folder)
            if said is not None:
                return said
            if cut <= 0:
                return None
            cut = path.rfind("/", 0, cut)


def walk(rules: Rules) -> Iterator[Entry]:
    """Everything that is the project, folders included. :raises OSError: a folder cannot be read."""

    def look(folder: bytes, prefix: str, hidden: bool) -> Iterator[Entry]:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            path = prefix + to_text(entry.name)
            is_folder = entry.is_dir(follow_symlinks=False)
            left_out, hides = rules.verdict(path, is_folder, hidden)
            if left_out:
                continue
            if not (is_folder and hides):  # a folder that is there only for what git tracks in it
                yield Entry(path, entry.path, entry.stat(follow_symlinks=False))
            if is_folder:
                yield from look(entry.path, path + "/", hides)

    return look(rules.root, "", False)


def _lines(path: bytes) -> List[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().split("\n")
    except OSError:
        return []


def _tracked(root: bytes) -> FrozenSet[str]:
    """What git tracks in this folder; nothing where there is no git."""
    environ: Mapping[str, str] = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = [b"git", b"-C", root, b"-c", b"core.fsmonitor=false", b"ls-files", b"-z"]
    try:
        done = subprocess.run(command, capture_output=True, env=environ, timeout=_GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return (
        frozenset(to_text(name) for name in done.stdout.split(b"\0") if name) if done.returncode == 0 else frozenset()
    )
