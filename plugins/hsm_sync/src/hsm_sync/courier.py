"""Questions to the other side: the code in `there` is sent along, runs, answers in one line, and is gone.

The other side is not trusted: an answer is limited in size, and is taken for one only when every part of it has the
form that it must have. Anything else is an OSError.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import zlib
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from hsm_core.contract import Channel, Host
from hsm_core.errors import NoSourceError

from .there.main import MARK
from .there.tree import MOST_EXTRA, MOST_NAMES

__all__ = ["Answer", "Courier", "RefusedThereError"]

_MODULES = ("tree", "copies", "receive", "main")
_BOOT = (
    "import sys,json,types\n"
    "p='hsm_sync.there'\n"
    "for n in ('hsm_sync',p): sys.modules[n]=types.ModuleType(n)\n"
    "for n,t in json.loads(sys.stdin.buffer.readline().decode('ascii')):\n"
    " m=types.ModuleType(p+'.'+n); m.__package__=p; sys.modules[m.__name__]=m; exec(compile(t,n,'exec'),m.__dict__)\n"
    "sys.modules[p+'.main'].main()\n"
)
_MOST_BYTES = 32 << 20
"""The longest answer that is read."""
_LONGEST_PATH = 8192
_TIMEOUT_S = 540.0
"""How long a whole project may be read there; less than the core waits."""
_QUICK_S = 60.0
_STALL_S = 60.0
_FAREWELL_S = 5.0
_CHUNK = 1 << 16

Answer = Mapping[str, Any]


class RefusedThereError(NoSourceError):
    """The other side did nothing, and says why.

    :param edited: files that were changed there.
    """

    def __init__(self, message: str, edited: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.edited = tuple(edited)


class Courier:
    """Asks one host about one project.

    :param python: the interpreter there.
    :param project: NAME-ID.
    :param place: the folder there that is configured, None for snapshots.
    """

    def __init__(self, host: Host, python: str, project: str, place: Optional[str]) -> None:
        self._host = host
        self._argv = [python, "-I", "-S", "-c", _BOOT]
        self._about = {"project": project, "place": place}

    def ask(self, op: str, **request: object) -> Answer:
        """Ask, and check the form of the answer.

        :raises RefusedThereError: it says why it cannot.
        :raises OSError: it cannot be reached, or what it says makes no sense.
        """
        question = _question({**self._about, "op": op, **request})
        timeout_s = _QUICK_S if op == "locate" else _TIMEOUT_S
        done = self._host.run(self._argv, input=question, timeout_s=timeout_s)
        return self._checked(done.stdout, done.stderr, done.returncode)

    def send(self, pieces: Iterable[bytes], **request: object) -> Answer:
        """Ask to take in what is in `pieces`, which are sent as one compressed stream.

        :raises RefusedThereError, OSError: as `ask`; nothing was changed there then, or the answer was lost.
        """
        channel = self._host.start(self._argv)
        watch = _Watch(channel)
        try:
            try:
                for data in _stream(_question({**self._about, "op": "receive", **request}), pieces):
                    _write(channel, data, watch)
                channel.stdin.close()
            except OSError:
                pass  # it has had enough; what it says tells why
            watch.patience_s = _TIMEOUT_S  # it has everything now, and puts it in its place
            output = _read(channel, watch)
            if watch.expired:
                raise TimeoutError("nothing moves any more")
            return self._checked(output, b"", channel.wait(_FAREWELL_S))
        finally:
            watch.stop()
            with contextlib.suppress(OSError):
                channel.stdin.close()  # it then removes what it has so far
            if channel.wait(_FAREWELL_S) is None:
                channel.kill()
                channel.wait(_FAREWELL_S)
            channel.stdout.close()

    def _checked(self, output: bytes, errors: bytes, code: Optional[int]) -> Answer:
        answer = _parsed(output, errors, code)
        if "error" in answer:
            raise RefusedThereError(f"{self._host.name}: {_shown(answer['error'])}", answer.get("edited", ()))
        return answer


class _Watch:
    """Ends a channel on which nothing moves for too long."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stopped = threading.Event()
        self.expired = False
        self.patience_s = _STALL_S
        self.moved()
        self._thread = threading.Thread(target=self._wait, name="sync-watch", daemon=True)
        self._thread.start()

    def moved(self) -> None:
        """Something did."""
        self._last = time.monotonic()

    def stop(self) -> None:
        """It is over."""
        self._stopped.set()
        self._thread.join()

    def _wait(self) -> None:
        while not self._stopped.wait(max(0.0, self._last + self.patience_s - time.monotonic())):
            if time.monotonic() >= self._last + self.patience_s:
                self.expired = True
                self._channel.kill()
                return


