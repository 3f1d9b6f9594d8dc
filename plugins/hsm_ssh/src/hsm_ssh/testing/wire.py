"""A wire to a machine in a network of its own, which really drops what it is told to drop. Made by root, of Linux.

The addresses are from 10.213.0.0/16. So that nothing ever leaves this machine on its way to one of them, a route says
that they cannot be reached, and the wire's own route weighs more while it is there.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from typing import Optional

__all__ = ["Wire", "missing_wire"]

_TRIES = 50


def missing_wire() -> str:
    """Why no wire can be made here, for a person; empty when one can."""
    if os.geteuid() != 0:
        return "only root can make a network"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", "ip link add near type veth peer name far"], capture_output=True, check=False
    )
    return "" if done.returncode == 0 else "networks cannot be made here (ip, veth)"


class Wire:
    """Two ends: one here, one in the network namespace of a process."""

    def __init__(self) -> None:
        for _ in range(_TRIES):
            block = random.randrange(1 << 14)
            self._net = f"10.213.{block >> 6}.{(block & 63) << 2}/30"
            self.here = f"10.213.{block >> 6}.{((block & 63) << 2) + 1}"
            self.there = f"10.213.{block >> 6}.{((block & 63) << 2) + 2}"
            self._name = f"hsm{block:x}"
            # Exclusive: whoever could add the route owns the block.
            if _try("ip", "route", "add", "unreachable", self._net, "metric", "9999"):
                break
        else:
            raise RuntimeError("no addresses are free for a wire")
        self._pid: Optional[int] = None

    def plug_in(self, pid: int) -> None:
        """Lead it into the network of a process, which has one of its own."""
        self._pid = pid
        _do("ip", "link", "add", self._name, "type", "veth", "peer", "name", "far", "netns", str(pid))
        _do("ip", "addr", "add", f"{self.here}/30", "dev", self._name)
        _do("ip", "link", "set", self._name, "up")
        self._inside("ip", "addr", "add", f"{self.there}/30", "dev", "far")
        self._inside("ip", "link", "set", "lo", "up")
        self._inside("ip", "link", "set", "far", "up")

    def drop(self) -> None:
        """Nothing comes back from there any more, and nobody is told."""
        self._inside("ip", "route", "add", "blackhole", f"{self.here}/32")

    def mend(self) -> None:
        """All is well again."""
        self._inside("ip", "route", "del", "blackhole", f"{self.here}/32")

    def close(self) -> None:
        """Take it away."""
        with contextlib.suppress(subprocess.CalledProcessError):
            _do("ip", "link", "del", self._name)  # gone already with the network that its other end was in
        _try("ip", "route", "del", "unreachable", self._net, "metric", "9999")

    def _inside(self, *argv: str) -> None:
        _do("nsenter", f"--net=/proc/{self._pid}/ns/net", *argv)


def _try(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _do(*argv: str) -> None:
    subprocess.run(argv, capture_output=True, check=True)
