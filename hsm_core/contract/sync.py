"""Sync verification: is the project over there the project here?"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Tuple

__all__ = ["SyncReport", "SyncRequest", "SyncVerdict"]


class SyncVerdict(str, enum.Enum):
    """How two copies of a project compare, worst first. "Could not verify" is never "in sync"."""

    DIFFERS = "differs"
    UNVERIFIED = "unverified"
    WARNING = "warning"
    IN_SYNC = "in_sync"


@dataclass(frozen=True)
class SyncRequest:
    """Which project to compare.

    :param project_dir: the project's folder on this machine, absolute.
    """

    project_dir: str


@dataclass(frozen=True)
class SyncReport:
    """What a verifier found.

    :param verifier: who says so (`git`, `content`).
    :param detail: one line for a person.
    :param remedy: the command that mends it, empty when nothing is to mend.
    """

    verifier: str
    verdict: SyncVerdict
    detail: str
    remedy: str = ""
    missing: Tuple[str, ...] = ()
    modified: Tuple[str, ...] = ()
    extra: Tuple[str, ...] = ()
