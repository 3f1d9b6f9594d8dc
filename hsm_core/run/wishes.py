"""What a person may ask of a sweep: of its controller or, where there is none, of one that comes for this alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Mapping

from ..engine.engine import Engine
from ..engine.events import Event
from ..errors import UsageError

__all__ = ["Wish", "grant"]

_DONE = {"cancel": "cancelled", "pause": "paused", "resume": "resumed"}


@dataclass(frozen=True)
class Wish:
    """Something to be done to a sweep.

    :param op: `cancel` (with `tasks`: list of indices, or null for all), `pause` or `resume`.
    """

    op: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reaches_sources(self) -> bool:
        """Sources must be told, and not only the journal."""
        return self.op != "resume"

    @property
    def done(self) -> str:
        """Why a controller lets go that came for this alone."""
        return _DONE[self.op]


def grant(engine: Engine, wish: Wish, now: float) -> List[Event]:
    """Do it. :raises UsageError: it cannot be meant."""
    if wish.op == "cancel":
        tasks = wish.fields.get("tasks")
        if tasks is not None and not _are_indices(tasks):
            raise UsageError("tasks must be a list of task indices")
        return engine.cancel(tasks, now)
    if wish.op == "pause":
        return engine.pause("a person asked for it (hsm pause)", now)
    if wish.op == "resume":
        return engine.resume("a person asked for it (hsm resume)", now)
    raise UsageError(f"this controller does not know {wish.op!r}")


def _are_indices(tasks: object) -> bool:
    return isinstance(tasks, list) and all(type(index) is int and index >= 0 for index in tasks)
