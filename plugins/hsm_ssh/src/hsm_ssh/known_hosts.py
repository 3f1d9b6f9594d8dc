"""Is this the machine it claims to be? Files of known hosts, read; pure but for reading them.

paramiko reads such files as well, but it passes over `@revoked` and `@cert-authority` without a word, and does not
know patterns.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from dataclasses import dataclass
from typing import Iterable, Iterator, List, Optional, Tuple

from .errors import RefusedError
from .target import Target, expand

__all__ = ["KnownKey", "fingerprint", "known_keys", "preferred_kinds", "read_known_hosts", "verify"]

REVOKED = "@revoked"
AUTHORITY = "@cert-authority"


@dataclass(frozen=True)
class KnownKey:
    """A line that is about a machine.

    :param marker: empty, `@revoked` or `@cert-authority`.
    :param place: file and line, for a person.
    """

    marker: str
    kind: str
    blob: bytes
    file: str
    line: int

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"


def fingerprint(blob: bytes) -> str:
    """A key's fingerprint, as `ssh-keygen -l` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def known_keys(text: str, name: str, file: str = "") -> Iterator[KnownKey]:
    """The lines of a file of known hosts that are about a machine; what makes no sense is passed over, as ssh does.

    :param name: as `Target.trusted_as` gives it.
    """
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if len(fields) < 3 or not _is_about(fields[0], name):
            continue
        try:
            blob = base64.b64decode(fields[2], validate=True)
        except (binascii.Error, ValueError):
            continue
        yield KnownKey(marker, fields[1], blob, file, number)


def _is_about(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        return _is_hash_of(patterns, name)
    name = name.lower()
    found = False
    for pattern in patterns.lower().split(","):
        # `[` opens a set of characters for fnmatch, and a port for ssh.
        wanted = pattern.lstrip("!").replace("[", "[[]")
        if fnmatch.fnmatchcase(name, wanted):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _is_hash_of(pattern: str, name: str) -> bool:
    try:
        _, _, salt, digest = pattern.split("|")
        made = hmac.new(base64.b64decode(salt), name.lower().encode(), hashlib.sha1).digest()
        return hmac.compare_digest(made, base64.b64decode(digest))
    except (ValueError, binascii.Error):
        return False


def read_known_hosts(target: Target) -> List[KnownKey]:
    """What this machine knows of the target's keys."""
    found: List[KnownKey] = []
    for name in target.known_hosts:
        path = expand(name, target)
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        except OSError:
            continue
        found += known_keys(text, target.trusted_as, path)
    return found


def verify(target: Target, kind: str, blob: bytes, known: Iterable[KnownKey]) -> None:
    """Hold the key that a machine showed against what is known of it.

    :raises RefusedError: it is not known, is another one, or was revoked.
    """
    known = list(known)
    shown = f"{kind} {fingerprint(blob)}"
    plain = [key for key in known if not key.marker]
    for key in known:
        if key.marker == REVOKED and key.blob == blob:
            raise RefusedError(
                f"{target.alias}: its key {shown} was revoked ({key.place}); whoever answers there must not be trusted",
                "ask its administrator for the new key",
            )
    if any(key.blob == blob for key in plain):
        return
    other = _first(key for key in plain if key.kind == kind)
    if other is not None:
        raise RefusedError(
            f"{target.alias}: ITS HOST KEY HAS CHANGED: {other.place} knows {fingerprint(other.blob)}, but whoever "
            f"answers at {target.hostname} port {target.port} has {shown}; somebody may be listening in",
            f"if its administrator confirms the new key: ssh-keygen -R '{target.trusted_as}' -f {other.file}, "
            f"then {target.ssh}",
        )
    details = ""
    if plain:
        details = f" (known are keys of other kinds: {', '.join(sorted({key.kind for key in plain}))})"
    elif any(key.marker == AUTHORITY for key in known):
        details = " (a certificate authority is trusted for it, but certificates of hosts are not understood here)"
    raise RefusedError(
        f"{target.alias}: its host key is not known here: {shown}{details}",
        f"compare that with what its administrator says; to trust it: {target.ssh}",
    )


def _first(keys: Iterable[KnownKey]) -> Optional[KnownKey]:
    return next(iter(keys), None)


def preferred_kinds(known: Iterable[KnownKey]) -> Tuple[str, ...]:
    """Kinds of keys to ask for first: those that can be recognised."""
    return tuple(dict.fromkeys(key.kind for key in known if not key.marker))
