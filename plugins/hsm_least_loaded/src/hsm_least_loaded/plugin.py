"""The entry point: offers the strategy `least_loaded` to hsm."""

from __future__ import annotations

from typing import List

from hsm_core.contract import StrategyType
from hsm_core.hookspecs import hookimpl

from .strategy import LeastLoaded

__all__ = ["hsm_strategies"]


@hookimpl
def hsm_strategies() -> List[StrategyType]:
    """The one strategy of this package."""
    return [
        StrategyType(
            "least_loaded",
            LeastLoaded,
            summary="the source that will be done first, by load and measured speed",
        )
    ]
