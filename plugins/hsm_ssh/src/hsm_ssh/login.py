"""Being let in: our keys are offered, one after the other, and where none is welcome a person learns why."""

from __future__ import annotations

import time
from typing import List, NoReturn

from .errors import RefusedError, SshError
from .keys import offers, opened_agent
from .quiet import paramiko
from .target import Target

__all__ = ["log_in"]


def log_in(transport: paramiko.Transport, target: Target, deadline: float) -> str:
    """Prove who we are.

    :returns: as whom, and by which key.
    :raises RefusedError: no key of ours is welcome, or a key is not enough.
    :raises SshError: the connection broke, or no answer came in time.
    """
    locked: List[str] = []
    offered = 0
    with opened_agent(target) as held:
        for offer in offers(target, held, locked):
            key = offer.load()
            if key is None:
                continue
            offered += 1
            if _offer(transport, target, key, deadline):
                return f"{target.user}, by {offer.label}"
    _explain(target, offered, locked)


def _offer(transport: paramiko.Transport, target: Target, key: paramiko.PKey, deadline: float) -> bool:
    transport.auth_timeout = max(1.0, deadline - time.monotonic())
    try:
        further = transport.auth_publickey(target.user, key)
    except paramiko.BadAuthenticationType as error:
        raise RefusedError(
            f"{target.alias}: it takes no keys, only: {', '.join(error.allowed_types)}",
            "hsm never types passwords: ask its administrator how programs may log in",
        ) from error
    except paramiko.AuthenticationException as error:
        if transport.is_active():
            return False
        raise _broke_off(target, error) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise _broke_off(target, error) from error
    if further:
        raise RefusedError(
            f"{target.alias}: a key is not enough for it, it also wants: {', '.join(further)}",
            "hsm never types passwords or codes: ask its administrator how programs may log in",
        )
    return True


def _broke_off(target: Target, error: Exception) -> SshError:
    words = str(error) or "the connection was cut"
    if "too many" in words.lower():
        return RefusedError(
            f"{target.alias}: too many keys were offered before the right one",
            "name it in ~/.ssh/config: IdentityFile PATH, and IdentitiesOnly yes",
        )
    return SshError(f"{target.alias}: while logging in: {words}", f"try: {target.ssh}")


def _explain(target: Target, offered: int, locked: List[str]) -> NoReturn:
    if locked:
        raise RefusedError(
            f"{target.alias}: the key {locked[0]} needs its passphrase, and there is nobody to ask here",
            f"unlock it once: ssh-add {locked[0]}",
        )
    if not offered:
        raise RefusedError(
            f"{target.alias}: there is no key to offer: neither an agent's nor a file",
            f"make one with ssh-keygen -t ed25519, and take it there with: ssh-copy-id {target.alias}",
        )
    raise RefusedError(
        f"{target.alias}: {target.user} was not let in: none of our keys ({offered}) is welcome there",
        f"is the user right? take a key there with: ssh-copy-id {target.alias}",
    )
