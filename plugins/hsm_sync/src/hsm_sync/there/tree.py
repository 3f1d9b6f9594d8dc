"""A project's files as values: checksums, manifests, and a folder held against one. The same on both sides.

Travels to hosts as text: Python 3.6 and newer, the standard library, nothing of ours but its neighbours.
"""

import contextlib
import hashlib
import json
import os
import stat
import tempfile
import time
from typing import Any, Callable, Dict, Iterable, List, Optional, Set

CHUNK = 1 << 20
RACY_NS = 2000000000
"""The coarsest clock of a file system that is still in use: within it a change may leave no trace in a file's times."""
MOST_NAMES = 1000
"""How many names of a kind an answer lists; the counts are always whole."""
MOST_EXTRA = 20000
"""The same for files that only the asking side can tell from ignored ones."""

Manifest = Dict[str, Any]
"""`files`: path -> [SHA-256, size, executable]; `links`: path -> what it says; `folders`: a list of paths."""


def to_bytes(path: str) -> bytes:
    """A path as the system has it, whatever the locale."""
    return path.encode("utf-8", "surrogateescape")


def to_text(path: bytes) -> str:
    """A path as JSON has it; bytes that are no UTF-8 survive."""
    return path.decode("utf-8", "surrogateescape")


def digest(manifest: Manifest) -> str:
    """Names the content: files, whether they are executable, and links. Folders are no content."""
    total = hashlib.sha256()
    for path, (checksum, _, executable) in sorted(manifest["files"].items()):
        total.update(b"%s\0%s\0%s\0" % (b"x" if executable else b"f", to_bytes(path), checksum.encode()))
    for path, target in sorted(manifest["links"].items()):
        total.update(b"l\0%s\0%s\0" % (to_bytes(path), to_bytes(target)))
    return total.hexdigest()


def hash_file(path: bytes) -> str:
    """The SHA-256 of a file."""
    total = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while True:
            data = file.read(CHUNK)
            if not data:
                return total.hexdigest()
            total.update(data)


class Hashes:
    """Checksums of files, remembered by size, times and inode, so that what did not change is not read again.

    A file that changed within the last moments is not remembered: it could change once more and look the same.

    :param path: where they are kept; None: nowhere. A memory that cannot be read or written costs time only.
    """

    def __init__(self, path: Optional[bytes]) -> None:
        self._path = path
        self._known: Dict[str, List[Any]] = {}
        self._seen: Dict[str, List[Any]] = {}
        self.hashed = 0
        known = read_json(path) if path is not None else None
        if isinstance(known, dict):
            self._known = known

    def of(self, name: str, path: bytes, seen: os.stat_result) -> str:
        """The checksum of a file.

        :param seen: what `lstat` just said of it.
        """
        facts: List[Any] = [seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino]
        known = self._known.get(name)
        if isinstance(known, list) and len(known) == 5 and known[:4] == facts and isinstance(known[4], str):
            self._seen[name] = known
            return known[4]
        now_ns = int(time.time() * 1e9)
        checksum = hash_file(path)
        self.hashed += 1
        if max(seen.st_mtime_ns, seen.st_ctime_ns) + RACY_NS < now_ns:
            self._seen[name] = [*facts, checksum]
        return checksum

    def save(self) -> None:
        """Remember those that were asked for, and no others."""
        if self._path is not None and self._seen != self._known:
            with contextlib.suppress(OSError):
                write_json(self._path, self._seen)


def read_json(path: bytes) -> Any:
    """What a file says, or None."""
    try:
        with open(path, "rb") as file:
            return json.loads(file.read().decode("ascii"))
    except (OSError, ValueError):
        return None


def write_json(path: bytes, value: Any) -> None:
    """Replace a file as a whole, making its folder."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=b".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(value, separators=(",", ":")).encode("ascii"))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def is_executable(seen: os.stat_result) -> bool:
    """Whether a file's owner may execute it: all of its mode that counts."""
    return bool(seen.st_mode & stat.S_IXUSR)


