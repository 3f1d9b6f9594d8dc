"""Sends the files of ended tasks as one stream, shows those of running ones, and takes away what has arrived.

Lies beside `runner.py` on a machine that shares no files with the controller's, and keeps its rules: standard library
only, Python 3.6 and newer, every path is bytes. `send` takes a request on standard input and answers with a stream of
JSON lines, some of them followed by the bytes of a file; as attempts arrive whole, words come back on standard input,
and what lies here of them goes. `show` and `tidy` are one question and one answer. See `docs/design/remote.md`.
"""

import errno
import hashlib
import json
import os
import select
import stat
import sys
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Container, Deque, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

    Have = Mapping[str, Sequence[int]]

if TYPE_CHECKING or __package__:
    from . import runner as base
else:  # beside us, on a machine where nothing else of ours is
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import runner as base

__all__ = ["main", "send", "show", "tidy"]

PIECE = 1 << 18
WHOLE = 1 << 20  # files up to this size are read at once, and announced with their sum
PATIENCE_S = 600.0  # so long nobody may take anything, or answer
MAX_REQUEST = 1 << 26
STATUS = b"status.yaml"
LITTLE = 1 << 16  # an attempt of so few bytes is taken away with the whole sweep: one by one would cost twice as much
FEW = 16  # files
COLLECTED = b"collected: true\n"  # what a status says when all else of its attempt is home


class Gone(Exception):
    """Nobody listens any more."""


def sum_of() -> "Any":
    """A new checksum."""
    return hashlib.blake2b(digest_size=16)


def text(path: bytes) -> str:
    """A name that may be any bytes, for JSON."""
    return path.decode("utf-8", "surrogateescape")


