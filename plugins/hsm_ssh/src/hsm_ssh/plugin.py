"""The entry point: offers hosts and sources of kind `ssh` to hsm."""

from __future__ import annotations

from typing import Any, Iterable, List, Mapping

from hsm_core.contract import DiagnoseContext, Host, HostType, Source, SourceSpec, SourceType, Stage
from hsm_core.hookspecs import hookimpl
from hsm_core.toolkit.batch_options import one_line
from hsm_core.toolkit.pool_options import FAR_OPTIONS, pool_schema

__all__ = ["HOST_OPTIONS", "OPTIONS_SCHEMA", "hsm_host_types", "hsm_source_types"]

HOST_OPTIONS: Mapping[str, Any] = {
    "compression": {"description": "Compress what is sent.", "type": "boolean"},
    "connect_timeout": {"description": "Seconds to wait for a connection.", "type": "number", "minimum": 0.1},
    "keepalive_interval": {
        "description": "Seconds between two looks whether a connection lives, and for its answer.",
        "type": "number",
        "minimum": 0.1,
    },
    "config_file": one_line("A file to read instead of `~/.ssh/config` and the system's."),
}
"""How a connection is made; the same for hosts and for sources."""

OPTIONS_SCHEMA: Mapping[str, Any] = pool_schema(
    {
        "host": one_line("The machine, as `user@host` or a name from `~/.ssh/config`; the source's name by default."),
        "project": one_line("The project's folder there, which is the user's own copy."),
        **HOST_OPTIONS,
        **FAR_OPTIONS,
    }
)


def _host(address: str, options: Mapping[str, Any]) -> Host:
    # Imported when a sweep uses it: `hsm --help` needs neither paramiko nor what it brings.
    from .host import SshHost

    return SshHost(address, options)


def _make(spec: SourceSpec) -> Source:
    from hsm_core.toolkit import PoolSource

    return PoolSource(_host(spec.options.get("host", spec.name), spec.options), spec)


def _diagnose(spec: SourceSpec, context: DiagnoseContext) -> Iterable[Stage]:
    from .diagnose import stages

    return stages(spec, context)


@hookimpl
def hsm_host_types() -> List[HostType]:
    """The kind `ssh`: a machine that SSH reaches."""
    return [HostType("ssh", _host, {"type": "object", "additionalProperties": False, "properties": HOST_OPTIONS})]


@hookimpl
def hsm_source_types() -> List[SourceType]:
    """The kind `ssh`: tasks as processes on such a machine."""
    return [
        SourceType(
            "ssh",
            _make,
            OPTIONS_SCHEMA,
            summary="a machine reached by SSH, tasks as its processes",
            diagnose=_diagnose,
        )
    ]
