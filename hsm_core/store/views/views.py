"""All views of a sweep, kept by its controller: cheap for every event, and a few writes a second at the most."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Callable, Iterable, List, Optional

from ...contract import TaskState
from ...engine.events import Event
from ...engine.state import SweepState
from ...log import Log
from .. import summary
from ..files import write_atomic
from ..journal import JournalWriter, Position, read
from ..layout import SweepLayout
from .facts import describe
from .failures import FailureBook
from .logfiles import LogFiles
from .mapping import MappingWrite
from .metadata import update_metadata
from .narrator import Narrator

__all__ = ["Views"]

_log = Log("views")

_LOGS_EVERY_S = 0.2
_SUMMARY_EVERY_S = 1.0
_TABLES_EVERY_S = 5.0
_TABLES_COST = 50
"""A table whose rewrite took a second is rewritten every 50 seconds."""
_TRY_AGAIN_S = 5.0
_FLUSH_EVERY = 4096
"""Events between two flushes while logs are made again."""


class Views:
    """The views of one sweep, for one controller.

    Make it when the journal was replayed and opened for writing, and before `opened` is appended. The summary is
    written only when the logs are, so a summary that stands for the journal's end says that the logs are whole; if it
    does not, the logs are made again here.

    :param state: the controller's own; the views look at it, the engine changes it.
    :param replayed: where the replay ended.
    :param journal: the open journal; the summary says up to where in it.
    :param cpu: a clock in seconds, to learn what a rewrite costs; tests put their own.
    """

    def __init__(
        self,
        layout: SweepLayout,
        state: SweepState,
        replayed: Position,
        journal: JournalWriter,
        cpu: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._layout = layout
        self._state = state
        self._journal = journal
        self._cpu = cpu
        self._logs = LogFiles()
        self._failures = FailureBook()
        self._mapping: Optional[MappingWrite] = None
        self._mapping_cost = 0.0
        self._logs_due = self._summary_due = self._tables_due = self._errors_due = 0.0
        self._summary_dirty = self._mapping_dirty = False
        written = summary.read(layout)
        if state.total and (written is None or written[1] != replayed):
            with contextlib.suppress(OSError):
                self._begin_again()
        else:
            self._narrator = Narrator(layout, state, self._logs.add)
            if state.failures or state.counts[TaskState.LOST]:
                for event in read(layout.journal):
                    self._failures.take(event)

    def take(self, events: Iterable[Event]) -> None:
        """Take in events that were journalled and reduced."""
        for event in events:
            self._narrator.tell(event)
            self._failures.take(event)
        self._summary_dirty = self._mapping_dirty = True

    def flush(self, now: float, force: bool = False) -> None:
        """Write what is due. A disk that takes nothing stops nobody; the views are made later.

        :param now: Unix seconds.
        :param force: write everything now, because the controller lets go.
        """
        try:
            if force:
                self._write_all()
            else:
                self._write_due(now)
        except OSError as error:
            _log.warning("views cannot be written; made again later", error=str(error))
            self._summary_dirty = self._mapping_dirty = True
            self._logs_due = self._summary_due = self._tables_due = now + _TRY_AGAIN_S
            if self._mapping is not None:
                self._mapping.give_up()
                self._mapping = None

    def _write_due(self, now: float) -> None:
        if self._mapping is not None:
            self._step_mapping(now)
        if now < self._logs_due:
            return
        self._logs_due = now + _LOGS_EVERY_S
        self._logs.flush()
        if self._summary_dirty and now >= self._summary_due and not self._logs.behind:
            self._summary_due = now + _SUMMARY_EVERY_S
            summary.write(self._layout, describe(self._state), self._journal.position)
            self._summary_dirty = False
        if self._failures.dirty and now >= self._errors_due:
            self._errors_due = now + _TABLES_EVERY_S
            self._write_failures()
        if self._mapping_dirty and now >= self._tables_due and self._mapping is None:
            self._mapping_dirty = False
            self._mapping_cost = 0.0
            self._mapping = MappingWrite(self._layout, self._state)
            self._step_mapping(now)

    def _step_mapping(self, now: float) -> None:
        assert self._mapping is not None
        before = self._cpu()
        done = self._mapping.step()
        self._mapping_cost += self._cpu() - before
        if done:
            self._mapping = None
            self._tables_due = now + max(_TABLES_EVERY_S, _TABLES_COST * self._mapping_cost)

    def _write_all(self) -> None:
        if self._logs.behind:
            self._begin_again()
        self._logs.flush()
        self._write_failures()
        if self._mapping is not None:
            self._mapping.give_up()
        self._mapping = MappingWrite(self._layout, self._state)
        self._mapping.step(to_the_end=True)
        self._mapping = None
        facts = describe(self._state)
        update_metadata(self._layout, facts)
        summary.write(self._layout, facts, self._journal.position)
        self._summary_dirty = self._mapping_dirty = False

    def _write_failures(self) -> None:
        write_atomic(self._layout.failed_tasks, self._failures.failed_tasks().encode())
        write_atomic(self._layout.error_patterns, self._failures.error_patterns().encode())
        self._failures.dirty = False

    def _begin_again(self) -> None:
        """Make the logs from the journal, from its first event on. :raises OSError: they are as good as not there."""
        self._logs, self._failures = LogFiles(), FailureBook()
        self._narrator = Narrator(self._layout, SweepState(), self._logs.add)
        try:
            for path in log_paths(self._layout):
                path.unlink()
            for number, event in enumerate(read(self._layout.journal)):
                self._narrator.tell(event)
                self._failures.take(event)
                if number % _FLUSH_EVERY == 0:
                    self._logs.flush()
        except OSError:
            self._logs.behind = True
            raise


def log_paths(layout: SweepLayout) -> List[Path]:
    """The logs that are made from events, and are there. A background controller's own log lies beside them."""
    whole = (
        layout.sweep_log,
        layout.aggregated_log,
        layout.assignments_log,
        layout.utilization_log,
        layout.health_log,
    )
    return [path for path in (*whole, *layout.source_logs.glob("*.log")) if path.exists()]
