"""Times that are drawn by name: the same for the same name, and spread as was said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.forecast.spread import Spread, between, exactly, measured, uniform


def draws(spread: Spread, count: int = 2000) -> list[float]:
    """So many times."""
    return [spread.draw("test", number) for number in range(count)]


@given(st.lists(st.integers() | st.text()))
def test_the_same_name_gives_the_same_number(name: list[object]) -> None:
    """Between 0 and 1, both excluded, whatever was drawn before."""
    assert uniform(*name) == uniform(*name)
    assert 0.0 < uniform(*name) < 1.0


def test_exactly_is_exact() -> None:
    """No draw differs, and the mean is the number."""
    assert set(draws(exactly(7.0), 10)) == {7.0}
    assert exactly(7.0).mean() == pytest.approx(7.0)
    assert exactly(7.0).shortest() == 7.0


def test_nine_of_ten_are_in_between() -> None:
    """As many are below as above, and the middle is the geometric one."""
    times = sorted(draws(between(100.0, 400.0)))
    inside = sum(100.0 <= time <= 400.0 for time in times) / len(times)
    assert 0.88 < inside < 0.92
    assert 190.0 < times[len(times) // 2] < 210.0
    assert between(100.0, 400.0).mean() == pytest.approx(sum(times) / len(times), rel=0.05)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (1.0, float("inf")), (1.0, float("nan"))]
)
def test_strange_bounds_are_refused(low: float, high: float) -> None:
    """Whoever says them hears of it."""
    with pytest.raises(ValueError, match="positive"):
        between(low, high)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_what_was_measured_is_drawn(samples: list[float]) -> None:
    """Nothing else, and nothing shorter than the shortest."""
    spread = measured(samples)
    assert set(draws(spread, 20)) <= set(samples)
    assert spread.shortest() == min(samples)


def test_nothing_measured_is_refused() -> None:
    """There is nothing to draw from."""
    with pytest.raises(ValueError, match="nothing"):
        measured([])
