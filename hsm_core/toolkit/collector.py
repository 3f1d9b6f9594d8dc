"""Brings the files of ended tasks home from a host: as one stream, in portions, and none twice.

An attempt arrives in a folder of its own, `.hsm/incoming/SOURCE/INDEX.ATTEMPT`, is moved to its place when it is whole
and the disk has it, its record last, and only then the host hears that it may let go of its copy. Whatever cuts this
off, the next stream goes on there.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

from ..config.units import parse_memory
from ..contract import Attempt, Channel, SourceSpec
from ..runner import runner as base
from .arrivals import Arrivals, Arrived, BrokenStream, Word
from .durable import sync_entries, sync_trees
from .inflow import Inflow
from .scratch import Scratch

__all__ = ["Collector", "most_of"]

_PORTION_S = 0.5
"""How long one call goes on at most: the source has other things to do."""
_LULL_S = 0.05
"""What has arrived waits so long for more, to be put in its place together."""
_SILENCE_S = 60.0
"""So long a host may send nothing."""
_WHOLE = ".whole"
_MAX_TASK_SIZE = "50G"


def most_of(spec: SourceSpec) -> int:
    """The most bytes that a task of a source may bring home, by its option `max_task_size`."""
    return parse_memory(str(spec.options.get("max_task_size", _MAX_TASK_SIZE))) << 20


class Collector:
    """The way home for the files of one source's tasks.

    :param cap: most bytes of one attempt; what goes beyond stays where it is.
    """

    def __init__(self, scratch: Scratch, cap: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._scratch = scratch
        self._cap = cap
        self._clock = clock
        self._stream: Optional[_Stream] = None
        self._home: Set[Attempt] = set()
        self._failed: Optional[OSError] = None

    def collect(self, attempts: Mapping[Attempt, Any], into: str) -> List[Attempt]:
        """A portion of the work; those of the attempts that are home by now.

        :raises OSError: nothing came of it; the next call tries again.
        """
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        if any(attempt not in self._home for attempt in attempts):
            try:
                self._go_on([attempt for attempt in attempts if attempt not in self._home], into)
            except OSError as error:
                if self._stream is not None:
                    with contextlib.suppress(OSError):  # what broke may be the link, and what arrived before is whole
                        self._home.update(self._stream.settle())
                self.close()
                if not self._home.intersection(attempts):
                    raise
                self._failed = error
        home = [attempt for attempt in attempts if attempt in self._home]
        self._home.difference_update(home)
        return home

    def close(self) -> None:
        """Let go of a stream that is under way; another goes on with what it has brought."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()

    def _go_on(self, wanted: List[Attempt], into: str) -> None:
        if self._stream is None:
            self._stream = _Stream(self._scratch, wanted, into, self._cap, self._clock)
        stream = self._stream
        deadline = self._clock() + _PORTION_S
        while not stream.done and self._clock() < deadline:
            self._home.update(stream.go_on(max(0.0, deadline - self._clock())))
        self._home.update(stream.settle())
        if stream.done:
            self.close()
            if stream.damaged:
                raise OSError(f"{stream.damaged} of the tasks' files did not arrive as they were sent; trying again")


