"""The connections of this process: one for each machine, whoever uses it; dialled when needed, again when broken.

Sessions on a connection are counted, so that a server is never asked for more than it allows; who finds no room waits.
Only when all room is taken by programs that go on for long is a further connection made.
"""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from .connection import Connection, NoRoomError
from .dial import Stream, dial_directly, dial_through_command
from .errors import RefusedError, SshError
from .handshake import Manners
from .quiet import paramiko
from .target import Target, resolve

__all__ = ["Machine", "Session", "Way", "give_back", "machine"]

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_REFUSED_PAUSE_S = 15.0
"""After a refusal: servers lock out who knocks too often with the wrong key."""
_REFUSALS = 100
_CONVINCING = 5
"""So many refusals in a row are believed to mean that there is no room."""
_REFUSED_TURN_S = 0.02
_HOPS = 8


class Session:
    """A command that runs on a connection, and its place there."""

    def __init__(self, channel: paramiko.Channel, connection: Connection, leave: Callable[[], None]) -> None:
        self.channel = channel
        self.connection = connection
        self._leave: Optional[Callable[[], None]] = leave

    def close(self) -> None:
        """Give up the session; what it runs goes on."""
        leave, self._leave = self._leave, None
        if leave is not None:
            self.channel.close()
            leave()


class Way(NamedTuple):
    """How a stream to a machine is made, before a deadline, and what is to be called when it is not needed any more."""

    dial: Callable[[float], Stream]
    leave: Callable[[], None]


