"""The entry point: offers the strategy `fastest` to hsm."""

from __future__ import annotations

from typing import List

from hsm_core.contract import StrategyType
from hsm_core.hookspecs import hookimpl

from .strategy import Fastest

__all__ = ["hsm_strategies"]


@hookimpl
def hsm_strategies() -> List[StrategyType]:
    """The one strategy of this package."""
    return [StrategyType("fastest", Fastest, summary="all done earliest, by measured run times and queue waits")]
