"""Looks at the output of a task that is on another machine, beside its controller and without disturbing it."""

from __future__ import annotations

import dataclasses
from typing import Mapping, Optional

from ..contract import Glimpse, Glimpses, Source, SyncRequest
from ..engine.state import IN_FLIGHT, SweepState
from ..plugins import Plugins
from ..runner.runner import read_status
from ..store.layout import SweepLayout, task_id
from .conduct import source_context
from .settings import Settings

__all__ = ["Lookout"]


class Lookout:
    """One attempt whose files are not here, at the source that has it."""

    def __init__(self, source: Source, glimpses: Glimpses, index: int, attempt: int) -> None:
        self._source = source
        self._glimpses = glimpses
        self._index = index
        self.attempt = attempt

    @classmethod
    def find(cls, layout: SweepLayout, state: SweepState, index: int, plugins: Plugins) -> Optional[Lookout]:
        """Where a task's newest attempt is, opened; None when its files are here, or its source shows none.

        :raises HsmError, OSError: its source cannot be reached.
        """
        task = state.live.get(index)
        if task is None or task.state not in IN_FLIGHT:
            return None
        here = read_status(str(layout.task_dir(task_id(index, state.total)) / "status.yaml"))
        if here and here.get("attempt", task.attempt) == task.attempt:
            return None
        settings = Settings.read(layout)
        spec = next((spec for spec in settings.sources if spec.id == task.source), None)
        if spec is None:
            return None
        source = plugins.make_source(spec)
        host = source.host()
        if not isinstance(source, Glimpses) or host is None or host.is_here:
            return None
        there = plugins.locate_project(source, SyncRequest(settings.project_dir, spec, sweep_id=layout.sweep_id))
        context = source_context(layout, settings, spec, uid=state.uid)
        source.open(dataclasses.replace(context, remote_project_dir=there, looks_only=True))
        return cls(source, source, index, task.attempt)

    def read_on(self, offsets: Mapping[str, int], limit: int) -> Glimpse:
        """What has been added to files of the attempt. :raises OSError: its source cannot be asked."""
        return self._glimpses.glimpse((self._index, self.attempt), offsets, limit)

    def close(self) -> None:
        """Let go; the task runs on."""
        self._source.close()
