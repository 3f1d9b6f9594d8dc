"""What backend authors build on: hosts, and sources that are all but finished."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .batch import BatchSource
    from .local_host import LocalHost
    from .pool import PoolSource

__all__ = ["BatchSource", "LocalHost", "PoolSource"]

_MODULES = {"BatchSource": "batch", "LocalHost": "local_host", "PoolSource": "pool"}


def __getattr__(name: str) -> object:
    """Imported when it is used: a command that runs nothing needs none of them, a sweep here needs no scheduler."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
