"""Axes: the factors whose product is the space. An axis of a billion values costs no more than one of three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Protocol, Sequence, Tuple

from .sampling import Choice, Distribution, draw

__all__ = ["Axis", "AxisInfo", "RowsAxis", "SampledAxis", "ValuesAxis"]


class AxisInfo(NamedTuple):
    """One parameter as the dry run's table shows it.

    :param size: number of values of its axis.
    :param label: how they come about, for a person (`3 values`).
    """

    name: str
    size: int
    label: str


class Axis(Protocol):
    """One factor of the space: some parameters that get their values together."""

    @property
    def names(self) -> Tuple[str, ...]:
        """The parameters it sets."""

    @property
    def size(self) -> int:
        """How many ordinals it has; at least 1."""

    def put(self, params: Dict[str, Any], ordinal: int) -> None:
        """Add the parameters of one ordinal."""

    def describe(self) -> List[AxisInfo]:
        """One entry for each parameter."""

    def spec(self) -> List[Any]:
        """All that decides its values, as JSON, for the digest."""

    def each_value(self) -> Iterator[Tuple[str, Any]]:
        """Every (name, value) that was written down, without those that are computed."""


@dataclass(frozen=True)
class ValuesAxis:
    """One parameter and its values (`grid`, `repeats`, `seeds`)."""

    name: str
    values: Sequence[Any]
    noun: str = "value"

    @property
    def names(self) -> Tuple[str, ...]:
        """See `Axis`."""
        return (self.name,)

    @property
    def size(self) -> int:
        """See `Axis`."""
        return len(self.values)

    def put(self, params: Dict[str, Any], ordinal: int) -> None:
        """See `Axis`."""
        params[self.name] = self.values[ordinal]

    def describe(self) -> List[AxisInfo]:
        """See `Axis`."""
        return [AxisInfo(self.name, self.size, _count(self.size, self.noun))]

    def spec(self) -> List[Any]:
        """See `Axis`."""
        if isinstance(self.values, range):
            return ["range", self.name, len(self.values)]
        return ["values", self.name, list(self.values)]

    def each_value(self) -> Iterator[Tuple[str, Any]]:
        """See `Axis`."""
        if not isinstance(self.values, range):
            for value in self.values:
                yield self.name, value


@dataclass(frozen=True)
class RowsAxis:
    """Parameters whose values go together, row by row (`paired`, `list`, `fixed`)."""

    rows: Sequence[Mapping[str, Any]]
    noun: str

    @property
    def names(self) -> Tuple[str, ...]:
        """See `Axis`; rows of a `list` need not all have the same parameters."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def size(self) -> int:
        """See `Axis`."""
        return len(self.rows)

    def put(self, params: Dict[str, Any], ordinal: int) -> None:
        """See `Axis`."""
        params.update(self.rows[ordinal])

    def describe(self) -> List[AxisInfo]:
        """See `Axis`."""
        label = self.noun if self.size == 1 else _count(self.size, self.noun)
        return [AxisInfo(name, self.size, label) for name in self.names]

    def spec(self) -> List[Any]:
        """See `Axis`."""
        return ["rows", [list(row.items()) for row in self.rows]]

    def each_value(self) -> Iterator[Tuple[str, Any]]:
        """See `Axis`."""
        for row in self.rows:
            yield from row.items()


@dataclass(frozen=True)
class SampledAxis:
    """Parameters drawn at random together, `size` times (`random`)."""

    size: int
    seed: int
    distributions: Mapping[str, Distribution]

    @property
    def names(self) -> Tuple[str, ...]:
        """See `Axis`."""
        return tuple(self.distributions)

    def put(self, params: Dict[str, Any], ordinal: int) -> None:
        """See `Axis`."""
        for name, distribution in self.distributions.items():
            params[name] = draw(distribution, self.seed, name, ordinal)

    def describe(self) -> List[AxisInfo]:
        """See `Axis`."""
        samples = _count(self.size, "sample")
        return [AxisInfo(name, self.size, f"{samples}, {how}") for name, how in self.distributions.items()]

    def spec(self) -> List[Any]:
        """See `Axis`."""
        how = [[name, type(each).__name__, list(vars(each).values())] for name, each in self.distributions.items()]
        return ["random", self.size, self.seed, how]

    def each_value(self) -> Iterator[Tuple[str, Any]]:
        """See `Axis`."""
        for name, distribution in self.distributions.items():
            if isinstance(distribution, Choice):
                for value in distribution.values:
                    yield name, value


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
