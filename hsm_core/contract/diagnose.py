"""Stages of `hsm test`: what a kind of source looks at, step by step, before a sweep depends on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Optional

from .host import Host
from .task import TaskResources

__all__ = ["DiagnoseContext", "SkipStage", "Stage"]


class SkipStage(Exception):
    """Raised by a stage that has nothing to look at here; its message says why. The stages after it are tried."""


@dataclass(frozen=True)
class Stage:
    """One step. Stages are tried in order, each only when those before it succeeded or were skipped.

    :param name: a few words: `host key`.
    :param work: looks, and returns one line on what was found. Called once, in a thread of its own; what one stage
        found is handed to the next by whatever made both. Raises `SkipStage`; any other exception is the stage's
        failure: an `hsm_core.errors.HsmError` with what is wrong as message and the remedy as hint.
    :param timeout_s: the core waits no longer for `work`, abandons it, and calls that a failure.
    """

    name: str
    work: Callable[[], Optional[str]]
    timeout_s: float = 30.0


@dataclass(frozen=True)
class DiagnoseContext:
    """What the core gives a kind of source for its stages.

    :param project_dir: the project's folder on this machine, absolute.
    :param resources: what each task of the project asks for.
    :param say: takes a line on what a stage waits for, which is shown while it does; from any thread.
    :param at_end: takes a function to call when the last stage is over, whatever came of it; the last one taken is
        called first.
    :param host: the machine that the source is driven over, where its option `host` names one; None: this machine. It
        connects when it is used, and the core closes it.
    """

    project_dir: str
    resources: TaskResources = field(default_factory=TaskResources)
    say: Callable[[str], None] = lambda line: None
    at_end: Callable[[Callable[[], None]], None] = lambda function: None
    host: Optional[Host] = None
