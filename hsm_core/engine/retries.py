"""Whether a task whose attempt ended is tried again, what that costs it, and what it is then given more of. Pure.

`retries` of the sweep is how many failures of its program any task may have; a class of failure may have a rule of its
own, which counts by itself (`OnOom`, `Rule`). What a rule decides is journalled with the end of the attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional

from ..contract import TaskState
from .reduce import signature_of, verdict_of
from .state import LiveTask

__all__ = ["OnOom", "Rule", "classes_of", "decide_again"]

_LONGEST_BACK_OFF_S = 3600.0
_NO_RULES: Mapping[str, Mapping[str, Any]] = {}


@dataclass(frozen=True)
class OnOom:
    """A task that ended for want of memory is given more, and charged nothing.

    :param times: how often at the most, for one task.
    :param factor: by which its memory grows each time.
    :param most_mb: the most that it is ever given; None: no bound but `times`.
    """

    times: int = 3
    factor: float = 2.0
    most_mb: Optional[int] = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OnOom:
        """As it was journalled."""
        return cls(data["times"], data["factor"], data.get("most_mb"))

    def next_memory_mb(self, given_mb: Optional[int], times: int) -> Optional[int]:
        """What a task gets that ran out of `given_mb`, having been given more `times` times; None: it gets no more."""
        if given_mb is None or times >= self.times:
            return None
        wanted = max(given_mb + 1, round(given_mb * self.factor))
        if self.most_mb is not None:
            wanted = min(wanted, self.most_mb)
        return wanted if wanted > given_mb else None


@dataclass(frozen=True)
class Rule:
    """What follows a failure of a class.

    :param times: how often a task may be tried again after one.
    :param back_off_s: how long it waits then, seconds; twice as long each further time, up to an hour.
    """

    times: int
    back_off_s: float = 0.0

    def not_before(self, now: float, times: int) -> float:
        """When a task may run again that has been tried again so often; 0.0: at once."""
        wait_s = min(_LONGEST_BACK_OFF_S, self.back_off_s * 2.0 ** min(times, 16))
        return now + wait_s if wait_s else 0.0


def classes_of(record: Mapping[str, Any]) -> List[str]:
    """What kind of failure an exit record tells of, the most particular word first: `signal_9`, `signal`."""
    if record.get("oom_killed"):
        return ["oom"]
    if record.get("state") == "timeout":
        return ["timeout"]
    for kind, key in (("signal", "signal"), ("exit", "exit_code")):
        if record.get(key):
            return [f"{kind}_{record[key]}", kind]
    return []


def decide_again(
    task: LiveTask,
    record: Mapping[str, Any],
    retries: int,
    on_oom: Optional[OnOom],
    memory_mb: Optional[int],
    rules: Mapping[str, Mapping[str, Any]] = _NO_RULES,
    back_off_s: float = 0.0,
    now: float = 0.0,
) -> Optional[Dict[str, Any]]:
    """The field `again` of the end of an attempt; None: that was its last.

    :param rules: class of failure -> its `Rule`, as it was journalled.
    :param back_off_s: as `Rule` has it, for failures without a rule.
    :param memory_mb: what each attempt of the task asks for by itself; None where nobody said.
    """
    if task.cancelling:
        return None
    if record.get("state") == "preempted":
        return {"charged": False, "reason": "preempted"}
    verdict = verdict_of(record)
    if verdict is TaskState.CANCELLED and record.get("by"):
        return None  # a person ended it, with the scheduler's own tools
    if verdict is TaskState.CANCELLED:
        return {"charged": False, "reason": "ended when its controller was interrupted"}
    if verdict not in (TaskState.FAILED, TaskState.TIMEOUT):
        return None
    if record.get("oom_killed") and on_oom is not None:
        given_mb = task.resources.get("memory_mb", memory_mb)
        more_mb = on_oom.next_memory_mb(given_mb, task.escalations)
        if more_mb is not None:
            reason = f"out of memory with {given_mb} MB; {more_mb} MB next"
            return {"charged": False, "reason": reason, "resources": {"memory_mb": more_mb}}
    name = next((name for name in classes_of(record) if name in rules), None)
    if name is not None:
        rule, times = Rule(**rules[name]), task.by_rule.get(name, 0)
        again: Dict[str, Any] = {"charged": False, "rule": name}
    else:
        rule, times = Rule(retries, back_off_s), task.charged
        again = {"charged": True}
    if times >= rule.times:
        return None
    not_before = rule.not_before(now, times)
    return {**again, "reason": signature_of(record), **({"not_before": not_before} if not_before else {})}
