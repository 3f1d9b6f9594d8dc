"""The partitions of a cluster, as `scontrol` prints them. Pure."""

from __future__ import annotations

import re
from typing import Dict, Mapping, Sequence

from hsm_core.toolkit.dialect import Output

__all__ = ["is_default", "longest_s", "partitions_command", "read_partitions"]

Partition = Mapping[str, str]
"""Its fields, by Slurm's names."""

_FIELD = re.compile(r"(\w+)=(\S*)")
_TIME = re.compile(r"(?:([0-9]+)-)?([0-9]+):([0-9]+):([0-9]+)")


def partitions_command() -> Sequence[str]:
    """Lists all partitions that the user may see, a line each."""
    return ["scontrol", "show", "partition", "--oneliner"]


def read_partitions(output: Output) -> Dict[str, Partition]:
    """The partitions by name; none when the command failed."""
    lines = output.stdout.splitlines() if output.returncode == 0 else []
    shown = [dict(_FIELD.findall(line)) for line in lines]
    return {one["PartitionName"]: one for one in shown if "PartitionName" in one}


def is_default(partition: Partition) -> bool:
    """Whether jobs that name no partition go there."""
    return partition.get("Default") == "YES"


def longest_s(partition: Partition) -> float:
    """How long a job may run there; infinite where there is no limit, or none that can be read."""
    found = _TIME.fullmatch(partition.get("MaxTime", ""))
    if found is None:
        return float("inf")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
