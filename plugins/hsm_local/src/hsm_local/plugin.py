"""The entry point: offers sources of kind `local` to hsm, and finds the one that is always there."""

from __future__ import annotations

from typing import Any, List, Mapping

from hsm_core.contract import DiscoverRequest, Source, SourceSpec, SourceType
from hsm_core.hookspecs import hookimpl
from hsm_core.toolkit.pool_options import pool_schema

__all__ = ["DEFAULT_SLOTS", "OPTIONS_SCHEMA", "hsm_discover_sources", "hsm_source_types"]

DEFAULT_SLOTS = 4
"""How many tasks `--sources local` runs at once, on any machine: one command means one thing everywhere."""

OPTIONS_SCHEMA: Mapping[str, Any] = pool_schema({})


def _make(spec: SourceSpec) -> Source:
    # Imported when a sweep uses it: `hsm --help` does not need processes and threads.
    from hsm_core.toolkit import LocalHost, PoolSource

    return PoolSource(LocalHost(), spec, default_slots=DEFAULT_SLOTS)


@hookimpl
def hsm_source_types() -> List[SourceType]:
    """The kind `local`: this machine."""
    return [SourceType("local", _make, OPTIONS_SCHEMA, summary="this machine, tasks as child processes")]


@hookimpl
def hsm_discover_sources(request: DiscoverRequest) -> List[SourceSpec]:
    """This machine can always be used."""
    return [SourceSpec("local", "local")]
