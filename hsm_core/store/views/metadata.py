"""sweep_metadata.yaml: where a sweep came from, written once, and how it went, kept up to date below it."""

from __future__ import annotations

from typing import Any, Mapping

from ...flatyaml import dumps
from ..files import write_atomic
from ..layout import SweepLayout
from .facts import Facts
from .words import stamp

__all__ = ["update_metadata", "write_metadata"]

_MARK = "\n# How it went: a view of the journal.\n"


def write_metadata(layout: SweepLayout, origin: Mapping[str, Any]) -> None:
    """Write the part that never changes.

    :param origin: plain data: provenance, settings, sources, command line.
    :raises OSError: when it cannot be written.
    """
    import yaml

    text = yaml.safe_dump(dict(origin), sort_keys=False, allow_unicode=True, width=120)
    write_atomic(layout.metadata, text.encode())


def update_metadata(layout: SweepLayout, facts: Facts) -> None:
    """Replace the part that says how the sweep went. :raises OSError: the old file stands then."""
    try:
        origin = layout.metadata.read_text(encoding="utf-8").partition(_MARK)[0]
    except FileNotFoundError:
        origin = ""
    lines = [f"  {line}\n" for line in dumps(_outcome(facts)).splitlines()]
    text = f"{origin.rstrip()}\n{_MARK}outcome:\n{''.join(lines)}"
    write_atomic(layout.metadata, text.encode())


def _outcome(facts: Facts) -> Mapping[str, Any]:
    def moment(key: str) -> Any:
        return None if facts[key] is None else stamp(facts[key])

    return {
        "state": facts["state"],
        "reason": facts["reason"],
        "total": facts["total"],
        "counts": {state: count for state, count in facts["counts"].items() if count},
        "created_at": moment("created_at"),
        "started_at": moment("started_at"),
        "finished_at": moment("finished_at"),
        "duration_s": facts["duration_s"],
        "sources": [source["id"] for source in facts["sources"]],
    }
