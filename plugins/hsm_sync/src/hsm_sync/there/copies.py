"""The copies of a project on a host: where they are, what is known of them, which of them are still needed.

`~/.hsm/projects/NAME-ID/` has snapshots, named by their content, and beside them `.hsm/` with what is known of each:
`KEY.manifest` (what was put there), `KEY.cache` (checksums), `KEY.uses/` (for whom, when last), `backup/`. KEY is a
snapshot's name, or stands for a folder of the user's own.
"""

import contextlib
import hashlib
import os
import re
import shutil
import stat
import subprocess
import time
from typing import Any, Callable, Dict, List, Optional, Set

from .tree import Comparison, Hashes, Manifest, compare, digest, read_json, to_bytes, to_text

KEEP_SNAPSHOTS = 3
KEEP_S = 14 * 86400.0
TRASH_S = 86400.0
_SNAPSHOT = re.compile(b"[0-9a-f]{16}\\Z")


class Project:
    """A project's folder under `~/.hsm/projects`.

    :param name: NAME-ID.
    """

    def __init__(self, name: str) -> None:
        self.root = os.path.join(os.path.expanduser(b"~"), b".hsm", b"projects", to_bytes(name))
        self.state = os.path.join(self.root, b".hsm")

    def make(self) -> None:
        """Make it, if it is not there, for its owner's eyes only: it is somebody's work."""
        if not os.path.isdir(self.root):
            os.makedirs(self.root)
            os.chmod(self.root, 0o700)

    def file(self, key: str, kind: str) -> bytes:
        """A file of what is known of a snapshot or a folder."""
        return os.path.join(self.state, to_bytes(f"{key}.{kind}"))

    def manifest(self, key: str) -> Optional[Manifest]:
        """What was last put there."""
        found = read_json(self.file(key, "manifest"))
        return found if isinstance(found, dict) and set(found) == {"files", "links", "folders"} else None

    def snapshot(self, name: str) -> bytes:
        """A snapshot's folder."""
        return os.path.join(self.root, to_bytes(name))

    def snapshots(self) -> List[str]:
        """All that are whole, the last pushed first."""
        try:
            names = [name for name in os.listdir(self.root) if _SNAPSHOT.match(name)]
        except OSError:
            return []
        dated = [(_mtime(os.path.join(self.file(to_text(name), "uses"), b"pushed")), to_text(name)) for name in names]
        return [name for _, name in sorted(dated, reverse=True)]

    def used(self, key: str, by: str) -> None:
        """Note that somebody uses it now."""
        folder = self.file(key, "uses")
        with contextlib.suppress(OSError):
            self.make()
            if not os.path.isdir(folder):
                os.makedirs(folder)
            path = os.path.join(folder, to_bytes(by))
            with open(path, "ab"):
                os.utime(path, None)

    def users(self, key: str) -> Dict[str, float]:
        """Who used it, and when last."""
        folder = self.file(key, "uses")
        try:
            return {to_text(name): _mtime(os.path.join(folder, name)) for name in os.listdir(folder)}
        except OSError:
            return {}


def _mtime(path: bytes) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


class Place:
    """One copy: a snapshot, or a folder of the user's own.

    :param digest: of the content.
    :param own: the user's folder; None for a snapshot.
    """

    def __init__(self, project: Project, digest: str, own: Optional[str] = None) -> None:
        self.project = project
        self.is_own = own is not None
        if own is not None:
            self.path = os.path.join(os.path.expanduser(b"~"), os.path.expanduser(to_bytes(own)))
            self.key = "place-" + hashlib.sha256(self.path).hexdigest()[:16]
        else:
            self.key = digest[:16]
            self.path = project.snapshot(self.key)

    @classmethod
    def of(cls, request: Dict[str, Any]) -> "Place":
        """The copy that a request is about: `project` (NAME-ID), `digest`, and `place`, a configured folder or None."""
        return cls(Project(request["project"]), request["digest"], request.get("place"))

    @property
    def exists(self) -> bool:
        """Whether there is anything yet."""
        return os.path.isdir(self.path)

    def turn_to_latest(self) -> None:
        """Where this content is not there: take the snapshot that was pushed last, if there is any."""
        names = self.project.snapshots()
        if not self.is_own and not self.exists and names:
            self.key = names[0]
            self.path = self.project.snapshot(self.key)

    def compare(self, manifest: Manifest, safe: Optional[Callable[[str], bool]] = None) -> Comparison:
        """Hold it against a manifest."""
        with contextlib.suppress(OSError):  # for the checksums, which may as well not be kept
            self.project.make()
        hashes = Hashes(self.project.file(self.key, "cache"))
        base = self.project.manifest(self.key)
        found = compare(self.path, manifest, base, hashes, safe or (lambda name: False))
        hashes.save()
        return found


def locate(request: Dict[str, Any]) -> Dict[str, Any]:
    """Where the copy is that tasks should run in. `user`: the sweep that will."""
    place = Place.of(request)
    place.turn_to_latest()
    if request.get("user") and not place.is_own and place.exists:
        place.project.used(place.key, "sweep." + os.path.basename(request["user"]))
    return {"path": to_text(place.path), "exists": place.exists}


