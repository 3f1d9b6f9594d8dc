"""Who are we? The keys to offer, in the order in which ssh offers them: the agent's, then files, locked files last."""

from __future__ import annotations

import base64
import contextlib
import getpass
import os
import socket
import sys
import threading
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .quiet import AgentSSH, paramiko
from .target import Target, expand

__all__ = ["Offer", "offers", "opened_agent"]

_AGENT_S = 20.0
_TRIES = 3
_MAGIC = b"openssh-key-v1\0"
_LONGEST_KEY = 1 << 16

_unlocked: Dict[Tuple[str, int], paramiko.PKey] = {}
"""Keys whose passphrase was given, by path and time of change: a reconnection does not ask again."""
_asking = threading.Lock()


class Offer(NamedTuple):
    """A key that may be ours.

    :param load: makes the key; None when that needs a passphrase which nobody gives.
    """

    label: str
    load: Callable[[], Optional[paramiko.PKey]]


class _Agent(AgentSSH):
    """An agent behind a socket: paramiko's own class knows only the one in SSH_AUTH_SOCK, and waits for ever."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_AGENT_S)
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined] # the only way in
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Let the agent go."""
        self._close()  # type: ignore[attr-defined]


@contextlib.contextmanager
def opened_agent(target: Target) -> Iterator[Tuple[paramiko.PKey, ...]]:
    """The keys that the agent holds, usable within the block; none where no agent answers."""
    agent = None
    if target.agent is not None:
        with contextlib.suppress(OSError, paramiko.SSHException):
            agent = _Agent(expand(target.agent, target))
    try:
        yield agent.get_keys() if agent is not None else ()
    finally:
        if agent is not None:
            agent.close()


def offers(target: Target, held: Tuple[paramiko.PKey, ...], locked: List[str]) -> Iterator[Offer]:
    """The keys to offer, one after the other.

    :param held: what the agent holds.
    :param locked: takes the files whose passphrase nobody could be asked for.
    """
    files = [path for path in (expand(name, target) for name in target.identities) if os.path.exists(path)]
    public = {_public(path): path for path in files}
    chosen = [key for key in held if key.asbytes() in public]
    others = [] if target.identities_only else [key for key in held if key.asbytes() not in public]
    for key in [*chosen, *others]:
        yield Offer(f"the agent's key {getattr(key, 'comment', '') or key.get_name()}", partial(_loaded, key))
    needs_passphrase = []
    in_agent = {public[key.asbytes()] for key in chosen}
    for path in files:
        if path in in_agent:
            continue
        try:
            key = _read(path, None)
        except paramiko.PasswordRequiredException:
            needs_passphrase.append(path)
        except (OSError, paramiko.SSHException, ValueError):
            continue  # not a key, or of a kind that cannot be used here
        else:
            yield Offer(path, partial(_loaded, key))
    for path in needs_passphrase:
        yield Offer(path, partial(_unlock, path, locked))


def _loaded(key: paramiko.PKey) -> paramiko.PKey:
    return key


def _public(path: str) -> bytes:
    """The public half of a key file, from the file beside it or its own open part; empty when neither has it."""
    try:
        with open(path if path.endswith(".pub") else f"{path}.pub", encoding="ascii") as file:
            _, data = file.read().split()[:2]
        return base64.b64decode(data, validate=True)
    except (OSError, ValueError):
        return _open_part(path)


def _open_part(path: str) -> bytes:
    """The public half in a private key as OpenSSH writes it, which no passphrase hides; empty in any other file."""
    try:
        with open(path, encoding="ascii") as file:
            first, *lines = file.read(_LONGEST_KEY).split()
        data = base64.b64decode("".join(lines).partition("KEY-----")[2].partition("-----END")[0], validate=True)
    except (OSError, ValueError):
        return b""
    if first != "-----BEGIN" or not data.startswith(_MAGIC):
        return b""
    message = paramiko.Message(data[len(_MAGIC) :])
    for _ in ("cipher", "derivation", "its options"):
        message.get_string()
    return message.get_string() if message.get_int() == 1 else b""


def _read(path: str, passphrase: Optional[str]) -> paramiko.PKey:
    """Read a private key of any kind. :raises paramiko.PasswordRequiredException: it is locked."""
    error: Exception = paramiko.SSHException("no kind of key fits")
    kinds: Tuple[Any, ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
    for kind in kinds:
        try:
            key: paramiko.PKey = kind.from_private_key_file(path, passphrase)
        except paramiko.PasswordRequiredException:
            raise
        except (paramiko.SSHException, ValueError) as failed:
            error = failed
            continue
        if os.path.exists(f"{path}-cert.pub"):
            key.load_certificate(f"{path}-cert.pub")
        return key
    raise error


def _unlock(path: str, locked: List[str]) -> Optional[paramiko.PKey]:
    """The key in a locked file: ask whoever sits at the terminal for its passphrase, once a process."""
    with _asking:
        known = path, os.stat(path).st_mtime_ns
        if known in _unlocked:
            return _unlocked[known]
        if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
            locked.append(path)
            return None
        for _ in range(_TRIES):
            try:
                passphrase = getpass.getpass(f"Passphrase for {path}: ")
            except (EOFError, KeyboardInterrupt):
                break
            if not passphrase:
                break
            with contextlib.suppress(paramiko.SSHException, ValueError):
                key = _unlocked[known] = _read(path, passphrase)
                return key
        locked.append(path)
        return None