class Machine:
    """A machine that all of this process share.

    :param address: as the user wrote it.
    :param jumps: the way there, when it is a jump itself.
    """

    def __init__(
        self, address: str, config_file: Optional[str], manners: Manners, jumps: Optional[Tuple[str, ...]] = None
    ) -> None:
        self.address = address
        self.users = 0
        self._config_file = config_file
        self._manners = manners
        self._jumps = jumps
        self._changed = threading.Condition()
        self._dialling = threading.Lock()
        self._connections: List[Connection] = []
        self._failures = 0
        self._not_before = 0.0
        self._error: Optional[SshError] = None

    def open_session(self, line: str, deadline: float, lasting: bool = False) -> Session:
        """Run a command line, on a connection that is there or on a new one.

        :param lasting: it is a program that goes on, not a command that others can wait for.
        :raises SshError: the machine cannot be reached.
        :raises TimeoutError: not before the deadline.
        """
        refused = 0
        while True:
            connection = self._reserve(deadline, lasting)
            try:
                channel = connection.open_session(line, deadline)
            except BaseException as error:
                self._leave(connection, lasting)
                if not isinstance(error, NoRoomError):
                    raise
                refused += 1
                if refused >= _REFUSALS:
                    raise
                if refused % _CONVINCING == 0:
                    with self._changed:
                        connection.limit = max(1, connection.sessions)
                time.sleep(_REFUSED_TURN_S)  # a server needs a moment to see that a session is over
                continue
            return Session(channel, connection, partial(self._leave, connection, lasting))

    def tunnel(self, target: Target, deadline: float) -> Stream:
        """A stream through this machine to a further one."""
        return self._connected(deadline).open_tunnel(target, deadline)

    def close(self) -> None:
        """Hang up."""
        with self._changed:
            connections, self._connections = self._connections, []
            self._changed.notify_all()
        for connection in connections:
            connection.close()

    # --- room

    def _reserve(self, deadline: float, lasting: bool) -> Connection:
        """A connection with room for one more, which is then taken."""
        while True:
            with self._changed:
                self._forget_broken()
                for connection in self._connections:
                    if connection.sessions < connection.limit:
                        connection.sessions += 1
                        connection.lasting += lasting
                        return connection
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self.address}: no session was free in time")
                if any(c.sessions > c.lasting for c in self._connections):
                    self._changed.wait(min(left, 1.0))  # looks again: a connection may break without a word
                    continue
                wanted = len(self._connections) + 1
            self._connected(deadline, wanted)

    def _leave(self, connection: Connection, lasting: bool) -> None:
        with self._changed:
            connection.sessions -= 1
            connection.lasting -= lasting
            self._changed.notify_all()

    def _forget_broken(self) -> None:
        for connection in [c for c in self._connections if not c.alive]:
            self._connections.remove(connection)
            connection.close()

    # --- dialling

    def _connected(self, deadline: float, wanted: int = 1) -> Connection:
        """Any of at least `wanted` connections that live; one thread dials, others wait for it."""
        if not self._dialling.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise TimeoutError(f"{self.address}: no connection in time")
        try:
            with self._changed:
                self._forget_broken()
                if len(self._connections) >= wanted:
                    return self._connections[-1]
            self._wait_for_turn(deadline)
            try:
                connection = self._dial(deadline)
            except SshError as error:
                self._failed(error)
                raise
            with self._changed:
                self._failures = 0
                self._error = None
                self._connections.append(connection)
                self._changed.notify_all()
            return connection
        finally:
            self._dialling.release()

    def _wait_for_turn(self, deadline: float) -> None:
        """Leave a machine in peace that could not be reached a moment ago. :raises SshError: for longer than we may."""
        now = time.monotonic()
        if self._error is not None and self._not_before > deadline:
            raise type(self._error)(
                f"{self._error.message} (next try in {self._not_before - now:.0f} s)", self._error.hint
            )
        time.sleep(max(0.0, self._not_before - now))

    def _failed(self, error: SshError) -> None:
        self._failures += 1
        self._error = error
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (self._failures - 1))
        if isinstance(error, RefusedError):
            pause_s = max(pause_s, _REFUSED_PAUSE_S)
        self._not_before = time.monotonic() + pause_s * random.uniform(0.75, 1.25)

    def resolve(self) -> Target:
        """How it is reached, as things are configured now."""
        return resolve(self.address, self._config_file, self._jumps)

    def way(self, target: Target) -> Way:
        """How a stream to it is made. :raises RefusedError: the way has no end."""
        if target.proxy_command is not None:
            return Way(lambda until: dial_through_command(target), lambda: None)
        if not target.jumps:
            return Way(lambda until: dial_directly(target, until, self._manners.keepalive_s), lambda: None)
        *before, last = target.jumps
        if len(before) >= _HOPS or (self._jumps is None and last == self.address):
            raise RefusedError(f"{self.address}: the way there has no end: {','.join(target.jumps)}", "see ProxyJump")
        # As ssh does it: several jumps are a chain; the first of them may have a configured way of its own.
        hop = machine(last, self._config_file, self._manners, tuple(before) or None)
        return Way(lambda until: hop.tunnel(target, until), lambda: give_back(hop))

    def _dial(self, deadline: float) -> Connection:
        target = self.resolve()
        limit_s = target.connect_timeout_s or self._manners.connect_timeout_s
        way = self.way(target)
        try:
            connection = Connection(target, self._manners, way.dial, min(deadline, time.monotonic() + limit_s))
        except BaseException:
            way.leave()
            raise
        connection.when_closed(way.leave)
        return connection


class _Key(NamedTuple):
    address: str
    config_file: Optional[str]
    manners: Manners
    jumps: Optional[Tuple[str, ...]]


_machines: Dict[_Key, Machine] = {}
_machines_lock = threading.Lock()


def machine(
    address: str, config_file: Optional[str], manners: Manners, jumps: Optional[Tuple[str, ...]] = None
) -> Machine:
    """The machine of that address, which all in this process share; to be given back."""
    key = _Key(address, config_file, manners, jumps)
    with _machines_lock:
        found = _machines.get(key)
        if found is None:
            found = _machines[key] = Machine(address, config_file, manners, jumps)
        found.users += 1
        return found


def give_back(used: Machine) -> None:
    """Say that it is not needed any more; the last one hangs up."""
    with _machines_lock:
        used.users -= 1
        if used.users > 0:
            return
        for key in [key for key, value in _machines.items() if value is used]:
            del _machines[key]
    used.close()
