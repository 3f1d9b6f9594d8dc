"""A source that returns the wrong types is caught at its own door."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from hsm_core.contract import (
    Acceptance,
    Health,
    HealthReport,
    Observation,
    ObservationKind,
    PollResult,
    SubmitResult,
    TaskAnswer,
)
from hsm_core.run.checks import checked_handles, checked_news, checked_result


def test_what_the_contract_says_passes_unchanged() -> None:
    """Right values come out as they went in."""
    result = SubmitResult([TaskAnswer((0, 1), Acceptance.ACCEPTED, {"job": 1})])
    news = PollResult([Observation((0, 1), ObservationKind.QUEUED)], health=HealthReport(Health.HEALTHY))
    assert checked_result(result) is result
    assert checked_news(news) is news
    assert checked_handles({(0, 1): {"job": 1}}) == {(0, 1): {"job": 1}}


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (checked_result, None),
        (checked_result, SubmitResult([((0, 1), "accepted", None, "")])),  # type: ignore[list-item]
        (checked_result, SubmitResult([TaskAnswer((0, 1), "accepted")])),  # type: ignore[arg-type]
        (checked_result, SubmitResult([TaskAnswer([0, 1], Acceptance.ACCEPTED)])),  # type: ignore[arg-type]
        (checked_result, SubmitResult([TaskAnswer((0, 1), Acceptance.ACCEPTED, "17")])),  # type: ignore[arg-type]
        (checked_news, None),
        (checked_news, PollResult([Observation((0, 1), "ended")])),  # type: ignore[arg-type]
        (checked_news, PollResult([Observation((0, "1"), ObservationKind.LOST)])),  # type: ignore[arg-type]
        (checked_news, PollResult([Observation((0, 1), ObservationKind.ENDED, "done")])),  # type: ignore[arg-type]
        (checked_news, PollResult([Observation((0, 1), ObservationKind.LOST, None, None)])),  # type: ignore[arg-type]
        (checked_news, PollResult([], health="fine")),  # type: ignore[arg-type]
        (checked_handles, None),
        (checked_handles, {0: {}}),
        (checked_handles, {(0, 1): None}),
    ],
)
def test_anything_else_is_a_type_error_that_names_it(check: Callable[[Any], object], value: Any) -> None:
    """The message says which call broke its promise, so that the plugin's author knows where to look."""
    with pytest.raises(TypeError, match=r"must return|an attempt is"):
        check(value)
