"""Takes apart the stream in which a host sends files of tasks, and believes nothing of it before it was checked.

`runner/pack.py` writes the stream; a host that is somebody else's by now may write anything. Whatever comes is put into
a folder of its own for each attempt, made by us, in which there are only files and folders that we made: so no name can
lead out of it. What cannot be kept is refused and reported, and the honest rest stays. A stream that breaks its own
rules ends there; what had arrived whole by then is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ..contract import Attempt
from .durable import start_writing

__all__ = ["Arrivals", "Arrived", "BrokenStream", "Word"]

_MAX_LINE = 1 << 16
_MAX_NOISE = 1 << 20
"""What the start-up files of a shell may print before the stream begins."""
_MAX_ENTRIES = 1_000_000
_MAX_TALK = 1 << 28
"""Bytes of lines about one attempt."""
_MAX_PATH = 4096
_MAX_NAME = 255
_MAX_NOTES = 20
"""How many refusals of an attempt are told one by one."""
_RECORD_ROOM = 1 << 20
"""A record may come although the files before it are all that an attempt may bring."""
_BLOCK = 1 << 16
_STATUS = "status.yaml"


class BrokenStream(OSError):
    """The stream is not what `pack.py` writes, or not all of it."""


class Arrived(NamedTuple):
    """All files of an attempt are in its folder.

    :param folders: those in it, with mode and time, which they get when nothing more is put into them.
    :param notes: what was left or refused, in words.
    :param whole: nothing that has any contents was left behind.
    """

    attempt: Attempt
    path: str
    folders: Mapping[str, Tuple[int, int]]
    notes: Tuple[str, ...]
    whole: bool


class Word(NamedTuple):
    """Anything else that the host says: `absent`, `gone`, `damaged` or `done`."""

    word: str
    attempt: Attempt = (0, 0)


class _File:
    """A file that is coming."""

    def __init__(self, name: str, fd: int, size: int, mode: int, mtime: int, sum: Optional[str]) -> None:
        self.name = name
        self.fd = fd
        """Where it goes; -1 when it goes nowhere."""
        self.left = size
        self.mode = mode
        self.mtime = mtime
        self.sum = sum
        """None where it comes after the file."""
        self.digest = hashlib.blake2b(digest_size=16)


class _Coming:
    """An attempt that is coming."""

    def __init__(self, attempt: Attempt, path: str) -> None:
        self.attempt = attempt
        self.path = path
        self.folders: Dict[str, Tuple[int, int]] = {}
        self.names: Dict[str, None] = {}
        self.notes: List[str] = []
        self.unnamed = 0
        self.bytes = 0
        self.entries = 0
        self.talk = 0
        self.files = 0
        self.whole = True
        self.damaged = False

    def note(self, words: str, contents: bool = True) -> None:
        """Something of it is left behind."""
        self.whole = self.whole and not contents
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(words)
        else:
            self.unnamed += 1


class Arrivals:
    """A stream, fed as it comes.

    :param incoming: folder, absolute, where attempts arrive, each in `INDEX.ATTEMPT`; what an earlier stream that was
        cut off has left there is gone on with.
    :param nonce: what the stream begins with; all before it is noise.
    :param expected: attempts that were asked for; earlier ones of the same tasks may come, too.
    :param cap: most bytes of an attempt.
    """

    def __init__(self, incoming: str, nonce: str, expected: Collection[Attempt], cap: int) -> None:
        self._incoming = incoming
        self._begin = json.dumps({"hsm_pack": nonce}, separators=(",", ":")).encode("ascii")
        self._latest: Dict[int, int] = {}
        for index, attempt in expected:
            self._latest[index] = max(attempt, self._latest.get(index, 0))
        self._cap = cap
        self._rest = b""
        self._begun = False
        self._noise = 0
        self._coming: Optional[_Coming] = None
        self._file: Optional[_File] = None
        self._seen: Dict[Attempt, None] = {}
        self.said = ""
        """Why the host ended the stream, if it said so."""

    def feed(self, data: bytes) -> List[Any]:
        """Take in what has come; the attempts that arrived with it, and the host's other words, in order.

        :raises BrokenStream: nothing more of this stream can be believed.
        :raises OSError: the files cannot be written here.
        """
        news: List[Any] = []
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        while at < end:
            if self._file is not None and self._file.left:
                step = min(self._file.left, end - at)
                self._write(self._file, data[at : at + step])
                at += step
                if not self._file.left and self._file.sum is not None:
                    self._close(self._file.sum)
                continue
            stop = data.find(b"\n", at)
            if stop < 0:
                break
            self._line(data[at:stop], news)
            at = stop + 1
        self._rest = data[at:]
        if len(self._rest) > (_MAX_LINE if self._begun else _MAX_NOISE):
            raise BrokenStream("a line of it has no end")
        return news

    def close(self) -> None:
        """Nothing more comes; what has arrived of a large file stays for the next stream."""
        if self._file is not None and self._file.fd >= 0:
            os.close(self._file.fd)
        self._file = None

    # --- lines

    def _line(self, line: bytes, news: List[Any]) -> None:
        if not self._begun:
            self._begun = line.endswith(self._begin)  # noise may lack the end of its line
            self._noise += len(line)
            if self._noise > _MAX_NOISE:
                raise BrokenStream("it never begins")
            return
        try:
            head = json.loads(line)
            if not isinstance(head, dict):
                raise BrokenStream("a line of it is no object")
            self._obey(head, len(line), news)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BrokenStream(f"a line of it makes no sense: {line[:80]!a}") from error

    def _count_line(self, coming: _Coming, length: int) -> None:
        coming.entries += 1
        coming.talk += length
        if coming.entries > _MAX_ENTRIES or coming.talk > _MAX_TALK:
            raise BrokenStream(f"a task of it has more than {_MAX_ENTRIES:,} files")

    def _obey(self, head: Mapping[str, Any], length: int, news: List[Any]) -> None:
        if self._coming is not None:
            self._count_line(self._coming, length)
        if self._file is not None:
            self._close(head["s"])
        elif "f" in head:
            self._open(self._now, head)
        elif "d" in head:
            self._make_folder(self._now, head)
        elif "x" in head:
            why = str(head["why"])[:80]
            self._now.note(f"{_shown(head['x'])}: {why}", contents=why.startswith("unreadable"))
        elif "left" in head:
            self._now.note(f"{_shown(head['left'])}: {_count(head['n']):,} bytes, more than a task may bring")
        elif "task" in head:
            self._start(self._known(head["task"]))
        elif "end" in head:
            self._end(self._known(head["end"]), _count(head["files"]), news)
        elif "error" in head:
            self.said = str(head["error"])[:300]
        else:
            for word in ("absent", "gone", "done"):
                if word in head:
                    news.append(Word(word) if word == "done" else Word(word, self._known(head[word])))

    @property
    def _now(self) -> _Coming:
        if self._coming is None:
            raise BrokenStream("a file of it belongs to no task")
        return self._coming

    def _known(self, value: Any) -> Attempt:
        index, attempt = value
        if type(index) is not int or type(attempt) is not int or not 1 <= attempt <= self._latest.get(index, 0):
            raise BrokenStream(f"nobody asked for {ascii(value)[:40]}")
        return index, attempt

    def _start(self, attempt: Attempt) -> None:
        if self._coming is not None or attempt in self._seen:
            raise BrokenStream("a task of it comes twice, or within another")
        self._seen[attempt] = None
        path = os.path.join(self._incoming, f"{attempt[0]}.{attempt[1]}")
        os.makedirs(path, exist_ok=True)
        self._coming = _Coming(attempt, path)

    def _end(self, attempt: Attempt, files: int, news: List[Any]) -> None:
        coming, self._coming = self._now, None
        if coming.attempt != attempt or coming.files != files:
            raise BrokenStream("a task of it ends otherwise than it began")
        if coming.damaged:
            news.append(Word("damaged", attempt))
            return
        if coming.unnamed:
            coming.notes.append(f"and {coming.unnamed} more")
        news.append(Arrived(attempt, coming.path, coming.folders, tuple(coming.notes), coming.whole))

    # --- files and folders

    def _enter(self, coming: _Coming, given: Any) -> Optional[str]:
        """The name, now taken; None, with a note, when nothing can have it."""
        problem = _problem(given)
        if not problem and given in coming.names:
            problem = "it is there twice"
        if problem:
            coming.note(f"{_shown(given)}: refused: {problem}")
            return None
        coming.names[given] = None
        return os.fsdecode(given.encode("utf-8", "surrogateescape"))

    def _make_folder(self, coming: _Coming, head: Mapping[str, Any]) -> None:
        mode, mtime = _count(head["m"]) & 0o777, _time(head["t"])
        name = self._enter(coming, head["d"])
        if name is not None:
            try:
                os.makedirs(os.path.join(coming.path, name), exist_ok=True)
                coming.folders[name] = (mode, mtime)
            except (FileExistsError, NotADirectoryError):
                coming.note(f"{_shown(head['d'])}: refused: it is within a file", contents=False)

    def _open(self, coming: _Coming, head: Mapping[str, Any]) -> None:
        """A file begins."""
        size, at = _count(head["n"]), _count(head.get("at", 0))
        mode, mtime = _count(head["m"]) & 0o777, _time(head["t"])
        coming.files += 1
        coming.bytes += size
        if coming.bytes > self._cap + (_RECORD_ROOM if head["f"] == _STATUS else 0):
            raise BrokenStream(f"a task of it brings more than {self._cap:,} bytes")
        if at > size:
            raise BrokenStream("a file of it begins after its end")
        name = self._enter(coming, head["f"])
        if head.get("same"):
            if name is None or not self._has(coming, name, size, mtime):
                raise BrokenStream("a file of it is said to be here, and is not")
            return
        fd = -1 if name is None else self._create(coming, name, head, at)
        self._file = file = _File(name or "", fd, size - at, mode, mtime, head.get("s"))
        if fd >= 0 and at:
            self._take_up(file, at)
        if not file.left and file.sum is not None:
            self._close(file.sum)

    def _has(self, coming: _Coming, name: str, size: int, mtime: int) -> bool:
        try:
            seen = os.lstat(os.path.join(coming.path, name))
        except OSError:
            return False
        return seen.st_size == size and seen.st_mtime_ns == mtime

    def _create(self, coming: _Coming, name: str, head: Mapping[str, Any], at: int) -> int:
        path = os.path.join(coming.path, name)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | (0 if at else os.O_TRUNC)
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            pass  # it comes before its folder
        except PermissionError:
            os.unlink(path)  # it came before, with a mode that lets nobody write
        except (IsADirectoryError, NotADirectoryError):
            coming.note(f"{_shown(head['f'])}: refused: a folder is in its place, or a file in its folder's")
            return -1
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            return os.open(path, flags, 0o600)
        except (FileExistsError, NotADirectoryError):
            coming.note(f"{_shown(head['f'])}: refused: it is within a file")
            return -1

    def _take_up(self, file: _File, at: int) -> None:
        """Go on where an earlier stream was cut off. What came then counts for the sum like all else."""
        left = at
        while left:
            block = os.read(file.fd, min(left, _BLOCK))
            if not block:
                raise BrokenStream("a file of it goes on after the end of what is here")
            file.digest.update(block)
            left -= len(block)
        os.ftruncate(file.fd, at)

    def _write(self, file: _File, data: bytes) -> None:
        file.left -= len(data)
        if file.fd >= 0:
            file.digest.update(data)
            done = os.write(file.fd, data)
            while done < len(data):
                done += os.write(file.fd, data[done:])

    def _close(self, digest: Any) -> None:
        """A file has come: keep it if it is what was sent."""
        file, self._file = self._file, None
        if file is None or file.fd < 0:
            return
        try:
            if file.digest.hexdigest() == digest:
                os.fchmod(file.fd, file.mode)
                os.utime(file.fd, ns=(file.mtime, file.mtime))
                if file.mode & stat.S_IRUSR:
                    start_writing(file.fd)
                else:
                    os.fsync(file.fd)  # nobody can open it later to wait for it
                return
        finally:
            os.close(file.fd)
        self._now.damaged = True
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._now.path, file.name))


def _problem(name: Any) -> str:
    """Why nothing may have this name here; empty when it may."""
    if not isinstance(name, str) or not name:
        return "it is no name"
    raw = name.encode("utf-8", "surrogateescape")  # other lone surrogates raise UnicodeEncodeError, a ValueError
    if any(byte < 32 or byte == 127 for byte in raw):
        return "it has a control character"
    parts = raw.split(b"/")
    if b"" in parts:
        return "it is absolute, or has an empty part"
    if b"." in parts or b".." in parts:
        return "it leads elsewhere"
    if len(raw) > _MAX_PATH or max(map(len, parts)) > _MAX_NAME:
        return "it is too long"
    if parts[0] == b"attempts":
        return "the earlier attempts are there"
    return ""


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError("not a count")
    return value


def _time(value: Any) -> int:
    """Nanoseconds since 1970."""
    if type(value) is not int or not -(1 << 62) < value < 1 << 62:
        raise ValueError("not a time")
    return value


def _shown(name: Any) -> str:
    shown = str(name)
    return ascii(shown if len(shown) <= 80 else shown[:77] + "...")
