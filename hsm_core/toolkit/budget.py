"""How often a scheduler may be asked: one budget for every hsm of a user on this machine, kept in files.

A call takes a number of the current ten seconds by making the file of that name, which only one process can.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Callable, Mapping

__all__ = ["CallBudget", "budget_dir"]

_WINDOW_S = 10


class CallBudget:
    """At most so many calls a minute, whoever asks.

    :param folder: where all that share the budget keep it; made when it is needed.
    :param per_minute: spread over the minute in parts of ten seconds; at least one in each.
    """

    def __init__(self, folder: Path, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._per_window = max(1, per_minute * _WINDOW_S // 60)
        self._clock = clock

    def take(self, urgent: bool = False) -> bool:
        """Whether a call may be made now, which then counts.

        :param urgent: the call is made in any case (a submission, a cancellation), and counts.
        """
        window = int(self._clock() // _WINDOW_S)
        try:
            taken = self._taken(window)
            while urgent or taken < self._per_window:
                try:
                    os.close(os.open(self._folder / f"{window}-{taken}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                    return True
                except FileExistsError:
                    taken += 1  # another process was quicker
        except OSError:
            return True  # no place to count is no reason to know nothing
        return False

    def _taken(self, window: int) -> int:
        """How many calls this window has seen; files of earlier windows are removed."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        taken = 0
        for name in os.listdir(self._folder):
            if name.startswith(f"{window}-"):
                taken += 1
            elif name.partition("-")[0].isdigit() and int(name.partition("-")[0]) < window:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._folder / name)
        return taken


def budget_dir(scheduler: str, environment: Mapping[str, str]) -> Path:
    """The folder of a scheduler's budget: this user's, on this machine."""
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime):
        return Path(runtime) / "hsm" / f"calls-{scheduler.lower()}"
    # A home folder may be shared by many machines; a temporary one is this machine's own.
    return Path(tempfile.gettempdir()) / f"hsm-{os.getuid()}" / f"calls-{scheduler.lower()}"
