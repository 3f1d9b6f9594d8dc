"""The entry point: offers sources of kind `slurm` to hsm, and finds the cluster of this machine."""

from __future__ import annotations

from typing import Any, List, Mapping

from hsm_core.contract import DiscoverRequest, Source, SourceSpec, SourceType
from hsm_core.hookspecs import hookimpl

__all__ = ["OPTIONS_SCHEMA", "hsm_discover_sources", "hsm_source_types"]


def _word(description: str) -> Mapping[str, Any]:
    return {
        "description": description,
        "type": "string",
        "minLength": 1,
        "not": {"pattern": "[\\x00-\\x1f\\x7f]"},
        "x-expects": "text on one line",
    }


OPTIONS_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "partition": _word("Partition to submit to; several, with commas, if the cluster may choose."),
        "account": _word("Account that is charged."),
        "qos": _word("Quality of service."),
        "constraint": _word("Features that a node must have, in Slurm's notation."),
        "reservation": _word("Reservation to run in."),
    },
}


def _make(spec: SourceSpec) -> Source:
    # Imported when a sweep uses it: `hsm --help` needs none of it.
    from hsm_core.toolkit import BatchSource, LocalHost

    from .dialect import SlurmDialect

    return BatchSource(LocalHost(), SlurmDialect(), spec)


@hookimpl
def hsm_source_types() -> List[SourceType]:
    """The kind `slurm`: a cluster whose commands are here."""
    return [SourceType("slurm", _make, OPTIONS_SCHEMA, family="batch", summary="a Slurm cluster, tasks as job arrays")]


@hookimpl
def hsm_discover_sources(request: DiscoverRequest) -> List[SourceSpec]:
    """The cluster of this machine, if its controller answers."""
    from .discover import discover

    return discover()
