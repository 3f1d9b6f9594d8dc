"""What a source returned, held to the types it promised: a plugin's slip must not reach the engine."""

from __future__ import annotations

from collections.abc import Mapping  # typing's has no name on Python 3.8
from typing import Any, Dict, Type, TypeVar

from ..contract import (
    Acceptance,
    Attempt,
    Handle,
    HealthReport,
    Observation,
    ObservationKind,
    PollResult,
    SubmitResult,
    TaskAnswer,
)

__all__ = ["checked", "checked_handles", "checked_news", "checked_result"]

_Value = TypeVar("_Value")


def checked(value: Any, wanted: Type[_Value], call: str) -> _Value:
    """The value. :raises TypeError: it is something else, which the message names."""
    if not isinstance(value, wanted):
        raise TypeError(f"{call} must return {wanted.__name__}, not {type(value).__name__}")
    return value


def checked_result(result: Any) -> SubmitResult:
    """The answers to a submission. :raises TypeError: they are not what the contract says."""
    for answer in checked(result, SubmitResult, "submit").answers:
        attempt, acceptance, handle, _ = checked(answer, TaskAnswer, "submit: every answer")
        _check_attempt(attempt)
        checked(acceptance, Acceptance, "submit: every acceptance")
        if handle is not None:
            checked(handle, Mapping, "submit: every handle")  # type: ignore[type-abstract]
    return result  # type: ignore[no-any-return]


def checked_news(result: Any) -> PollResult:
    """What a poll brought. :raises TypeError: it is not what the contract says."""
    for seen in checked(result, PollResult, "poll").observations:
        attempt, kind, record, reason = checked(seen, Observation, "poll: every observation")
        _check_attempt(attempt)
        checked(kind, ObservationKind, "poll: every kind")
        checked(reason, str, "poll: every reason")
        if record is not None:
            checked(record, dict, "poll: every record")
    if result.health is not None:
        checked(result.health, HealthReport, "poll: health")
    return result  # type: ignore[no-any-return]


def checked_handles(found: Any) -> Dict[Attempt, Handle]:
    """What `find` found. :raises TypeError: it is not what the contract says."""
    handles: Dict[Attempt, Handle] = dict(checked(found, Mapping, "find"))  # type: ignore[type-abstract]
    for attempt, handle in handles.items():
        _check_attempt(attempt)
        checked(handle, Mapping, "find: every handle")  # type: ignore[type-abstract]
    return handles


def _check_attempt(attempt: Any) -> None:
    if type(attempt) is not tuple or len(attempt) != 2 or type(attempt[0]) is not int or type(attempt[1]) is not int:
        raise TypeError(f"an attempt is a pair of whole numbers, not {attempt!r}")
