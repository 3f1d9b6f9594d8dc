"""Spreads: how long things take, from one number, from two, or from what was measured; drawn by name, not in turn.

The same seed and the same task give the same draw, whatever was drawn before it: so every strategy is tried on the very
same tasks.
"""

from __future__ import annotations

import hashlib
import math
from statistics import NormalDist
from typing import Callable, Optional, Sequence

__all__ = ["Spread", "between", "exactly", "measured", "uniform"]

_FIVE_PERCENT = NormalDist().inv_cdf(0.95)
"""Of a normal distribution, nine tenths lie within so many deviations of the middle."""

_SMALLEST = 0.5 / 2.0**64


def uniform(*name: object) -> float:
    """A number between 0 and 1 (both excluded) that looks random and is always the same for the same name."""
    digest = hashlib.blake2b(repr(name).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64 + _SMALLEST


class Spread:
    """A distribution of times.

    :param quantile: from a share between 0 and 1 to the time that so many of the times are below, seconds.
    :param words: the same for a person.
    :param always: the one time, where there is no other.
    """

    def __init__(self, quantile: Callable[[float], float], words: str, always: Optional[float] = None) -> None:
        self._quantile = quantile
        self._always = always
        self.words = words

    def draw(self, *name: object) -> float:
        """The time of what has this name, seconds."""
        return max(0.0, self._quantile(uniform(*name))) if self._always is None else self._always

    def shortest(self) -> float:
        """No time is shorter, seconds."""
        return max(0.0, self._quantile(_SMALLEST))

    def mean(self) -> float:
        """About the mean, seconds."""
        steps = 200
        return sum(self._quantile((step + 0.5) / steps) for step in range(steps)) / steps


def exactly(seconds: float, words: str = "") -> Spread:
    """Always the same."""
    return Spread(lambda share: seconds, words or f"{seconds:g} s", seconds)


def between(low: float, high: float, words: str = "") -> Spread:
    """Nine of ten within these bounds, as many below as above, rather short than long: log-normal.

    :raises ValueError: the bounds are not positive, or not in order.
    """
    if not 0 < low <= high < math.inf:
        raise ValueError("the two times must be positive, the shorter first")
    middle = math.log(low * high) / 2
    deviation = math.log(high / low) / (2 * _FIVE_PERCENT)
    normal = NormalDist()
    return Spread(lambda share: math.exp(middle + deviation * normal.inv_cdf(share)), words or f"{low:g} to {high:g} s")


def measured(samples: Sequence[float], words: str = "") -> Spread:
    """As often as they are among the samples. :raises ValueError: there are none."""
    if not samples:
        raise ValueError("nothing was measured")
    ordered = sorted(samples)
    return Spread(lambda share: ordered[int(share * len(ordered))], words or f"as {len(ordered)} that were measured")