class _Stream:
    """One stream, from the request to its end."""

    def __init__(
        self, scratch: Scratch, wanted: List[Attempt], into: str, cap: int, clock: Callable[[], float]
    ) -> None:
        self._scratch = scratch
        self._into = into
        self._clock = clock
        self._incoming = os.path.join(into, ".hsm", "incoming", scratch.key)
        self.done = False
        self.damaged = 0
        self._arrived: List[Arrived] = []
        os.makedirs(self._incoming, exist_ok=True)
        self._finish_moves()
        nonce = secrets.token_hex(8)
        home = [attempt for attempt in wanted if self._is_home(attempt)]
        coming = [attempt for attempt in wanted if attempt not in set(home)]
        self._sync_entries(home)  # a process that was killed may not have waited for the disk
        self._arrivals = Arrivals(self._incoming, nonce, wanted, cap)
        self._heard_at = clock()
        self._channel: Channel = scratch.start("pack.py", "send", log="pack.log")
        self._inflow = Inflow(self._channel, f"collect-{scratch.spec.id}")
        try:
            self._say(
                {
                    "sweep_dir": scratch.sweep_dir,
                    "nonce": nonce,
                    "tasks": scratch.names(coming),
                    "home": scratch.names([] if scratch.keeps else home),
                    "have": self._have(coming),
                    "known": self._known(coming),
                    "cap": cap,
                }
            )
        except BaseException:
            self.close()
            raise
        self._ready = list(home) if scratch.keeps else []

    def go_on(self, timeout_s: float) -> List[Attempt]:
        """Take in what comes; the attempts that are home, and of which nothing is left there that should not be.

        :raises OSError: the stream is over before its end.
        """
        home, self._ready = self._ready, []
        data = self._inflow.take(min(timeout_s, _LULL_S) if self._arrived else timeout_s)
        if data is None and self._arrived:
            return home + self.settle()
        if data is None:
            if self._clock() - self._heard_at > _SILENCE_S:
                raise TimeoutError(f"{self._scratch.host.name} has sent nothing for {_SILENCE_S:.0f} s")
            return home
        if not data:
            raise BrokenStream(f"{self._scratch.host.name} stopped sending: {self._why()}")
        self._heard_at = self._clock()
        words: Dict[str, List[Attempt]] = {}
        for news in self._arrivals.feed(data):
            if isinstance(news, Arrived):
                self._arrived.append(news)
            elif isinstance(news, Word):
                self._heed(news, words, home)
        if words:
            self._say(words)
        return home

    def settle(self) -> List[Attempt]:
        """Put what has arrived in its place for good, and tell the host; the attempts that are home by that alone.

        :raises OSError: it cannot be put there, or the host cannot be told; what was not, comes again.
        """
        arrived, self._arrived = self._arrived, []
        words: Dict[str, List[Attempt]] = {}
        sync_trees([one.path for one in arrived])
        for one in arrived:
            words.setdefault(self._receive(one), []).append(one.attempt)
        self._sync_entries([one.attempt for one in arrived])
        if words:
            self._say(words)
        return words.get("keep", [])

    def close(self) -> None:
        """Let go of it."""
        self._arrivals.close()
        with contextlib.suppress(OSError, ValueError):
            self._channel.stdin.close()
        self._inflow.close()

    def _heed(self, news: Word, words: Dict[str, List[Attempt]], home: List[Attempt]) -> None:
        if news.word == "gone":
            home.append(news.attempt)
        elif news.word == "done":
            self.done = True
        elif news.word == "damaged":
            self.damaged += 1
            words.setdefault("keep", []).append(news.attempt)
        elif news.word == "absent":
            name = self._scratch.opened.task_name(news.attempt[0])
            self._scratch.opened.say(f"the files of {name} are not on {self._scratch.host.name} any more")
            home.append(news.attempt)

    def _why(self) -> str:
        code = self._inflow.close()
        ended = "the connection was lost" if code is None else f"pack.py ended with {code}"
        return self._arrivals.said or ended

    def _say(self, words: Mapping[str, Any]) -> None:
        """Write a line. :raises OSError: it cannot be written."""
        data = memoryview(json.dumps(words, separators=(",", ":")).encode("ascii") + b"\n")
        while data:
            data = data[self._channel.stdin.write(data) :]
        self._channel.stdin.flush()

    # --- here

    def _receive(self, arrived: Arrived) -> str:
        """Move an attempt to its place; what its host shall do with its copy."""
        name = self._scratch.opened.task_name(arrived.attempt[0])
        os.rename(arrived.path, arrived.path + _WHOLE)
        move_home(arrived.path + _WHOLE, self._folder(arrived.attempt), arrived.attempt[1], arrived.folders)
        for note in arrived.notes:
            self._scratch.opened.say(f"{name}: left on {self._scratch.host.name}: {note}")
        if not arrived.whole:
            self._scratch.opened.say(
                f"{name}: the rest is home; it all stays in {self._scratch.sweep_dir}/tasks/{name}"
            )
        return "keep" if self._scratch.keeps or not arrived.whole else "home"

    def _sync_entries(self, attempts: List[Attempt]) -> None:
        sync_entries(os.path.join(self._into, "tasks"), {self._folder(attempt) for attempt in attempts})

    def _folder(self, attempt: Attempt) -> str:
        return os.path.join(self._into, "tasks", self._scratch.opened.task_name(attempt[0]))

    def _is_home(self, attempt: Attempt) -> bool:
        folder = self._folder(attempt)
        if not os.path.lexists(folder):
            return False
        state = base.attempt_status(base.raw(folder), attempt[1]).get("state")
        return state not in (None, "running", "withdrawn")

    def _finish_moves(self) -> None:
        """What a process was killed over had arrived whole."""
        for name in os.listdir(self._incoming):
            if name.endswith(_WHOLE):
                index, attempt = map(int, name[: -len(_WHOLE)].split("."))
                move_home(os.path.join(self._incoming, name), self._folder((index, attempt)), attempt, {})

    def _have(self, attempts: List[Attempt]) -> Dict[str, Dict[str, Tuple[int, int]]]:
        """Sizes and times of what earlier streams have left."""
        have: Dict[str, Dict[str, Tuple[int, int]]] = {}
        wanted = {index for index, _ in attempts}
        for key in os.listdir(self._incoming):
            if int(key.partition(".")[0]) in wanted:
                files = have[key] = {}
                top = os.path.join(self._incoming, key)
                for folder, _, names in os.walk(top):
                    for name in names:
                        path = os.path.join(folder, name)
                        seen = os.lstat(path)
                        files[os.path.relpath(path, top)] = (seen.st_size, seen.st_mtime_ns)
        return have

    def _known(self, attempts: List[Attempt]) -> Dict[int, List[int]]:
        """Earlier attempts of these tasks whose files are here already."""
        known: Dict[int, List[int]] = {}
        for index, attempt in attempts:
            folder = base.raw(self._folder((index, attempt)))
            here = [number for number in range(1, attempt) if base.attempt_status(folder, number)]
            if here:
                known[index] = here
        return known


def move_home(staged: str, folder: str, attempt: int, folders: Mapping[str, Tuple[int, int]]) -> None:
    """Move what arrived into a task's folder, its record last; may be repeated after it was cut off.

    :param folders: modes and times (ns) of the folders in it.
    :raises OSError: it cannot be moved.
    """
    target = os.path.join(folder, "attempts", str(attempt))
    if not os.path.isdir(target):
        target = folder
        if attempt == 1 and not os.path.lexists(folder):
            os.makedirs(os.path.dirname(folder), exist_ok=True)
            os.rename(staged, folder)
        else:
            os.makedirs(os.path.dirname(folder), exist_ok=True)
            base.claim(base.raw(folder), attempt)
    if os.path.isdir(staged):
        for name in sorted(os.listdir(staged), key=lambda name: name == "status.yaml"):
            os.rename(os.path.join(staged, name), os.path.join(target, name))
        os.rmdir(staged)
    for name in sorted(folders, key=lambda name: -name.count("/")):
        mode, mtime = folders[name]
        path = os.path.join(target, name)
        os.utime(path, ns=(mtime, mtime))
        os.chmod(path, mode)
