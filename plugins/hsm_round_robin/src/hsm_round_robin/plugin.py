"""The entry point: offers the strategy `round_robin` to hsm."""

from __future__ import annotations

from typing import List

from hsm_core.contract import StrategyType
from hsm_core.hookspecs import hookimpl

from .strategy import RoundRobin

__all__ = ["hsm_strategies"]


@hookimpl
def hsm_strategies() -> List[StrategyType]:
    """The one strategy of this package."""
    return [StrategyType("round_robin", RoundRobin, summary="every source in turn")]
