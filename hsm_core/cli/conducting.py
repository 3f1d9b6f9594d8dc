"""Being the controller of a sweep in this terminal, or starting one in the background."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import List, NoReturn, Optional, Sequence

import click

from ..api import Conduct, Sweep
from ..contract import TaskState
from ..engine.engine import Finish
from ..engine.events import Event
from ..engine.state import SweepState
from ..errors import ExitCode, HsmError
from ..report.progress import Progress

__all__ = ["conduct_here", "detach_controller", "exit_code"]

_DETACH_PATIENCE_S = 60.0


def conduct_here(sweep: Sweep, how: Optional[Conduct] = None) -> NoReturn:
    """Run the sweep with its progress on this terminal, then exit as it ended."""
    progress = Progress(sweep.layout)
    how = dataclasses.replace(how or Conduct(), sinks=[lambda state: _Display(progress, state)], tell=progress.say)
    try:
        finish, state = sweep.run(how)
    finally:
        progress.stop()
    progress.close(state, finish)
    raise SystemExit(exit_code(finish, state))


class _Display:
    """Shows the state now and then; the loop's turns are far more frequent than a person can read."""

    def __init__(self, progress: Progress, state: SweepState) -> None:
        self._progress = progress
        self._state = state

    def take(self, events: Sequence[Event]) -> None:
        self._progress.take(events)

    def flush(self, now: float, force: bool = False) -> None:
        self._progress.update(self._state, now)


def exit_code(finish: Finish, state: SweepState) -> ExitCode:
    """0 when every task completed; 130 when the controller let go before the end; else 1."""
    if finish.state == "interrupted":
        return ExitCode.INTERRUPTED
    return ExitCode.OK if state.counts[TaskState.COMPLETED] == state.total else ExitCode.TASKS_FAILED


def detach_controller(sweep: Sweep, options: List[str]) -> None:
    """Start `hsm complete` for the sweep in a session of its own, and wait until it holds the sweep.

    :raises HsmError: it ended before that; its last words are the message.
    """
    from ..store.lease import holder

    log = sweep.layout.logs / "controller.log"
    with open(log, "ab") as output:
        began = output.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", "hsm_core", "complete", sweep.id, *options],
            cwd=sweep.layout.root.parents[2],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    deadline = time.monotonic() + _DETACH_PATIENCE_S
    while time.monotonic() < deadline:
        held = holder(sweep.layout)
        if held is not None and held.pid == child.pid:
            break
        if child.poll() is not None:
            if child.returncode == 0:
                break
            raise _ended_at_once(sweep.id, child.returncode, log, began)
        time.sleep(0.02)
    click.echo(f"{sweep.id} runs in the background (process {child.pid}).")
    click.echo(f"  hsm monitor watch {sweep.id}    hsm cancel {sweep.id}")


def _ended_at_once(sweep_id: str, code: int, log: Path, began: int) -> HsmError:
    """What the controller said, as an error of this command with the same exit code."""
    _, said, words = log.read_bytes()[began:].decode("utf-8", "replace").rpartition("hsm: ")
    message, *hints = words.strip().splitlines() or ["it said nothing"]
    error = HsmError(
        message if said else f"the controller of {sweep_id} ended at once: {message}",
        hints[0].strip() if said and hints else f"see {log}",
    )
    if code in set(ExitCode):
        error.exit_code = ExitCode(code)
    return error