class Comparison:
    """A folder held against a manifest, and against what was last put there.

    `stale`: was put there, is not in the manifest any more, and is as it was put. `edited`: replacing or removing it
    would lose what somebody did there. `extra`: anything else that is there; folders end in a slash, and what is in
    them was not looked at.
    """

    def __init__(self) -> None:
        self.missing: List[str] = []
        self.modified: List[str] = []
        self.stale: List[str] = []
        self.edited: List[str] = []
        self.extra: List[str] = []

    def answer(self) -> Dict[str, Any]:
        """Names, not too many, and all the counts."""
        answer: Dict[str, Any] = {"counts": {}}
        for kind in ("missing", "modified", "stale", "edited", "extra"):
            names = sorted(getattr(self, kind))
            answer[kind] = names[: MOST_EXTRA if kind == "extra" else MOST_NAMES]
            answer["counts"][kind] = len(names)
        return answer


def parents(paths: Iterable[str]) -> Set[str]:
    """All the folders that paths are in."""
    found: Set[str] = set()
    for path in paths:
        cut = path.rfind("/")
        while cut > 0 and path[:cut] not in found:
            found.add(path[:cut])
            cut = path.rfind("/", 0, cut)
    return found


def folders_of(manifest: Manifest) -> Set[str]:
    """All its folders, those that follow from its files too."""
    return (
        parents(manifest["files"])
        | parents(manifest["links"])
        | parents(manifest["folders"])
        | set(manifest["folders"])
    )


def compare(
    root: bytes, manifest: Manifest, base: Optional[Manifest], hashes: Hashes, is_clean: Callable[[str], bool]
) -> Comparison:
    """Hold the folder against the manifest.

    :param base: what was last put there; None: nothing that is known.
    :param is_clean: whether a file that is not in `base` is safe with somebody else (git).
    """
    found = Comparison()
    base = base or {"files": {}, "links": {}, "folders": []}
    folders = folders_of(manifest)
    known_folders = folders | folders_of(base)
    seen: Set[str] = set()
    replaced: List[str] = []

    def as_it_is(name: str, entry: "os.DirEntry[bytes]", of: Manifest) -> bool:
        """Whether what is there is what a manifest says."""
        facts = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(facts.st_mode):
            return bool(to_text(os.readlink(entry.path)) == of["links"].get(name))
        if not stat.S_ISREG(facts.st_mode) or name not in of["files"]:
            return False
        checksum, size, executable = of["files"][name]
        if facts.st_size != size or is_executable(facts) != executable:
            return False
        return bool(hashes.of(name, entry.path, facts) == checksum)

    def look(folder: bytes, prefix: str) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + to_text(entry.name)
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder and name in known_folders:
                    look(entry.path, name + "/")
                in_manifest = name in manifest["files"] or name in manifest["links"]
                if in_manifest:
                    seen.add(name)
                    if as_it_is(name, entry, manifest):
                        continue
                    found.modified.append(name)
                    if is_folder:
                        replaced.append(name)
                    elif not as_it_is(name, entry, base) and not is_clean(name):
                        found.edited.append(name)
                elif is_folder:
                    if name not in known_folders:
                        found.extra.append(name + "/")
                elif as_it_is(name, entry, base):
                    found.stale.append(name)
                elif name in base["files"] or name in base["links"] or name in folders:
                    found.modified.append(name)
                    found.edited.append(name)
                else:
                    found.extra.append(name)

    look(root, "")
    for name in replaced:  # a folder where a file should be: it may go only if nothing but ours is in it
        inside = name + "/"
        if name not in known_folders or any(other.startswith(inside) for other in found.extra + found.edited):
            found.edited = [other for other in found.edited if not other.startswith(inside)] + [name]
            found.stale = [other for other in found.stale if not other.startswith(inside)]
    found.missing = [name for part in ("files", "links") for name in manifest[part] if name not in seen]
    return found
