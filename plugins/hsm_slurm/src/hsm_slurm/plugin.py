"""The entry point: offers sources of kind `slurm` to hsm, and finds the cluster of this machine."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

from hsm_core.contract import DiagnoseContext, DiscoverRequest, Host, Source, SourceSpec, SourceType, Stage
from hsm_core.hookspecs import hookimpl
from hsm_core.toolkit.batch_options import batch_schema, one_line

__all__ = ["OPTIONS_SCHEMA", "hsm_discover_sources", "hsm_source_types"]

_DESCRIBE_S = 0.5

OPTIONS_SCHEMA: Mapping[str, Any] = batch_schema(
    {
        "partition": one_line("Partition to submit to; several, with commas, if the cluster may choose."),
        "account": one_line("Account that is charged."),
        "qos": one_line("Quality of service."),
        "constraint": one_line("Features that a node must have, in Slurm's notation."),
        "reservation": one_line("Reservation to run in."),
    }
)


def _make(spec: SourceSpec) -> Source:
    from hsm_core.toolkit import LocalHost

    return _make_over(spec, LocalHost())


def _make_over(spec: SourceSpec, host: Host) -> Source:
    # Imported when a sweep uses it: `hsm --help` needs none of it.
    from hsm_core.toolkit.batch import BatchSource

    from .dialect import SlurmDialect

    return BatchSource(host, SlurmDialect(), spec)


def _stages(spec: SourceSpec, context: DiagnoseContext) -> Sequence[Stage]:
    from .diagnose import stages

    return stages(spec, context)


@hookimpl
def hsm_source_types() -> List[SourceType]:
    """The kind `slurm`: a cluster whose commands are here, or on a machine that is reached from here."""
    return [
        SourceType(
            "slurm",
            _make,
            OPTIONS_SCHEMA,
            family="batch",
            summary="a Slurm cluster, tasks as job arrays",
            diagnose=_stages,
            over_host=_make_over,
        )
    ]


@hookimpl
def hsm_discover_sources(request: DiscoverRequest) -> List[SourceSpec]:
    """The cluster of this machine, if its controller answers."""
    from dataclasses import replace

    from hsm_core.toolkit.batch_discovery import ask, discover_cluster

    from .dialect import SlurmDialect
    from .partitions import is_default, partitions_command, read_partitions

    specs = discover_cluster("slurm", SlurmDialect(), ("sbatch", "squeue", "scancel", "scontrol"))
    if request.describe and specs:
        there = read_partitions(ask(partitions_command(), _DESCRIBE_S))
        default = next((name for name, one in there.items() if is_default(one)), None)
        if default is not None:
            specs = [replace(spec, options={"partition": default}) for spec in specs]
    return specs