class Wire:
    """What is sent, and what comes back meanwhile. While one side does not take anything, the other is still heard."""

    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink = source, sink
        self.buffer = bytearray()
        self.heard = bytearray()
        self.words: "Deque[Dict[str, Any]]" = deque()
        for fd in (source, sink):
            os.set_blocking(fd, False)

    def line(self, value: "Any") -> None:
        """Send a line."""
        self.data(json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n")

    def data(self, data: bytes) -> None:
        """Send bytes. :raises Gone: nobody takes them."""
        self.buffer += data
        if len(self.buffer) >= PIECE:
            self.flush()

    def flush(self) -> None:
        """Send everything. :raises Gone:"""
        poll = select.poll()
        poll.register(self.source, select.POLLIN)
        poll.register(self.sink, select.POLLOUT)
        while self.buffer:
            ready = dict(poll.poll(PATIENCE_S * 1000))
            if not ready:
                raise Gone
            if self.source in ready:
                self.read()
            if self.sink in ready:
                try:
                    del self.buffer[: os.write(self.sink, self.buffer[:PIECE])]
                except BlockingIOError:
                    continue
                except OSError:
                    raise Gone from None

    def hear(self, wait_s: float) -> None:
        """Take in words, waiting for the first so long. :raises Gone: none came, or none will."""
        self.flush()
        if self.words:
            return  # they came while we wrote
        poll = select.poll()
        poll.register(self.source, select.POLLIN)
        if poll.poll(wait_s * 1000):
            self.read()
        elif wait_s:
            raise Gone

    def read(self) -> None:
        """Take in what has come. :raises Gone: the other end is closed."""
        try:
            data = os.read(self.source, 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            raise Gone from None
        if not data:
            raise Gone
        self.heard += data
        if len(self.heard) > MAX_REQUEST:
            raise Gone
        if b"\n" in data:
            *lines, rest = self.heard.split(b"\n")
            self.heard = bytearray(rest)
            self.words.extend(base.parse(bytes(line)) for line in lines if line.strip())


# ---- send --------------------------------------------------------------------------------------------------


def send(request: "Mapping[str, Any]", wire: Wire) -> None:
    """Send what a request names, then wait until the other side has said of all of it what shall become of it.

    :raises ValueError: the request cannot be meant. :raises OSError: the sweep is not here. :raises Gone:
    """
    sweep_dir, tasks = base.read_request(request)
    have, known = request.get("have") or {}, request.get("known") or {}
    cap = int(request["cap"])
    wire.line({"hsm_pack": request["nonce"]})
    os.listdir(os.path.join(sweep_dir, b".hsm"))  # a file system that is not mounted has no tasks either
    folders = os.path.join(sweep_dir, b"tasks")
    names: "Dict[int, bytes]" = {}
    little: "Set[Tuple[int, int]]" = set()
    awaited = 0
    for index, attempt, name in base.read_request(dict(request, tasks=request.get("home") or ()))[1]:
        discard(os.path.join(folders, base.raw(name)), attempt, False)
        wire.line({"gone": [index, attempt]})
    for index, attempt, name in tasks:
        folder = names[index] = os.path.join(folders, base.raw(name))
        kept = set(known.get(str(index)) or ())
        numbers = [number for number in earlier(folder, attempt) if number not in kept]
        for number in [*numbers, attempt]:
            key = "%d.%d" % (index, number)
            spent = send_attempt(wire, folder, (index, number), have.get(key) or {}, cap)
            awaited += spent is not None
            if spent is not None and spent <= LITTLE:
                little.add((index, number))
        wire.hear(0.0)
        awaited -= obey(wire, names, little)
    while awaited > 0:
        wire.hear(PATIENCE_S)
        awaited -= obey(wire, names, little)
    wire.line({"done": len(tasks)})
    wire.flush()


def obey(wire: Wire, names: "Mapping[int, bytes]", little: "Container[Tuple[int, int]]") -> int:
    """Do what the other side says of what it has got; how many attempts it spoke of."""
    spoken = 0
    while wire.words:
        word = wire.words.popleft()
        for index, attempt in word.get("home") or ():
            spoken += 1
            discard(names[index], attempt, (index, attempt) in little)
            wire.line({"gone": [index, attempt]})
        spoken += len(word.get("keep") or ())
    return spoken


def place(folder: bytes, attempt: int) -> bytes:
    """Where an attempt's files are by now."""
    archived = os.path.join(folder, b"attempts", b"%d" % attempt)
    return archived if os.path.isdir(archived) else folder


def earlier(folder: bytes, attempt: int) -> "List[int]":
    """Attempts before this one that left something here, which nobody has asked for: those that were lost, say."""
    archive = os.path.join(folder, b"attempts")
    found = []
    for number in range(1, attempt):
        try:
            names = os.listdir(os.path.join(archive, b"%d" % number))
        except OSError:
            continue
        status = base.read_status(os.path.join(archive, b"%d" % number, STATUS))
        if names and not status.get("collected"):
            found.append(number)
    return found


def is_there(folder: bytes, here: bytes, attempt: int) -> bool:
    """Are the files at that place the attempt's?"""
    return here != folder or base.read_status(os.path.join(here, STATUS)).get("attempt") == attempt


def send_attempt(wire: Wire, folder: bytes, key: "Tuple[int, int]", have: "Have", cap: int) -> "Optional[int]":
    """Send one attempt's files, small ones first and the record last; how many bytes, or None when it is not here."""
    here = place(folder, key[1])
    if not is_there(folder, here, key[1]):
        wire.line({"absent": key})
        return None
    wire.line({"task": key})
    folders, files, others = listing(here)
    for name, seen in folders:
        wire.line({"d": text(name), "m": stat.S_IMODE(seen.st_mode) & 0o777, "t": seen.st_mtime_ns})
    for name, why in others:
        wire.line({"x": text(name), "why": why})
    spent = sent = 0
    for size, name in files:
        spent += size
        if spent > cap and name != STATUS:
            spent -= size
            wire.line({"left": text(name), "n": size})
        elif send_file(wire, here, name, have.get(text(name))):
            sent += 1
    wire.line({"end": key, "files": sent})
    return spent if len(files) <= FEW else LITTLE + 1


def listing(
    folder: bytes,
) -> "Tuple[List[Tuple[bytes, os.stat_result]], List[Tuple[int, bytes]], List[Tuple[bytes, str]]]":
    """What is in an attempt's folder: folders, files with their sizes, and the rest with what it is."""
    folders: "List[Tuple[bytes, os.stat_result]]" = []
    files: "List[Tuple[int, bytes]]" = []
    others: "List[Tuple[bytes, str]]" = []
    left = [b""]
    while left:
        prefix = left.pop()
        try:
            entries = list(os.scandir(os.path.join(folder, prefix)))
        except OSError as error:
            others.append((prefix.rstrip(b"/"), "unreadable: %s" % error.strerror))
            continue
        for entry in entries:
            name = prefix + entry.name
            if name == b"attempts":
                continue
            try:
                seen = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # it went while we looked
            if stat.S_ISDIR(seen.st_mode):
                folders.append((name, seen))
                left.append(name + b"/")
            elif stat.S_ISREG(seen.st_mode):
                files.append((seen.st_size, name))
            else:
                others.append((name, "a link" if stat.S_ISLNK(seen.st_mode) else "neither file nor folder"))
    files.sort(key=lambda item: (item[1] == STATUS, item))
    return folders, files, others


def send_file(wire: Wire, folder: bytes, name: bytes, have: "Optional[Sequence[int]]") -> bool:
    """Send a file, or what the other side does not have of it; False when it cannot be read.

    :param have: size and time of what the other side has under this name.
    """
    try:
        # Not blocking: it may have become a pipe since it was listed.
        fd = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENOENT:
            wire.line({"x": text(name), "why": "unreadable: %s" % error.strerror})
        return False
    try:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode):
            return False
        size = seen.st_size
        head = {"f": text(name), "n": size, "m": stat.S_IMODE(seen.st_mode) & 0o777, "t": seen.st_mtime_ns}
        if have and have[0] == size and have[1] == seen.st_mtime_ns:
            wire.line(dict(head, same=True))
            return True
        digest = sum_of()
        if size <= WHOLE:
            data = exactly(fd, size)
            digest.update(data)
            wire.line(dict(head, s=digest.hexdigest()))
            wire.data(data)
            return True
        skip = have[0] if have and WHOLE <= have[0] < size else 0
        wire.line(dict(head, at=skip))
        done = 0
        while done < size:
            data = exactly(fd, min(PIECE, (skip if done < skip else size) - done))
            digest.update(data)
            if done >= skip:
                wire.data(data)
            done += len(data)
        wire.line({"s": digest.hexdigest()})
        return True
    finally:
        os.close(fd)


def exactly(fd: int, size: int) -> bytes:
    """So many bytes; zeros where the file has become shorter than it was."""
    data = b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            return data + bytes(size - len(data))
        data = data + more if data else more
    return data


def discard(folder: bytes, attempt: int, little: bool) -> None:
    """Take away an attempt that is home, but for its record: a folder that is there was claimed, and stays so.

    :param little: it is not worth the trouble yet; that it is home is noted.
    """
    here = place(folder, attempt)
    if not is_there(folder, here, attempt):
        return
    record = os.path.join(here, STATUS)
    has_record = os.path.exists(record)  # it may have been lost before it had one
    for entry in [] if little and has_record else list(os.scandir(here)):
        if entry.name != STATUS and (here != folder or entry.name != b"attempts"):
            remove(entry.path)
    if has_record:
        fd = os.open(record, os.O_WRONLY | os.O_APPEND)
        try:
            base.write_all(fd, COLLECTED)
        finally:
            os.close(fd)


def remove(path: bytes) -> None:
    """Take away a file, or a folder with all that is in it, even one that its owner may not write to."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
        return
    os.chmod(path, 0o700)
    for entry in list(os.scandir(path)):
        remove(entry.path)
    os.rmdir(path)


# ---- show and tidy -----------------------------------------------------------------------------------------


def show(request: "Mapping[str, Any]") -> "Any":
    """Read on in files of an attempt that may still run. :raises ValueError: the request cannot be meant."""
    import base64

    sweep_dir, ((_, attempt, name),) = base.read_request(request)
    folder = os.path.join(sweep_dir, b"tasks", base.raw(name))
    status = base.attempt_status(folder, attempt)  # before the files: what is over by then is whole
    here = place(folder, attempt)
    files = {}
    for file, offset in request["offsets"].items():
        try:
            with open(os.path.join(here, os.path.basename(base.raw(file))), "rb") as stream:
                stream.seek(int(offset))
                files[file] = base64.b64encode(stream.read(int(request["limit"]))).decode("ascii")
        except OSError:
            continue
    over = status.get("state") not in (None, "running")
    return {"over": over, "collected": bool(status.get("collected")), "files": files}


def tidy(request: "Mapping[str, Any]") -> "Any":
    """Take the sweep's folder away, unless something of it is not home, or may yet come to be here.

    :raises ValueError: the request cannot be meant. :raises OSError: it cannot be taken away.
    """
    sweep_dir, _ = base.read_request(dict(request, tasks=[]))
    if not os.path.isdir(sweep_dir):
        return {"kept": ""}
    affairs = base.Affairs(sweep_dir, False)
    for runner in affairs.known.values():
        if affairs.fate(runner) in ("alive", "elsewhere"):
            return {"kept": "tasks of it may still run"}
    for folder in claimed(affairs.tasks_dir):
        status = base.read_status(os.path.join(folder, STATUS))
        settled = status.get("collected") or status.get("state") == "withdrawn"
        if not settled and set(os.listdir(folder)) - {b"attempts"}:
            return {"kept": "not everything of %s is home" % base.shown(folder[len(affairs.tasks_dir) + 1 :])}
    # Whoever looks meanwhile finds the whole folder or none: half of one would lack claims.
    rubbish = b"%s.removed-%d" % (sweep_dir, os.getpid())
    os.rename(sweep_dir, rubbish)
    remove(rubbish)
    return {"kept": ""}


def claimed(tasks_dir: bytes) -> "Iterator[bytes]":
    """The folders of all attempts."""
    for name in folders_in(tasks_dir):
        yield os.path.join(tasks_dir, name)
        archive = os.path.join(tasks_dir, name, b"attempts")
        for number in folders_in(archive):
            yield os.path.join(archive, number)


def folders_in(folder: bytes) -> "List[bytes]":
    """The folders in a folder that may not be there."""
    try:
        return [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def converse() -> int:
    """Carry out one request to send; the exit code."""
    wire = Wire(0, 1)
    try:
        while not wire.words:
            wire.hear(PATIENCE_S)
        send(wire.words.popleft(), wire)
    except Gone:
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        words = base.say_error(error) if isinstance(error, OSError) else "%s: %s" % (type(error).__name__, error)
        try:
            wire.line({"error": words})
            wire.flush()
        except Gone:
            pass
        return 2
    return 0


def main(argv: "List[str]") -> int:
    """The command line: one word, the mode."""
    mode = argv[1] if len(argv) == 2 else ""
    if mode == "send":
        return converse()
    if mode in ("show", "tidy"):
        return base.answer(show if mode == "show" else tidy)
    sys.stderr.write("usage: python3 pack.py send|show|tidy\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
