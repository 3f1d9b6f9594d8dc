"""The parameter space: `sweep_config.yaml` in, an index of combinations out, nothing enumerated."""

from __future__ import annotations

from .axes import AxisInfo
from .load import SweepFile, load_space
from .space import Space, task_identity

__all__ = ["AxisInfo", "Space", "SweepFile", "load_space", "task_identity"]
