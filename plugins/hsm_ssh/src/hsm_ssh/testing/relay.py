"""A stretch of bad network on this machine: passes connections on to a server, and breaks them as a test wants."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections import deque
from types import TracebackType
from typing import Deque, Optional, Set, Tuple, Type

__all__ = ["Relay"]

_PIECE = 65536
_SMALL_PIECE = 4096
_TURN_S = 0.05
_RESENT_S = 0.25
"""What a lost packet costs besides the way there and back: TCP's patience before it sends it again."""


class Relay:
    """Listens on a port of 127.0.0.1 and passes every connection on.

    :param delay_s: how long each piece is under way, in each direction.
    :param loss: the part of pieces that get lost on their way, and so arrive late, all after them waiting.
    """

    def __init__(self, port: int, delay_s: float = 0.0, loss: float = 0.0, seed: int = 0) -> None:
        self._to = port
        self.delay_s = delay_s
        self.loss = loss
        self.rate: Optional[float] = None
        """The most bytes a second that pass in one direction of a connection."""
        self._random = random.Random(seed)
        self._open = threading.Event()
        self._open.set()
        self._hangs_up = 0
        self._closed = False
        self._pairs: Set[Tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = int(self._listener.getsockname()[1])
        self.accepted = 0
        """How many connections were made, those that were hung up on among them."""
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], where: Optional[TracebackType]
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all connections, and listen no more."""
        self._closed = True
        self._open.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    # --- faults

    def cut(self, reset: bool = True) -> None:
        """End all connections now, with a reset or as if both sides had hung up."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for sock in pair:
                with contextlib.suppress(OSError):
                    if reset:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    # A socket in which a thread waits is not closed before that thread is woken.
                    sock.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
                sock.close()

    def half_close(self) -> None:
        """Tell every client that nothing more comes from the server, and go on taking what they send."""
        with self._lock:
            pairs = list(self._pairs)
        for client, _ in pairs:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)

    def swallow(self) -> None:
        """Let nothing through any more, and say nothing of it; what is under way waits."""
        self._open.clear()

    def pass_on(self) -> None:
        """Let everything through again, first what has waited."""
        self._open.set()

    def hang_up(self, times: int) -> None:
        """End the next connections as soon as they are made, as a server with too many newcomers does."""
        self._hangs_up = times

    # --- how

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self._hangs_up > 0:
                self._hangs_up -= 1
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._to), 5.0)
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                sock.settimeout(None)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.add((client, server))
            there = _Stretch(self, client, server)
            there.start(_Stretch(self, server, client))

    def ended(self, one: socket.socket, other: socket.socket) -> None:
        """Both directions of a connection have ended: forget it."""
        with self._lock:
            self._pairs -= {(one, other), (other, one)}
        one.close()
        other.close()

    def transit_s(self) -> float:
        """How long the next piece is under way."""
        lost = self.loss > 0 and self._random.random() < self.loss
        return self.delay_s + (_RESENT_S + 2 * self.delay_s if lost else 0.0)

    def wait_until_open(self) -> None:
        """Return when things are let through."""
        self._open.wait()


class _Stretch:
    """One direction of one connection."""

    def __init__(self, relay: Relay, source: socket.socket, sink: socket.socket) -> None:
        self._relay = relay
        self._source = source
        self._sink = sink
        self._way: Deque[Tuple[float, bytes]] = deque()
        self._news = threading.Semaphore(0)

    def start(self, back: _Stretch) -> None:
        """Begin to pass on, in both directions, until both have ended."""
        work = (self._take, self._give, back._take, back._give)
        threads = [threading.Thread(target=part, name="relay-stretch", daemon=True) for part in work]

        def see_off() -> None:
            for thread in threads:
                thread.join()
            self._relay.ended(self._source, self._sink)

        for thread in [*threads, threading.Thread(target=see_off, name="relay-end", daemon=True)]:
            thread.start()

    def _take(self) -> None:
        due = 0.0
        data = b"-"
        while data:
            try:
                data = self._source.recv(_PIECE if self._relay.rate is None else _SMALL_PIECE)
            except OSError:
                data = b""
            due = max(due, time.monotonic() + self._relay.transit_s())
            if self._relay.rate is not None:
                due += len(data) / self._relay.rate
            self._way.append((due, data))
            self._news.release()

    def _give(self) -> None:
        data = b"-"
        while data:
            self._news.acquire()
            due, data = self._way.popleft()
            time.sleep(max(0.0, due - time.monotonic()))
            self._relay.wait_until_open()
            try:
                if data:
                    self._sink.sendall(data)
                else:
                    self._sink.shutdown(socket.SHUT_WR)
            except OSError:
                with contextlib.suppress(OSError):
                    self._source.shutdown(socket.SHUT_RD)
                return
