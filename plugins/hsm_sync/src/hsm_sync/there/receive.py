"""Taking files in: everything is received and checked before anything is changed.

A new snapshot appears all at once. In a folder that is there each file is replaced as a whole.
"""

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List

from .copies import Place, edits_of_latest, git_knows, sources
from .tree import CHUNK, MOST_NAMES, Manifest, digest, folders_of, to_bytes, to_text, write_json


class Refused(Exception):
    """Nothing was changed, for a reason that a person has to know.

    :param answer: facts for the other side.
    """

    def __init__(self, message: str, **answer: Any) -> None:
        super().__init__(message)
        self.answer = answer


def plan(request: Dict[str, Any]) -> Dict[str, Any]:
    """What pushing the manifest would mean: the comparison, and `lacks`, checksums of which no file is there."""
    place, manifest = Place.of(request), request["manifest"]
    answer: Dict[str, Any] = {"path": to_text(place.path), "exists": place.exists}
    wanted = {entry[0] for entry in manifest["files"].values()}
    if place.exists:
        found = place.compare(manifest, git_knows(place))
        answer.update(found.answer())
        wanted = {manifest["files"][name][0] for name in found.missing + found.modified if name in manifest["files"]}
    elif not place.is_own:
        answer["edited"] = edits_of_latest(place)[:MOST_NAMES]
    answer["lacks"] = sorted(wanted - set(sources(place.project, wanted)))
    return answer


def receive(request: Dict[str, Any], stream: Iterator[bytes]) -> Dict[str, Any]:
    """Make the copy what the manifest says: a new snapshot all at once, a folder that is there file by file.

    Everything is received and checked before anything is changed.

    :param stream: the contents of `sent` (checksums), one after the other, and `END`.
    """
    place, manifest = Place.of(request), request["manifest"]
    if digest(manifest) != request["digest"]:
        raise Refused("the manifest arrived damaged")
    place.project.make()
    if place.is_own and not place.exists:
        os.makedirs(place.path)
    sizes = {checksum: size for checksum, size, _ in manifest["files"].values()}
    own = os.path.join(place.path, b".hsm")
    nursery = own if place.exists else place.project.state  # on the same file system: what is staged is renamed
    if not os.path.isdir(nursery):
        os.makedirs(nursery)
    stage = tempfile.mkdtemp(dir=nursery, prefix=b"incoming-")
    try:
        reader = Reader(stream)
        store = {}
        for checksum in request["sent"]:
            path = os.path.join(stage, b"new-" + checksum.encode())
            reader.copy(path, sizes[checksum], checksum)
            store[checksum] = path
        reader.end()
        if place.exists:
            answer = _update(place, manifest, store, stage, bool(request.get("force")))
        else:
            answer = _build(place, manifest, store, stage, bool(request.get("force")))
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if nursery == own:
            with contextlib.suppress(OSError):
                os.rmdir(own)
    write_json(place.project.file(place.key, "manifest"), manifest)
    place.project.used(place.key, "pushed")
    answer["path"] = to_text(place.path)
    return answer


