"""What can go wrong with a connection: errors for a person which are also the OSErrors that hosts may raise."""

from __future__ import annotations

from typing import Optional

from hsm_core.errors import NoSourceError

__all__ = ["RefusedError", "SshError"]


class SshError(NoSourceError, OSError):
    """A machine cannot be reached now; trying again later may help.

    Part of the message may be a server's own words: what could drive a terminal is shown, not sent there.
    """

    def __init__(self, message: str, hint: Optional[str] = None) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in message), hint)


class RefusedError(SshError):
    """A machine cannot be used as things are set up: its key is not trusted, it does not take ours, a file is wrong.

    Trying again does not help, and too many tries may lock a user out.
    """
