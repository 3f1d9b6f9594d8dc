"""Conditions without enumerating the space: only axes that conditions tie together are looked through, group by group.

A group keeps the allowed combinations of its axes as sorted codes (mixed-radix numbers, last axis fastest). Sorted,
the combinations that begin alike lie side by side, so that `Space` finds the n-th allowed combination by bisection.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

from ..yamlfile import Mark
from .axes import Axis
from .conditions import ConditionError, Predicate

__all__ = ["MAX_JOINT", "Condition", "Group", "UndecidedError", "tie"]

MAX_JOINT = 10_000_000
"""The most combinations of one group's axes that are looked through."""


class UndecidedError(ValueError):
    """A condition that cannot be decided for some combination: where it is, and why."""

    def __init__(self, mark: Mark, reason: ConditionError) -> None:
        super().__init__(reason.message)
        self.mark = mark
        self.reason = reason


@dataclass
class Condition:
    """A condition of the sweep file.

    :param keep: what the predicate must give for a combination to stay (`where` true, `exclude` false).
    :param mark: where it is.
    :param removed: how many partial combinations it ruled out, counted as the groups are made.
    """

    predicate: Predicate
    keep: bool
    mark: Mark
    removed: int = 0

    def allows(self, params: Dict[str, Any]) -> bool:
        """Whether the combination may stay.

        :raises UndecidedError: where that cannot be decided.
        """
        try:
            if self.predicate.holds(params) is self.keep:
                return True
        except ConditionError as error:
            raise UndecidedError(self.mark, error) from None
        self.removed += 1
        return False


@dataclass(frozen=True)
class Group:
    """Axes that conditions tie together.

    :param strides: for the position of each of its axes in the space, the weight of that axis's ordinal in a code.
    :param codes: the allowed combinations, sorted.
    """

    strides: Dict[int, int]
    codes: Sequence[int]


def tie(axes: Sequence[Axis], conditions: Sequence[Condition]) -> List[Group]:
    """Find the groups, and look through the combinations of each.

    :raises ConditionError: when a group is too large, or nothing is left of one.
    :raises UndecidedError: when a condition cannot be decided.
    """
    owner = {name: position for position, axis in enumerate(axes) for name in axis.names}
    return [_group(axes, members, bound) for members, bound in _connect(owner, conditions)]


def _connect(owner: Dict[str, int], conditions: Sequence[Condition]) -> List[Tuple[List[int], List[Condition]]]:
    """Partition conditions, and the axes they mention, such that no axis is in two parts."""
    parts: List[Tuple[List[int], List[Condition]]] = []
    for condition in conditions:
        members = {owner[name] for name in condition.predicate.names}
        bound = [condition]
        apart = []
        for other_members, other_bound in parts:
            if members.isdisjoint(other_members):
                apart.append((other_members, other_bound))
            else:
                members.update(other_members)
                bound = other_bound + bound
        parts = [*apart, (sorted(members), bound)]
    return parts


def _group(axes: Sequence[Axis], members: Sequence[int], conditions: Sequence[Condition]) -> Group:
    # Axes of one value are constants: they are set once, and need no place in the codes.
    params: Dict[str, Any] = {}
    varying = []
    for position in members:
        if axes[position].size > 1:
            varying.append(position)
        else:
            axes[position].put(params, 0)
    size = 1
    strides: Dict[int, int] = {}
    for position in reversed(varying):
        strides[position] = size
        size *= axes[position].size
    if size > MAX_JOINT:
        names = ", ".join(name for position in varying for name in axes[position].names)
        raise ConditionError(
            f"conditions tie together {names}: {size:,} combinations to look through, {MAX_JOINT:,} is the most",
            "use conditions that mention fewer parameters together",
        )
    levels = [axes[position] for position in varying]
    weights = [strides[position] for position in varying]
    codes = _search(levels, weights, _checks(levels, conditions), params)
    if not codes:
        raise ConditionError("the conditions leave no combination at all", "loosen or delete one of them")
    return Group(strides, codes)


def _checks(levels: Sequence[Axis], conditions: Sequence[Condition]) -> List[List[Condition]]:
    """For each number of axes that have been set, the conditions that can be decided then and not before."""
    checks: List[List[Condition]] = [[] for _ in range(len(levels) + 1)]
    for condition in conditions:
        depths = [depth for depth, axis in enumerate(levels, 1) if not condition.predicate.names.isdisjoint(axis.names)]
        checks[max(depths, default=0)].append(condition)
    return checks


def _search(
    levels: Sequence[Axis], strides: Sequence[int], checks: Sequence[Sequence[Condition]], params: Dict[str, Any]
) -> Sequence[int]:
    """The codes of the combinations that every condition allows, in order; what is ruled out early is not entered."""
    codes = array("I")  # four bytes each: MAX_JOINT of them are 40 MB

    def descend(depth: int, code: int) -> None:
        axis, stride, rules = levels[depth], strides[depth], checks[depth + 1]
        absent = dict.fromkeys(axis.names)
        last = depth + 1 == len(levels)
        for ordinal in range(axis.size):
            params.update(absent)  # rows of a list need not all set the same names
            axis.put(params, ordinal)
            for rule in rules:
                if not rule.allows(params):
                    break
            else:
                if last:
                    codes.append(code + ordinal * stride)
                else:
                    descend(depth + 1, code + ordinal * stride)

    if all(rule.allows(params) for rule in checks[0]):
        if levels:
            descend(0, 0)
        else:
            codes.append(0)
    return codes
