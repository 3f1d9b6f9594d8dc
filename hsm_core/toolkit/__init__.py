"""What backend authors build on: hosts, and sources that are all but finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .local_host import LocalHost
from .pool import PoolSource

if TYPE_CHECKING:
    from .batch import BatchSource

__all__ = ["BatchSource", "LocalHost", "PoolSource"]


def __getattr__(name: str) -> object:
    """Imported when it is used: a sweep on this machine needs no scheduler."""
    if name == "BatchSource":
        from .batch import BatchSource

        return BatchSource
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
