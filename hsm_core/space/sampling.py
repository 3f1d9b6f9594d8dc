"""Random search without state: sample `i` of a parameter is a pure function of (seed, name, i).

So a sample can be computed alone and in any order, adding a parameter changes no other, and a larger `count` only adds
samples. The numbers come from a hash, not from `random`, whose sequences differ between versions of Python.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Sequence, Tuple, Union

__all__ = ["DISTRIBUTIONS", "Choice", "Distribution", "IntRange", "LogUniform", "Uniform", "draw"]

_BITS = 128
_FLOAT_BITS = 53  # of a double's significand


@dataclass(frozen=True)
class Uniform:
    """A float between `low` and `high`."""

    low: float
    high: float

    def pick(self, bits: int) -> float:
        """The value that 128 random bits stand for."""
        return _tidy(self.low + (self.high - self.low) * _unit(bits), self.low, self.high)

    def __str__(self) -> str:
        return f"uniform {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class LogUniform:
    """A float between `low` and `high`, both above zero, whose logarithm is uniform."""

    low: float
    high: float

    def pick(self, bits: int) -> float:
        """The value that 128 random bits stand for."""
        low, high = math.log(self.low), math.log(self.high)
        return _tidy(math.exp(low + (high - low) * _unit(bits)), self.low, self.high)

    def __str__(self) -> str:
        return f"log-uniform {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class IntRange:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int

    def pick(self, bits: int) -> int:
        """The value that 128 random bits stand for."""
        return self.low + (bits * (self.high - self.low + 1) >> _BITS)

    def __str__(self) -> str:
        return f"int {self.low} to {self.high}"


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: Tuple[Any, ...]

    def pick(self, bits: int) -> Any:
        """The value that 128 random bits stand for."""
        return self.values[bits * len(self.values) >> _BITS]

    def __str__(self) -> str:
        return f"choice of {len(self.values)}"


Distribution = Union[Uniform, LogUniform, IntRange, Choice]
DISTRIBUTIONS: Sequence[str] = ("uniform", "log_uniform", "int", "choice")
"""What a sweep file calls them."""


def draw(distribution: Distribution, seed: int, name: str, ordinal: int) -> Any:
    """Sample number `ordinal` (from 0) of the parameter `name`."""
    digest = blake2b(f"{seed}:{ordinal}:{name}".encode(), digest_size=_BITS // 8).digest()
    return distribution.pick(int.from_bytes(digest, "big"))


def _unit(bits: int) -> float:
    """A float in [0, 1)."""
    return float((bits >> (_BITS - _FLOAT_BITS)) / (1 << _FLOAT_BITS))


def _tidy(value: float, low: float, high: float) -> float:
    """Ten significant digits: short to read, and the same whatever the last bit of this machine's `exp` is."""
    return min(max(float(f"{value:.10g}"), low), high)