def _question(request: Mapping[str, object]) -> bytes:
    folder = Path(__file__).parent / "there"
    code = [[name, (folder / f"{name}.py").read_text(encoding="utf-8")] for name in _MODULES]
    return b"%s\n%s\n" % (json.dumps(code).encode("ascii"), json.dumps(request).encode("ascii"))


def _stream(question: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield question
    pack = zlib.compressobj(1)
    for piece in pieces:
        data = pack.compress(piece)
        if data:
            yield data
    yield pack.compress(b"END") + pack.flush()


def _write(channel: Channel, data: bytes, watch: _Watch) -> None:
    view = memoryview(data)
    while view:
        written = channel.stdin.write(view[:_CHUNK])
        view = view[written:]
        watch.moved()
    channel.stdin.flush()


def _read(channel: Channel, watch: _Watch) -> bytes:
    """Everything it says, if that is not too much."""
    output = b""
    while len(output) <= _MOST_BYTES:
        try:
            data = channel.stdout.read(_CHUNK)
        except (OSError, ValueError):
            break
        if not data:
            break
        output += data
        watch.moved()
    return output


def _parsed(output: bytes, errors: bytes, code: Optional[int]) -> Answer:
    """The answer in what it said. :raises OSError: there is none, or not one that can be meant."""
    if len(output) > _MOST_BYTES:
        raise OSError("it answers without end")
    mark = MARK.encode("ascii")
    lines = [line[len(mark) :] for line in output.split(b"\n") if line.startswith(mark)]
    if not lines:
        words = (errors or output).decode("utf-8", "replace").strip().splitlines() or [f"exit code {code}"]
        raise OSError(f"it gives no answer: {_shown(words[-1])}")
    try:
        answer = json.loads(lines[-1])
    except (ValueError, RecursionError) as error:
        raise OSError("its answer is damaged") from error
    if not isinstance(answer, dict):
        raise OSError("its answer is damaged")
    _check_form(answer)
    return answer


_LISTS = {"missing": MOST_NAMES, "modified": MOST_NAMES, "stale": MOST_NAMES, "edited": MOST_NAMES, "extra": MOST_EXTRA}
_WORDS = {"exists": bool, "unknown": bool, "error": str, "counts": dict}


def _check_form(answer: Dict[str, Any]) -> None:
    """:raises OSError: a part of the answer is not what it must be."""
    for key, kind in _WORDS.items():
        if key in answer and not isinstance(answer[key], kind):
            raise OSError(f"its answer makes no sense: {key}")
    for key in (*_LISTS, "lacks", "removed"):
        names = answer.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) and _is_path(name) for name in names):
            raise OSError(f"its answer makes no sense: {key}")
        if len(names) > _LISTS.get(key, 10_000_000):
            raise OSError(f"its answer makes no sense: too many {key}")
    for count in answer.get("counts", {}).values():
        if type(count) is not int or count < 0:
            raise OSError("its answer makes no sense: counts")
    for key in ("path", "backup"):
        path = answer.get(key)
        if path is not None and not (isinstance(path, str) and path.startswith("/") and _is_path(path[1:])):
            raise OSError(f"its answer makes no sense: {key}")


def _is_path(text: str) -> bool:
    """Whether it can name something below a folder, and nothing else."""
    steps: List[str] = text.rstrip("/").split("/")
    return len(text) <= _LONGEST_PATH and "\0" not in text and all(step not in ("", ".", "..") for step in steps)


def _shown(text: str) -> str:
    """For a person's terminal: one line, no control characters, not too long."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text)
    return line if len(line) <= 300 else line[:297] + "..."
