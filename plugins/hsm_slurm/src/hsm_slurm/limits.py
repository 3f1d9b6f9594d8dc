"""What a cluster allows a user: read from its configuration and its associations, never assumed."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from hsm_core.toolkit.dialect import Limits, Output

from .problems import problem_of

__all__ = ["ENFORCED", "limits_commands", "read_config", "read_limits", "rows"]

ENFORCED = "AccountingStorageEnforce"

_SETTING = re.compile(r"^(\w+)\s*=\s*(.*?)\s*$", re.M)
_ARRAY_TASKS = re.compile(r"\bmax_array_tasks=([0-9]+)")


def limits_commands(user: str) -> Sequence[Sequence[str]]:
    """The configuration, the user's associations, and the qualities of service."""
    manager = ["sacctmgr", "--noheader", "--parsable2", "--readonly", "show"]
    return [
        ["scontrol", "show", "config"],
        [*manager, "associations", f"user={user}", "format=Cluster,Account,Partition,QOS,MaxSubmit"],
        [*manager, "qos", "format=Name,MaxSubmitPU"],
    ]


def read_limits(outputs: Sequence[Output], options: Mapping[str, Any]) -> Limits:
    """What `limits_commands` found out.

    :param options: of the source; `account`, `partition` and `qos` say which associations count.
    """
    problem = problem_of(outputs[0]) if outputs else "they were not asked for"
    if problem:
        return Limits(problem=f"cannot read the cluster's limits: {problem}")
    config = read_config(outputs[0])
    sizes = [_number(config.get("MaxArraySize", "")), _number(config.get("MaxJobCount", ""))]
    sizes += [int(found) for found in _ARRAY_TASKS.findall(config.get("SchedulerParameters", ""))]
    size = min((size for size in sizes if size is not None), default=1)
    queued: Optional[int] = None
    enforced = config.get(ENFORCED, "")
    if ("limits" in enforced or "safe" in enforced or "all" in enforced) and len(outputs) > 2:
        queued = _submit_limit(outputs[1], outputs[2], config.get("ClusterName", ""), options)
    return Limits(array_size=max(1, size), queued=queued)


def read_config(output: Output) -> Dict[str, str]:
    """The cluster's settings, as `scontrol show config` prints them."""
    return dict(_SETTING.findall(output.stdout))


def _submit_limit(associations: Output, qualities: Output, cluster: str, options: Mapping[str, Any]) -> Optional[int]:
    of_qos = {name: _number(most) for name, most in rows(qualities, 2)}
    found: List[Optional[int]] = []
    for where, account, partition, qos, most in rows(associations, 5):
        if where != cluster or partition not in ("", options.get("partition", partition)):
            continue
        if account != options.get("account", account):
            continue
        found.append(_number(most))
        # Which quality of service is the default is not told; what is not asked for can only be one of these.
        names = [options["qos"]] if "qos" in options else qos.split(",")
        if len(names) == 1:
            found.append(of_qos.get(names[0]))
    known = [most for most in found if most is not None]
    return min(known) if known else None


def rows(output: Output, fields: int) -> Iterator[Sequence[str]]:
    """Rows of sacctmgr, split; none where accounting is off."""
    for line in output.stdout.splitlines() if output.returncode == 0 else ():
        row = line.split("|")
        if len(row) == fields:
            yield row


def _number(text: str) -> Optional[int]:
    return int(text) if text.isdecimal() and len(text) < 12 else None
