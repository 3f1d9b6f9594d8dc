"""The entry point: locates, compares and pushes a project's copies. Everything is imported when it is used."""

from __future__ import annotations

from typing import Optional, Sequence

from hsm_core.contract import PushPlan, PushRequest, Source, SyncReport, SyncRequest
from hsm_core.hookspecs import hookimpl

__all__ = ["hsm_locate_project", "hsm_plan_push", "hsm_verify_sync"]


@hookimpl
def hsm_locate_project(source: Source, request: SyncRequest) -> Optional[str]:
    """Where a source that is not on this machine has the project."""
    from .verify import locate

    return locate(source, request)


@hookimpl
def hsm_verify_sync(source: Source, request: SyncRequest) -> Optional[Sequence[SyncReport]]:
    """Whether what it has is what is here: `content`, and `git` where both sides are checkouts."""
    from .verify import verify

    return verify(source, request)


@hookimpl
def hsm_plan_push(source: Source, request: PushRequest) -> Optional[PushPlan]:
    """What bringing it there would send."""
    from .push import plan_push

    return plan_push(source, request)
