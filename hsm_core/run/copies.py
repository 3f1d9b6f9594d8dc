"""The project's copies at sources, checked without running anything: several sources at once, with a deadline."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import List, Sequence

from ..contract import Source, SourceSpec, SyncReport, SyncRequest, SyncVerdict
from ..errors import HsmError
from ..plugins import Plugins
from .worker import worded

__all__ = ["CopyCheck", "check_copies", "has_own_files"]

_DEADLINE_S = 600.0


@dataclass
class CopyCheck:
    """What was found at one source.

    :param shared: its files are those here; there is nothing to compare.
    :param reports: worst first; none, where files are not shared, means that nobody could compare.
    """

    source: str
    shared: bool = False
    reports: Sequence[SyncReport] = ()

    @property
    def verdict(self) -> SyncVerdict:
        """The worst; no report is not verified."""
        if self.shared:
            return SyncVerdict.IN_SYNC
        return self.reports[0].verdict if self.reports else SyncVerdict.UNVERIFIED


def has_own_files(source: Source) -> bool:
    """Whether the source is on a machine whose files are not those here."""
    host = source.host()
    return host is not None and not host.is_here


def check_copies(
    specs: Sequence[SourceSpec], project_dir: str, plugins: Plugins, deadline_s: float = _DEADLINE_S
) -> List[CopyCheck]:
    """Hold each source's copy of the project against the one here; one that hangs keeps no other waiting."""
    checks = [CopyCheck(spec.id) for spec in specs]

    def check(spec: SourceSpec, result: CopyCheck) -> None:
        try:
            source = plugins.make_source(spec)
            try:
                result.shared = not has_own_files(source)
                if not result.shared:
                    request = SyncRequest(project_dir, spec)
                    there = plugins.locate_project(source, request)
                    request = SyncRequest(project_dir, spec, there)
                    result.reports = plugins.verify_sync(source, request)
            finally:
                source.close()
        except Exception as error:
            # A source is somebody else's code: anything may come out of it.
            result.reports = [SyncReport("source", SyncVerdict.UNVERIFIED, worded(error), _hint(error))]

    threads = [
        threading.Thread(target=check, args=pair, name=f"check-{pair[0].id}", daemon=True)
        for pair in zip(specs, checks)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + deadline_s
    for number, thread in enumerate(threads):
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():  # it may still write its result: into one that nobody has
            late = SyncReport("source", SyncVerdict.UNVERIFIED, f"it has not answered for {deadline_s:.0f} s")
            checks[number] = CopyCheck(specs[number].id, reports=[late])
    return checks


def _hint(error: BaseException) -> str:
    return (error.hint or "") if isinstance(error, HsmError) else ""
