"""What a runner's answer to a ping tells of its machine: how it is, how far away, and how wrong its clock."""

from __future__ import annotations

import math
from typing import Any, Dict, Mapping

__all__ = ["read_vitals"]

_NUMBERS = ("load_1m", "cpus", "disk_free_mb", "inodes_free")


def read_vitals(facts: Any, asked_at: float, latency_s: float) -> Dict[str, float]:
    """Facts for a `HealthReport`, from what a runner said; what is no number is left out.

    :param facts: as `machine_facts` of the runner makes them, or anything else.
    :param asked_at: when it was asked, Unix seconds by the clock of this machine.
    :param latency_s: until its answer was here. Its clock was read in between, so `clock_skew_s` (its clock less ours)
        is right to half of that.
    """
    told: Mapping[str, Any] = facts if isinstance(facts, Mapping) else {}
    vitals = {"latency_s": round(latency_s, 4)}
    vitals.update({name: told[name] for name in _NUMBERS if _is_number(told.get(name))})
    if _is_number(told.get("time")):
        vitals["clock_skew_s"] = round(told["time"] - asked_at - latency_s / 2.0, 3)
    return vitals


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
