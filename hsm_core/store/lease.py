"""The lease: which controller holds a sweep, so that there is never more than one.

A lease is a file `.hsm/leases/0003.json`, one for each controller that ever held the sweep, numbered by its epoch and
never removed. Whoever makes the file of the next number holds the sweep: exclusive creation is the one thing that
every file system, NFS included, decides for exactly one of many processes. Because no name is ever used twice or
taken away, a slow process cannot break a lease that it mistook for the dead one before it. Whether a holder lives
is known on its own host only; age proves nothing, and so evicts nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from dataclasses import dataclass
from typing import Callable, Optional

from ..errors import HsmError, NotFoundError, StoreError, SweepBusyError
from ..runner.runner import host_key, host_relation, is_alive, process_start
from .files import create_exclusive, unique, write_atomic
from .journal import newest_epoch
from .layout import SweepLayout

__all__ = ["Holder", "Lease", "Superseded", "holder"]

_NAME = re.compile(r"([0-9]{4,})\.json")


class Superseded(SweepBusyError):
    """The sweep was taken over by a newer controller: stop, write nothing more."""


@dataclass(frozen=True)
class Holder:
    """A controller that holds, or held, a sweep.

    :param host: name of its host, for people.
    :param host_key: host, boot and process namespace, within which `pid` and `start` name one process for good.
    :param since: when it took the sweep, Unix seconds by its clock.
    :param heartbeat: when it last showed life, Unix seconds by the file system's clock.
    :param released_at: when it let the sweep go by itself, or None.
    """

    epoch: int
    id: str
    host: str
    host_key: str
    pid: int
    start: Optional[str]
    since: float
    heartbeat: float
    released_at: Optional[float] = None

    @property
    def is_here(self) -> bool:
        """Whether it is on this host, so that its life or death is known for certain."""
        return host_relation(self.host_key) == "here"

    @property
    def is_over(self) -> bool:
        """Whether it certainly holds the sweep no more: let it go, died here, or its host was started anew."""
        if self.released_at is not None or host_relation(self.host_key) == "gone":
            return True
        return self.is_here and not is_alive(self.pid, self.start)


def holder(layout: SweepLayout) -> Optional[Holder]:
    """Who holds the sweep, as far as this host can tell; None when it is certain that nobody does."""
    epoch = _newest(layout)
    found = _read(layout, epoch) if epoch else None
    return None if found is None or found.is_over else found


class Lease:
    """This process's hold of a sweep. Use as a context manager, or call `release`."""

    def __init__(self, layout: SweepLayout, mine: Holder) -> None:
        self._layout = layout
        self._mine = mine
        self._path = _path(layout, mine.epoch)
        self._next = _path(layout, mine.epoch + 1)

    @property
    def epoch(self) -> int:
        """The number of this controller, and of its journal segment."""
        return self._mine.epoch

    @classmethod
    def acquire(cls, layout: SweepLayout, takeover: bool = False, now: Callable[[], float] = time.time) -> Lease:
        """Take the sweep, at once if its last controller let it go or certainly died.

        :param takeover: a person vouches that a holder on another host, which cannot be asked, is dead.
        :raises SweepBusyError: another controller holds the sweep, or may; the message says who.
        :raises StoreError: the lease cannot be written.
        """
        while True:
            last = _newest(layout)
            if last:
                _refuse_if_held(layout, last, takeover, now())
            epoch = max(last, newest_epoch(layout.journal)) + 1
            mine = Holder(
                epoch=epoch,
                id=unique(),
                host=socket.gethostname(),
                host_key=host_key(),
                pid=os.getpid(),
                start=process_start(os.getpid()),
                since=now(),
                heartbeat=now(),
            )
            path = _path(layout, epoch)
            try:
                create_exclusive(path, _encode(mine))
            except FileExistsError:
                continue  # another was quicker: see whether it lives
            except OSError as error:
                raise StoreError(
                    f"cannot write the lease {path}: {error.strerror}",
                    hint=f"Make room or give write access there (df -h {layout.private}).",
                ) from error
            return cls(layout, mine)

    def check(self) -> None:
        """Cheap enough for every turn of a loop; on NFS it may learn of a takeover a minute late.

        :raises Superseded: a newer controller has the sweep.
        """
        try:
            os.stat(self._next)
        except OSError:
            return  # not there; or the file system is ill, and says nothing about the lease
        raise self._superseded()

    def heartbeat(self) -> None:
        """Show life, every few seconds.

        :raises Superseded: a newer controller has the sweep.
        :raises NotFoundError: its folder is gone.
        """
        try:
            os.utime(self._path)
        except FileNotFoundError:
            raise self._superseded() from None
        except OSError:
            pass  # for people only; never a reason to stop
        if _newest(self._layout) > self.epoch:
            raise self._superseded()

    def release(self, now: Callable[[], float] = time.time) -> None:
        """Let the sweep go; harmless twice. A disk that takes no note of it does no harm: our end says the same."""
        if self._mine.released_at is None:
            self._mine = Holder(**{**vars(self._mine), "released_at": now()})
            with contextlib.suppress(OSError):
                os.stat(self._path)
                write_atomic(self._path, _encode(self._mine))

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _superseded(self) -> HsmError:
        sweep_id = self._layout.sweep_id
        newest = _newest(self._layout)
        new = _read(self._layout, newest) if newest > self.epoch else None
        if new is None:
            return NotFoundError(f"the lease of {sweep_id} is gone: {self._path}", "Was the sweep's folder removed?")
        return Superseded(
            f"{sweep_id} was taken over by process {new.pid} on {new.host}; this controller stops",
            hint=f"Watch it with: hsm monitor watch {sweep_id}",
        )


