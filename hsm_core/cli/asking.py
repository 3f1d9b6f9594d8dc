"""Asking something of a sweep: of its controller, or, when there is none, by being it for a moment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from ..api import Sweep
    from ..engine.state import SweepState

__all__ = ["fulfil"]

_PATIENCE_S = 30.0


def fulfil(sweep: Sweep, op: str, **fields: Any) -> Optional[SweepState]:
    """Have it done, as `run.wishes` names it.

    :returns: how the sweep stands, when there was no controller and it was done here; None when its controller took it.
    :raises SweepBusyError: its controller does not answer; nothing was done.
    """
    from ..store.lease import holder

    if holder(sweep.layout) is not None:
        _ask_controller(sweep, op, fields)
        return None
    from ..api import Conduct, Wish

    return sweep.run(Conduct(only=Wish(op, fields)))[1]


def _ask_controller(sweep: Sweep, op: str, fields: Any) -> None:
    """Leave a request, and wait until the controller has journalled it."""
    from ..errors import HsmError, SweepBusyError
    from ..store import requests

    request = requests.ask(sweep.layout, op, **fields)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        answer = requests.read_answer(sweep.layout, request)
        if answer is not None:
            if "error" in answer:
                raise HsmError(f"{sweep.id}: {answer['error']}")
            return
        time.sleep(0.05)
    requests.withdraw(sweep.layout, request)
    raise SweepBusyError(
        f"the controller of {sweep.id} does not answer; the request was taken back", f"see: hsm status {sweep.id}"
    )
