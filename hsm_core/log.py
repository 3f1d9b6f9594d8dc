"""Diagnostics for whoever debugs hsm, or a plugin of their own: structured lines on standard error.

Off unless the environment asks: `HSM_LOG=debug`, `info` or `warning`; `HSM_LOG_FORMAT=json` for machines. What a person
must know is never only here. structlog is imported with the first line, because importing it takes 0.1 s.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional

__all__ = ["Log"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30}
_OFF = 100


class Log:
    """The log of one part of the program.

    :param part: its name, which every line carries.
    """

    _backend: Optional[Any] = None

    def __init__(self, part: str, environ: Mapping[str, str] = os.environ) -> None:
        self._part = part
        self._environ = environ

    def _enabled(self, level: str) -> bool:
        asked = self._environ.get("HSM_LOG", "")
        return bool(asked) and _LEVELS[level] >= _LEVELS.get(asked.lower(), _OFF)

    def debug(self, event: str, **fields: Any) -> None:
        """Every call of a source, every batch of events."""
        if self._enabled("debug"):
            self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What happens once or twice in a sweep."""
        if self._enabled("info"):
            self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """What went wrong and was survived."""
        if self._enabled("warning"):
            self._write("warning", event, fields)

    def _write(self, level: str, event: str, fields: Dict[str, Any]) -> None:
        if Log._backend is None:
            Log._backend = _make_backend(self._environ)
        getattr(Log._backend, level)(event, part=self._part, **fields)


def _make_backend(environ: Mapping[str, str]) -> Any:
    import sys

    import structlog

    as_json = environ.get("HSM_LOG_FORMAT") == "json"
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "part", "event"], bool_as_flag=False)
    )
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
