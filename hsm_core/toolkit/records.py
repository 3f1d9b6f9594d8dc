"""What a host says of an attempt, held to what a record may be: a host that lies wastes nothing but its own tasks."""

from __future__ import annotations

from typing import Any, Dict, Optional

from ..contract import ExitRecord

__all__ = ["sound_record"]

_MAX_FIELDS = 40
_MAX_TEXT = 4096
_MAX_LIST = 1024


def sound_record(detail: Any) -> Optional[ExitRecord]:
    """The record, without whatever none has: nested things, and texts without end; None when it is no record."""
    if not isinstance(detail, dict):
        return None
    record: Dict[str, Any] = {}
    for key, value in detail.items():
        if len(record) >= _MAX_FIELDS or len(key) > 100:
            continue
        if isinstance(value, str):
            record[key] = value[:_MAX_TEXT]
        elif value is None or isinstance(value, (int, float)):
            record[key] = value
        elif isinstance(value, list):
            record[key] = [item for item in value[:_MAX_LIST] if isinstance(item, (str, int))]
    return record
