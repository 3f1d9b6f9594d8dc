"""Where a sweep came from, written beside it by a thread of its own: git may take its time, the first task may not."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Mapping

from ..space import SweepFile
from ..store.layout import SweepLayout
from ..store.views import write_metadata
from .settings import Settings

__all__ = ["write_origin"]


def write_origin(
    layout: SweepLayout, settings: Settings, sweep: SweepFile, versions: Mapping[str, str]
) -> threading.Thread:
    """Begin to write sweep_metadata.yaml; the thread ends when it is there, or cannot be written.

    :param versions: of the installed plugins, by distribution.
    """
    thread = threading.Thread(target=_write, args=(layout, settings, sweep, versions), name="origin")
    thread.start()
    return thread


def _write(layout: SweepLayout, settings: Settings, sweep: SweepFile, versions: Mapping[str, str]) -> None:
    from ..project.fingerprint import fingerprint

    origin = {
        "sweep_id": layout.sweep_id,
        "metadata": dict(sweep.metadata),
        "total": settings.total,
        "digest": settings.digest,
        "sources": [asdict(spec) for spec in settings.sources],
        "strategy": settings.strategy,
        "seed": settings.seed,
        "command": list(settings.command),
        "arg_style": settings.arg_style,
        "retries": settings.retries,
        "on_oom": settings.on_oom,
        "timeout_s": settings.timeout_s,
        "verify_sync": settings.verify_sync,
        "provenance": fingerprint(Path(settings.project_dir), settings.argv or None, versions),
    }
    with contextlib.suppress(OSError):  # a view: that it is missing is seen, and the sweep goes on
        write_metadata(layout, origin)
