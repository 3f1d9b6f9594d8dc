"""The beginning of a connection: agreement on keys, and whether it is the machine that it claims to be."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Callable, Optional, Tuple

from .dial import Stream
from .errors import RefusedError, SshError
from .known_hosts import fingerprint, preferred_kinds, read_known_hosts, verify
from .quiet import paramiko
from .target import Target

__all__ = ["Manners", "shake_hands", "verify_host"]

_TURNED_AWAY_S = 0.5
"""A server with too many newcomers (sshd's MaxStartups) hangs up without a word: the pause before the second try."""


@dataclass(frozen=True)
class Manners:
    """How connections are made and kept; times in seconds.

    :param keepalive_s: how often a connection is asked whether it lives, and how long it may take to answer.
    """

    compression: bool = False
    connect_timeout_s: float = 20.0
    keepalive_s: float = 15.0


class _TurnedAwayError(Exception):
    """The server hung up before it said anything."""


def shake_hands(
    target: Target, manners: Manners, dial: Callable[[float], Stream], deadline: float
) -> Tuple[paramiko.Transport, Stream]:
    """Agree on keys; a server that hangs up before it has said anything is asked again a little later.

    :param dial: makes the stream, before a deadline.
    :raises SshError: there is nobody, or no agreement.
    """
    pause_s = _TURNED_AWAY_S
    while True:
        stream = dial(deadline)
        try:
            return _negotiate(target, manners, stream, deadline), stream
        except _TurnedAwayError as error:
            wait_s = pause_s * random.uniform(0.5, 1.5)
            pause_s *= 2
            if target.proxy_command is not None:
                raise SshError(f"{target.alias}: its ProxyCommand failed", f"try: {target.ssh}") from None
            if time.monotonic() + wait_s >= deadline:
                raise SshError(
                    f"{target.alias}: {error}", "does it have too many newcomers (MaxStartups of sshd)?"
                ) from error
            time.sleep(wait_s)


def _negotiate(target: Target, manners: Manners, stream: Stream, deadline: float) -> paramiko.Transport:
    transport: Optional[paramiko.Transport] = None
    try:
        transport = paramiko.Transport(stream)  # type: ignore[arg-type] # it asks for no more than a Stream has
        transport.daemon = True
        transport.name = f"ssh-{target.alias}"
        transport.use_compression(manners.compression)
        _prefer_known_kinds(transport, target)
        left = max(0.1, deadline - time.monotonic())
        transport.banner_timeout = transport.handshake_timeout = left
        transport.start_client(timeout=left)
        transport.get_remote_server_key()  # raises if they came to no agreement: at its deadline it just returns
        return transport
    except (paramiko.SSHException, EOFError, OSError) as error:
        version = transport.remote_version if transport is not None else ""
        if transport is not None:
            transport.close()
        stream.close()
        words = str(error) or "it hung up"
        if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
            raise RefusedError(f"{target.alias}: no agreement with {version}: {words}") from error
        if version and time.monotonic() < deadline:
            raise SshError(f"{target.alias}: the connection was cut while it was made: {words}") from error
        if time.monotonic() >= deadline:
            raise SshError(
                f"{target.alias}: {target.hostname} port {target.port} takes connections, and says nothing",
                "is that sshd, and does its machine hang?",
            ) from error
        raise _TurnedAwayError("it hangs up before it has said anything") from error


def _prefer_known_kinds(transport: paramiko.Transport, target: Target) -> None:
    kinds = preferred_kinds(read_known_hosts(target))
    wanted = [name for kind in kinds for name in (("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,))]
    options = transport.get_security_options()
    able = list(options.key_types)
    options.key_types = [name for name in wanted if name in able] + [name for name in able if name not in wanted]


def verify_host(transport: paramiko.Transport, target: Target) -> str:
    """Hold its key against what is known. :raises RefusedError: it is not known, or another. :returns: the key."""
    key = transport.get_remote_server_key()
    verify(target, key.get_name(), key.asbytes(), read_known_hosts(target))
    return f"{key.get_name()} {fingerprint(key.asbytes())}"