def verify(request: Dict[str, Any]) -> Dict[str, Any]:
    """Hold the copy against the manifest, which need not be sent where it is known there by its digest."""
    place = Place.of(request)
    place.turn_to_latest()
    answer: Dict[str, Any] = {"path": to_text(place.path), "exists": place.exists}
    if not place.exists:
        return answer
    manifest = request.get("manifest") or place.project.manifest(place.key)
    if manifest is None or digest(manifest) != request["digest"]:
        return {"unknown": True}
    answer.update(place.compare(manifest).answer())
    return answer


def git_knows(place: Place) -> Callable[[str], bool]:
    """Whether a file is in a git checkout there just as it was committed."""
    known: Set[str] = set()
    if place.is_own and os.path.exists(os.path.join(place.path, b".git")):
        tracked = _git(place.path, ["ls-files", "-z"])
        dirty = _git(place.path, ["diff", "--name-only", "-z", "--relative", "HEAD"])
        if tracked is not None and dirty is not None:
            known = set(tracked) - set(dirty)
    return lambda name: name in known


def _git(folder: bytes, words: List[str]) -> Optional[List[str]]:
    environ = dict(os.environ, GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0")
    command = [b"git", b"-C", folder, b"-c", b"core.fsmonitor=false"] + [word.encode() for word in words]
    try:
        # `run` has no timeout that its caller would not have: the whole request has one.
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ
        )
    except OSError:
        return None
    return [to_text(name) for name in done.stdout.split(b"\0") if name] if done.returncode == 0 else None


def edits_of_latest(place: Place) -> List[str]:
    """What somebody changed in the snapshot that was pushed last, as `SNAPSHOT/path`."""
    for name in place.project.snapshots()[:1]:
        manifest = place.project.manifest(name)
        if manifest is not None:
            return [f"{name}/{edited}" for edited in Place(place.project, name).compare(manifest).edited]
    return []


def sources(project: Project, wanted: Set[str]) -> Dict[str, bytes]:
    """Files of earlier snapshots that certainly have these contents: checksum -> path."""
    found: Dict[str, bytes] = {}
    for snapshot in project.snapshots():
        manifest = project.manifest(snapshot)
        if manifest is None or len(found) == len(wanted):
            continue
        hashes = Hashes(project.file(snapshot, "cache"))
        for name, (checksum, size, _) in manifest["files"].items():
            path = os.path.join(project.snapshot(snapshot), to_bytes(name))
            with contextlib.suppress(OSError):
                facts = os.lstat(path)
                if not stat.S_ISREG(facts.st_mode) or facts.st_size != size:
                    continue
                # Every file is asked for, wanted or not: the cache keeps what was asked for.
                if hashes.of(name, path, facts) == checksum and checksum in wanted:
                    found.setdefault(checksum, path)
        hashes.save()
    return found


def prune(request: Dict[str, Any]) -> Dict[str, Any]:
    """Remove snapshots that nobody needs.

    Those are not among the last few pushed, not used for long, of no sweep in `users`, without a process in them, and
    as they were pushed.
    """
    project = Project(request["project"])
    needed = {"sweep." + user for user in request["users"]}
    removed = []
    in_use = _working_folders()
    _sweep_up(project)
    for name in project.snapshots()[KEEP_SNAPSHOTS:]:
        users = project.users(name)
        path = project.snapshot(name)
        if needed & set(users) or max(users.values() or [0.0]) + KEEP_S > time.time():
            continue
        if any(folder == path or folder.startswith(path + b"/") for folder in in_use):
            continue
        manifest = project.manifest(name)
        if manifest is None or Place(project, name).compare(manifest).edited:
            continue
        # Renamed first: half a snapshot must never look like one.
        trash = os.path.join(project.state, b"incoming-trash-" + to_bytes(name))
        os.rename(path, trash)
        shutil.rmtree(trash, ignore_errors=True)
        for kind in ("manifest", "cache"):
            with contextlib.suppress(OSError):
                os.unlink(project.file(name, kind))
        shutil.rmtree(project.file(name, "uses"), ignore_errors=True)
        removed.append(name)
    return {"removed": removed}


def _sweep_up(project: Project) -> None:
    """Remove what a push that was cut off left."""
    with contextlib.suppress(OSError):
        for name in os.listdir(project.state):
            path = os.path.join(project.state, name)
            if name.startswith(b"incoming-") and _mtime(path) + TRASH_S < time.time():
                shutil.rmtree(path, ignore_errors=True)


def _working_folders() -> Set[bytes]:
    """Where the processes of this machine are that we may look at; nothing where there is no /proc."""
    found = set()
    with contextlib.suppress(OSError):
        for pid in os.listdir(b"/proc"):
            if pid.isdigit():
                with contextlib.suppress(OSError):
                    found.add(os.readlink(b"/proc/" + pid + b"/cwd"))
    return found
