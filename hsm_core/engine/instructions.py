"""What the engine asks its caller to do, in plain values."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence, Union

from ..contract import Attempt, Handle

__all__ = ["Cancel", "Collect", "Find", "Finish", "Instruction", "Submit"]


class Submit(NamedTuple):
    """Submit these attempts under this token; the intention has been journalled.

    :param resources: what some of them are given otherwise than they ask for, by the names of `TaskResources`.
    """

    source: str
    token: str
    attempts: Sequence[Attempt]
    resources: Mapping[Attempt, Mapping[str, Any]]


class Find(NamedTuple):
    """Look whether these attempts were taken under this token."""

    source: str
    token: str
    attempts: Sequence[Attempt]


class Cancel(NamedTuple):
    """End these attempts."""

    source: str
    handles: Mapping[Attempt, Handle]


class Collect(NamedTuple):
    """Bring home the files of these ended attempts."""

    source: str
    handles: Mapping[Attempt, Handle]


class Finish(NamedTuple):
    """The controller has nothing more to do."""

    state: str
    reason: str


Instruction = Union[Submit, Find, Cancel, Collect, Finish]
