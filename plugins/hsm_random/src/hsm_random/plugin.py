"""The entry point: offers the strategy `random` to hsm."""

from __future__ import annotations

from typing import List

from hsm_core.contract import StrategyType
from hsm_core.hookspecs import hookimpl

from .strategy import RandomChoice

__all__ = ["hsm_strategies"]


@hookimpl
def hsm_strategies() -> List[StrategyType]:
    """The one strategy of this package."""
    return [StrategyType("random", RandomChoice, summary="sources at random, weighted by their free slots")]
