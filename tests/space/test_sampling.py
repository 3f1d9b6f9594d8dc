"""Random search: each sample is a pure function of seed, name and number, for ever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.space.sampling import Choice, Distribution, IntRange, LogUniform, Uniform, draw

GOLDEN = [
    (Uniform(0.0, 1.0), [0.6272794942, 0.008198789613, 0.7501971405]),
    (LogUniform(1e-5, 1e-1), [0.003229371267, 1.078437941e-05, 0.01001817381]),
    (IntRange(1, 10), [7, 1, 8]),
    (Choice(("relu", "gelu", "tanh")), ["gelu", "relu", "tanh"]),
]


@pytest.mark.parametrize(("distribution", "expected"), GOLDEN)
def test_samples_never_change(distribution: Distribution, expected: Any) -> None:
    """These values hold on every Python and in every future version: a sweep can be drawn again years later."""
    assert [draw(distribution, 7, "lr", ordinal) for ordinal in range(3)] == expected


@given(st.integers(0, 2**63), st.text(max_size=5), st.integers(0, 10**12), st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_uniform_stays_within_its_bounds(seed: int, name: str, ordinal: int, low: float, width: float) -> None:
    """Rounding to ten digits never leaves the interval."""
    assert low <= draw(Uniform(low, low + width), seed, name, ordinal) <= low + width


@given(st.integers(0, 2**63), st.integers(0, 10**12), st.floats(1e-12, 1e3), st.floats(1, 1e6))
def test_log_uniform_stays_within_its_bounds(seed: int, ordinal: int, low: float, factor: float) -> None:
    """Neither the logarithm nor rounding leaves the interval."""
    assert low <= draw(LogUniform(low, low * factor), seed, "x", ordinal) <= low * factor


@given(st.integers(0, 1000), st.integers(-(2**63), 2**63), st.integers(0, 2**63))
def test_int_stays_within_its_bounds(ordinal: int, low: int, width: int) -> None:
    """Both ends are included and nothing beyond them is drawn."""
    assert low <= draw(IntRange(low, low + width), 0, "n", ordinal) <= low + width


def test_int_is_even() -> None:
    """Each of six numbers comes up about as often as the others, the ends too."""
    rolls = [draw(IntRange(1, 6), 3, "die", ordinal) for ordinal in range(6000)]
    assert all(900 < rolls.count(face) < 1100 for face in range(1, 7))


def test_log_uniform_is_even_in_each_decade() -> None:
    """Four decades get a quarter of the samples each."""
    drawn = [draw(LogUniform(1e-5, 1e-1), 3, "lr", ordinal) for ordinal in range(4000)]
    assert all(900 < sum(10.0**-n <= value < 10.0 ** (1 - n) for value in drawn) < 1100 for n in range(2, 6))


def test_parameters_are_independent() -> None:
    """Two parameters with one distribution do not get the same values, and neither do two seeds."""
    values = {
        tuple(draw(Uniform(0, 1), seed, name, ordinal) for ordinal in range(5))
        for seed in (0, 1)
        for name in ("a", "b")
    }
    assert len(values) == 4