def _refuse_if_held(layout: SweepLayout, epoch: int, takeover: bool, now: float) -> None:
    last = _read(layout, epoch)
    sweep_id = layout.sweep_id
    if last is None:
        if not takeover:
            raise SweepBusyError(
                f"the lease of {sweep_id} cannot be read: {_path(layout, epoch)}",
                hint="If no hsm runs this sweep on any host, add --takeover.",
            )
    elif last.is_over:
        pass
    elif last.is_here:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(last.since))
        raise SweepBusyError(
            f"{sweep_id} is being run by process {last.pid} on this host ({last.host}), since {since}",
            hint=f"Watch it: hsm monitor watch {sweep_id}. End it: hsm cancel {sweep_id}, or kill {last.pid}.",
        )
    elif not takeover:
        raise SweepBusyError(
            f"{sweep_id} is held by process {last.pid} on {last.host}, last heard of {_age(now - last.heartbeat)} ago",
            hint=f"End it there (kill {last.pid}), or, if that host is dead for certain, add --takeover.",
        )


def _age(seconds: float) -> str:
    """A span of time for people; clocks of two hosts may disagree, so never a negative one."""
    if seconds < 120:
        return f"{max(0, seconds):.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def _path(layout: SweepLayout, epoch: int) -> str:
    return os.path.join(layout.leases, f"{epoch:04d}.json")


def _newest(layout: SweepLayout) -> int:
    """The epoch of the newest lease, or 0."""
    try:
        names = os.listdir(layout.leases)
    except OSError:
        return 0
    return max((int(match.group(1)) for match in map(_NAME.fullmatch, names) if match), default=0)


def _encode(lease: Holder) -> bytes:
    return (json.dumps(vars(lease)) + "\n").encode("ascii")


def _read(layout: SweepLayout, epoch: int) -> Optional[Holder]:
    """A lease, or None when it cannot be read; its heartbeat is the time of its file."""
    path = _path(layout, epoch)
    try:
        with open(path, "rb") as file:
            fields = json.loads(file.read())
            names = Holder.__dataclass_fields__
            known = {name: value for name, value in fields.items() if name in names}
            return Holder(**{**known, "heartbeat": os.fstat(file.fileno()).st_mtime})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
