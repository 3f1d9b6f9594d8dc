"""The entry point: offers sources of kind `pbs` to hsm, and finds the cluster of this machine."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

from hsm_core.contract import DiagnoseContext, DiscoverRequest, Host, Source, SourceSpec, SourceType, Stage
from hsm_core.hookspecs import hookimpl
from hsm_core.toolkit.batch_options import batch_schema, one_line

__all__ = ["OPTIONS_SCHEMA", "hsm_discover_sources", "hsm_source_types"]

OPTIONS_SCHEMA: Mapping[str, Any] = batch_schema(
    {
        "queue": one_line("Queue to submit to."),
        "account": one_line("Account that is charged (-A)."),
        "charge_project": one_line("Project that is charged (-P); not on Torque."),
        "select": one_line("More that each chunk asks for, as it stands in a selection: `host=n1:arch=linux`."),
        "place": one_line("How chunks are placed: `excl`, `scatter` …"),
        "gpu_type_resource": one_line("What the cluster calls the type of a GPU in a selection; `gpu_type` otherwise."),
    }
)


def _make(spec: SourceSpec) -> Source:
    from hsm_core.toolkit import LocalHost

    return _make_over(spec, LocalHost())


def _make_over(spec: SourceSpec, host: Host) -> Source:
    # Imported when a sweep uses it: `hsm --help` needs none of it.
    from hsm_core.toolkit.batch import BatchSource

    from .dialect import PbsDialect

    return BatchSource(host, PbsDialect(), spec)


def _stages(spec: SourceSpec, context: DiagnoseContext) -> Sequence[Stage]:
    from .diagnose import stages

    return stages(spec, context)


@hookimpl
def hsm_source_types() -> List[SourceType]:
    """The kind `pbs`: a cluster whose commands are here, or on a machine that is reached from here."""
    summary = "a PBS cluster (OpenPBS, PBS Pro, Torque), tasks as job arrays"
    return [SourceType("pbs", _make, OPTIONS_SCHEMA, "batch", summary, diagnose=_stages, over_host=_make_over)]


@hookimpl
def hsm_discover_sources(request: DiscoverRequest) -> List[SourceSpec]:
    """The cluster of this machine, if its server answers."""
    from hsm_core.toolkit.batch_discovery import discover_cluster

    from .dialect import PbsDialect

    return discover_cluster("pbs", PbsDialect(), ("qsub", "qstat", "qdel"))