class Reader:
    """Takes a stream of pieces apart by known sizes."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream = stream
        self._piece = b""
        self._at = 0

    def _take(self, most: int) -> bytes:
        while self._at == len(self._piece):
            try:
                self._piece, self._at = next(self._stream), 0
            except StopIteration:
                raise Refused("what was sent ended early") from None
        data = self._piece[self._at : self._at + most]
        self._at += len(data)
        return data

    def copy(self, path: bytes, size: int, checksum: str) -> None:
        """Write the next `size` bytes to a new file, which must have that checksum."""
        total = hashlib.sha256()
        with open(path, "wb") as file:
            while size:
                data = self._take(min(size, CHUNK))
                total.update(data)
                file.write(data)
                size -= len(data)
        if total.hexdigest() != checksum:
            raise Refused("a file changed while it was sent; try again")

    def end(self) -> None:
        """Everything was sent."""
        data = b""
        while len(data) < 3:
            data += self._take(3 - len(data))
        if data != b"END":
            raise Refused("what was sent has no end")


def _provide(
    place: Place, manifest: Manifest, names: Iterable[str], store: Dict[str, bytes]
) -> Callable[[str, bytes], None]:
    """A function that puts a file of the manifest somewhere, from what was received or from earlier snapshots.

    Copied, never linked: a program that writes into its project's folder must not change another sweep's code.
    """
    uses: Dict[str, int] = {}
    for name in names:
        if name in manifest["files"]:
            uses[manifest["files"][name][0]] = uses.get(manifest["files"][name][0], 0) + 1
    wanted = set(uses) - set(store)
    earlier = sources(place.project, wanted)
    lacking = wanted - set(earlier)
    if lacking:
        raise Refused(f"{len(lacking)} files that were there are there no more; try again")

    def put(name: str, path: bytes) -> None:
        checksum, _, executable = manifest["files"][name]
        uses[checksum] -= 1
        if checksum in store and not uses[checksum]:
            os.rename(store[checksum], path)
            if executable:
                mode = stat.S_IMODE(os.lstat(path).st_mode)
                os.chmod(path, mode | (mode & 0o444) >> 2)  # for those who may read it
            return
        total = hashlib.sha256()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777 if executable else 0o666)
        with os.fdopen(handle, "wb") as new, open(store.get(checksum) or earlier[checksum], "rb") as old:
            while True:
                data = old.read(CHUNK)
                if not data:
                    break
                total.update(data)
                new.write(data)
        if total.hexdigest() != checksum:
            raise Refused("a file of an earlier snapshot changed while it was copied; try again")

    return put


def _build(place: Place, manifest: Manifest, store: Dict[str, bytes], stage: bytes, force: bool) -> Dict[str, Any]:
    """A copy where none was: made aside, then named."""
    edited = edits_of_latest(place)
    if edited and not force:
        raise Refused("the copy there was edited", edited=edited[:MOST_NAMES])
    put = _provide(place, manifest, manifest["files"], store)
    tree = os.path.join(stage, b"tree")
    os.mkdir(tree)
    for name in sorted(folders_of(manifest)):
        os.mkdir(os.path.join(tree, to_bytes(name)))
    for name in manifest["files"]:
        put(name, os.path.join(tree, to_bytes(name)))
    for name, target in manifest["links"].items():
        os.symlink(to_bytes(target), os.path.join(tree, to_bytes(name)))
    backup = _back_up(place, place.project.root, edited, _copy) if edited else None
    # Before the name: what has a name and no manifest would be taken for a stranger's.
    write_json(place.project.file(place.key, "manifest"), manifest)
    try:
        os.rename(tree, place.path)
    except OSError:
        if not place.exists:  # else somebody was faster, with the same content
            raise
    return {"backup": backup}


def _update(place: Place, manifest: Manifest, store: Dict[str, bytes], stage: bytes, force: bool) -> Dict[str, Any]:
    """A copy that is there: each file that differs is replaced as a whole, each that is stale goes."""
    found = place.compare(manifest, git_knows(place))
    if found.edited and not force:
        raise Refused("the copy there was edited", edited=sorted(found.edited)[:MOST_NAMES])
    changed = found.missing + found.modified
    put = _provide(place, manifest, changed, store)
    files = [name for name in changed if name in manifest["files"]]
    for number, name in enumerate(files):
        put(name, os.path.join(stage, b"%d" % number))
    backup = _back_up(place, place.path, found.edited, shutil.move) if found.edited else None
    for name in found.stale:
        os.unlink(os.path.join(place.path, to_bytes(name)))
    base = place.project.manifest(place.key)
    gone = (folders_of(base) if base is not None else set()) - folders_of(manifest)
    for folder in sorted(gone, reverse=True):  # what is in a folder before the folder
        with contextlib.suppress(OSError):  # something else is in it
            os.rmdir(os.path.join(place.path, to_bytes(folder)))
    for folder in sorted(folders_of(manifest)):
        path = os.path.join(place.path, to_bytes(folder))
        if not os.path.isdir(path):
            os.mkdir(path)
    for number, name in enumerate(files):
        os.replace(os.path.join(stage, b"%d" % number), os.path.join(place.path, to_bytes(name)))
    for name in changed:
        if name in manifest["links"]:
            temporary = os.path.join(stage, b"link")
            os.symlink(to_bytes(manifest["links"][name]), temporary)
            os.replace(temporary, os.path.join(place.path, to_bytes(name)))
    return {"backup": backup}


def _copy(old: str, new: str) -> None:
    """Also a folder."""
    if os.path.isdir(old) and not os.path.islink(old):
        shutil.copytree(old, new, symlinks=True)
    else:
        shutil.copy2(old, new, follow_symlinks=False)


def _back_up(place: Place, root: bytes, names: List[str], move: Callable[[str, str], Any]) -> str:
    """Keep what was edited; the folder where it is now."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    folder = os.path.join(place.project.state, b"backup", to_bytes(f"{stamp}-{os.urandom(3).hex()}"))
    for name in names:
        path = os.path.join(folder, to_bytes(name))
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        move(os.fsdecode(os.path.join(root, to_bytes(name))), os.fsdecode(path))
    return to_text(folder)
