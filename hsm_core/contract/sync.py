"""The project's other copies: where a source has one, and whether it is the project here."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Optional, Tuple

from .source import SourceSpec

__all__ = ["SyncReport", "SyncRequest", "SyncVerdict"]


class SyncVerdict(str, enum.Enum):
    """How two copies of a project compare, worst first. "Could not verify" is never "in sync"."""

    DIFFERS = "differs"
    UNVERIFIED = "unverified"
    WARNING = "warning"
    IN_SYNC = "in_sync"


@dataclass(frozen=True)
class SyncRequest:
    """Which project to locate or compare, at which source.

    :param project_dir: the project's folder on this machine, absolute.
    :param spec: the source as it was asked for, with its options (`project`, `host` …); None: nobody said.
    :param remote_project_dir: what `hsm_locate_project` answered, for who compares.
    """

    project_dir: str
    spec: Optional[SourceSpec] = None
    remote_project_dir: Optional[str] = None


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
