"""The project's other copies: where a source has one, and whether it is the project here."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Callable, Optional, Tuple

from .source import SourceSpec

__all__ = ["PushPlan", "PushRequest", "SyncReport", "SyncRequest", "SyncVerdict"]


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
    :param sweep_id: the sweep whose tasks are to run there; empty where it is for none.
    """

    project_dir: str
    spec: Optional[SourceSpec] = None
    remote_project_dir: Optional[str] = None
    sweep_id: str = ""


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


@dataclass(frozen=True)
class PushRequest:
    """Which project to push, and where.

    :param project_dir: the project's folder on this machine, absolute.
    :param spec: the source as it was asked for.
    :param unfinished: sweeps of this project that are not over: what they run must stay as it is.
    """

    project_dir: str
    spec: SourceSpec
    unfinished: Tuple[str, ...] = ()


@dataclass(frozen=True)
class PushPlan:
    """What pushing a project would do; nothing is done before `apply`.

    :param place: the folder on the source's host that will have it.
    :param send: files that will be sent; those whose content is there already are not among them.
    :param send_bytes: how many bytes they have.
    :param creates: whether there is nothing yet in that place.
    :param reuse: how many files are made from what is there already.
    :param remove: files there that are gone here, and were pushed from here.
    :param edited: files there that somebody changed since they were pushed; `apply` needs `force` then, and keeps them.
    :param refusal: why it cannot be done, not even by force; empty when it can.
    :param remedy: what to do about the refusal.
    :param notes: lines that a person should know.
    :param apply: `(force, progress) -> lines`: do it, telling `progress` the bytes sent so far; says what came of it.
        Raises OSError or an HsmError; the copy there is then as it was, unless the message says otherwise.
    """

    place: str
    send: Tuple[str, ...]
    send_bytes: int
    apply: Callable[[bool, Callable[[int], None]], Tuple[str, ...]]
    creates: bool = False
    reuse: int = 0
    remove: Tuple[str, ...] = ()
    edited: Tuple[str, ...] = ()
    refusal: str = ""
    remedy: str = ""
    notes: Tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the copy there is already the project here."""
        return not (self.creates or self.send or self.reuse or self.remove or self.edited)
