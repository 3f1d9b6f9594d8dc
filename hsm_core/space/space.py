"""The indexed space: a number from 0 to total - 1 stands for a combination, and nothing is ever enumerated.

Combinations are numbered like nested loops in the order of the file, the last axis fastest; conditions only strike
combinations out and leave the order of the others as it is.
"""

from __future__ import annotations

from bisect import bisect_left
from hashlib import sha256
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

from .axes import Axis, AxisInfo
from .joint import Condition, Group, tie
from .values import canonical

__all__ = ["Space", "task_identity"]

_DIGEST_CHARACTERS = 32


class Space:
    """All combinations of a sweep.

    :param axes: the factors, slowest first; no name in two of them.
    :param conditions: what combinations must satisfy to stay.
    :param conditions_text: what decides the conditions, as JSON, for the digest.
    :raises ConditionError, UndecidedError: as `joint.tie` does.
    """

    def __init__(
        self, axes: Sequence[Axis], conditions: Sequence[Condition] = (), conditions_text: Sequence[Any] = ()
    ) -> None:
        self._axes = tuple(axes)
        self._conditions_text = list(conditions_text)
        groups = tie(axes, conditions)
        total = 1
        tied: Dict[int, int] = {}
        for number, group in enumerate(groups):
            total *= len(group.codes)
            tied.update(dict.fromkeys(group.strides, number))
        free = [(position, axis) for position, axis in enumerate(self._axes) if position not in tied]
        for _, axis in free:
            total *= axis.size
        self._groups = groups
        self._tied = tied
        self._total = total
        self._plan: List[Tuple[int, Callable[[Dict[str, Any], int], None]]] = []
        if not tied:
            weight = total
            for axis in self._axes:
                weight //= axis.size
                self._plan.append((weight, axis.put))

    @property
    def total(self) -> int:
        """How many combinations there are; at least 1."""
        return self._total

    @property
    def names(self) -> Tuple[str, ...]:
        """Every parameter's name, in the order of the file."""
        return tuple(name for axis in self._axes for name in axis.names)

    @property
    def axes(self) -> Tuple[AxisInfo, ...]:
        """One entry for each parameter, in the order of the file, for the table of a dry run."""
        return tuple(info for axis in self._axes for info in axis.describe())

    @property
    def digest(self) -> str:
        """Hash of all that decides what `params` gives, to tell a changed sweep file from the one that was run."""
        spec = {"axes": [axis.spec() for axis in self._axes], "conditions": self._conditions_text}
        return _hash(spec)

    def params(self, index: int) -> Dict[str, Any]:
        """The parameters of combination `index`, flat, in the order of the file.

        Values that are lists or mappings are shared between combinations: do not change them.

        :raises IndexError: when there is no such combination.
        """
        if not 0 <= index < self._total:
            raise IndexError(f"combination {index} of {self._total}")
        params: Dict[str, Any] = {}
        if self._tied:
            for axis, ordinal in zip(self._axes, self._ordinals(index)):
                axis.put(params, ordinal)
            return params
        for weight, put in self._plan:
            ordinal, index = divmod(index, weight)
            put(params, ordinal)
        return params

    def each_value(self) -> Iterator[Tuple[str, Any]]:
        """Every (name, value) that was written down, to check that all can travel before anything starts."""
        for axis in self._axes:
            yield from axis.each_value()

    def _ordinals(self, index: int) -> Iterator[int]:
        """The ordinal on each axis, slowest first.

        `count` is how many combinations begin with the ordinals chosen so far, `index` the place among them. For a
        group's axis, every code that is still possible stands for as many combinations as all other axes still have.
        """
        count = self._total
        spans = [(0, len(group.codes)) for group in self._groups]
        for position, axis in enumerate(self._axes):
            number = self._tied.get(position)
            if number is None:
                count //= axis.size
                ordinal, index = divmod(index, count)
                yield ordinal
                continue
            group = self._groups[number]
            low, high = spans[number]
            others = count // (high - low)
            stride = group.strides[position]
            start = group.codes[low + index // others] // stride * stride
            first, last = _span(group, start, stride, low, high)
            index -= (first - low) * others
            count = others * (last - first)
            spans[number] = (first, last)
            yield start // stride % axis.size


def task_identity(params: Mapping[str, Any]) -> str:
    """Hash of one task's parameters, whatever their order and whatever sweep they are in."""
    return _hash(params)


def _span(group: Group, start: int, stride: int, low: int, high: int) -> Tuple[int, int]:
    """Which codes between `low` and `high` lie in [start, start + stride)."""
    first = bisect_left(group.codes, start, low, high)
    return first, bisect_left(group.codes, start + stride, first, high)


def _hash(value: Any) -> str:
    return sha256(canonical(value).encode()).hexdigest()[:_DIGEST_CHARACTERS]
