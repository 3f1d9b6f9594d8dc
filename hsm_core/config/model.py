"""The configuration as values: frozen, complete with defaults, in units a program computes with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Tuple

from ..contract import SourceSpec, TaskResources
from .schema import SCHEMA
from .units import parse_duration, parse_memory

__all__ = [
    "ComputeConfig",
    "HsmConfig",
    "OomConfig",
    "ProjectConfig",
    "RetriesConfig",
    "RuleConfig",
    "SourceConfig",
    "default_of",
    "read_config",
    "read_resources",
]


@dataclass(frozen=True)
class ProjectConfig:
    """The program that is swept. `script` is None when the configuration names none."""

    name: str
    script: Optional[str]
    python: str
    conda_env: Optional[str]
    command: Tuple[str, ...]
    arg_style: str
    env: Mapping[str, str]
    setup: Tuple[str, ...]


@dataclass(frozen=True)
class ComputeConfig:
    """How sweeps are run; times in seconds."""

    health_check_interval_s: float
    result_collection_interval_s: float
    strategy: str
    parallel_limit: Optional[int]
    retries: int
    timeout_s: Optional[float]
    hold_after: int
    max_failures: Optional[int]
    grace_s: float


@dataclass(frozen=True)
class OomConfig:
    """How a task that ended for want of memory is given more. :param most_mb: None: without bound but `times`."""

    times: int
    factor: float
    most_mb: Optional[int]


@dataclass(frozen=True)
class RuleConfig:
    """How often, and after how many seconds, a task is tried again after a failure of a class."""

    times: int
    back_off_s: float


@dataclass(frozen=True)
class RetriesConfig:
    """What follows failures of a class that has a rule of its own; None where it has none."""

    on_oom: Optional[OomConfig] = None
    back_off_s: float = 0.0
    rules: Mapping[str, RuleConfig] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceConfig:
    """A source that `hsm_config.yaml` names.

    :param host: the machine, None where the name says it.
    :param project: the project's folder there, None where it is the same as here.
    :param options: the options of the kind's plugin.
    :param shared: options that all sources of the kind have, unless they say otherwise.
    :param speed: how fast a task runs there beside others; for forecasts only, and None where nobody said.
    :param queue_wait_s: how long it waits there before it starts; the same.
    """

    name: str
    kind: str
    slots: Optional[int] = None
    host: Optional[str] = None
    project: Optional[str] = None
    options: Mapping[str, Any] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)
    speed: Optional[float] = None
    queue_wait_s: Optional[float] = None

    def spec(self) -> SourceSpec:
        """The same for the contract: `host` and `project`, where given, are among the options."""
        options = {**self.shared, **self.options}
        for key, value in (("host", self.host), ("project", self.project)):
            if value is not None:
                options[key] = value
        return SourceSpec(self.kind, self.name, self.slots, options)


@dataclass(frozen=True)
class HsmConfig:
    """Everything `hsm_config.yaml` says, and the defaults for what it leaves out.

    :param shared: kind of source or host -> the options that all of that kind share, from the section of that name;
        times in seconds.
    """

    project: ProjectConfig
    compute: ComputeConfig
    retries: RetriesConfig
    shared: Mapping[str, Mapping[str, Any]]
    resources: TaskResources
    sources: Mapping[str, SourceConfig]


def default_of(section: str, key: str) -> Any:
    """The default of a key, as one would write it; None where it has none."""
    return SCHEMA["properties"][section]["properties"][key].get("default")


def read_config(data: Mapping[str, Any], folder_name: str) -> HsmConfig:
    """Values from data that was checked against the schema.

    :param folder_name: the name of the project where none is given.
    """

    def get(section: str, key: str) -> Any:
        given = data.get(section, {})
        return given[key] if key in given else default_of(section, key)

    def seconds(section: str, key: str) -> float:
        return parse_duration(get(section, key))

    ssh = {
        "compression": get("ssh", "compression"),
        "connect_timeout": seconds("ssh", "connect_timeout"),
        "keepalive_interval": seconds("ssh", "keepalive_interval"),
        "config_file": get("ssh", "config_file"),
    }
    shared = {"ssh": {key: value for key, value in ssh.items() if value is not None}}
    timeout = get("compute", "timeout")
    limit = get("compute", "parallel_limit")
    most = get("compute", "max_failures")
    back_off_s = seconds("retries", "back_off")
    return HsmConfig(
        project=ProjectConfig(
            name=data.get("project", {}).get("name", folder_name),
            script=get("project", "script"),
            python=get("project", "python"),
            conda_env=get("project", "conda_env"),
            command=tuple(get("project", "command")),
            arg_style=get("project", "arg_style"),
            env={name: str(value) for name, value in get("project", "env").items()},
            setup=tuple(get("project", "setup")),
        ),
        compute=ComputeConfig(
            health_check_interval_s=seconds("compute", "health_check_interval"),
            result_collection_interval_s=seconds("compute", "result_collection_interval"),
            strategy=get("compute", "strategy"),
            parallel_limit=None if limit is None else int(limit),
            retries=int(get("compute", "retries")),
            timeout_s=None if timeout is None else parse_duration(timeout),
            hold_after=int(get("compute", "hold_after")),
            max_failures=None if most is None else int(most),
            grace_s=seconds("compute", "grace"),
        ),
        retries=RetriesConfig(
            _read_on_oom(get("retries", "on_oom")), back_off_s, _read_rules(get("retries", "rules"), back_off_s)
        ),
        shared=shared,
        resources=read_resources(data.get("resources", {})),
        sources={name: _read_source(name, entry, shared) for name, entry in data.get("sources", {}).items()},
    )


def _read_on_oom(data: Optional[Mapping[str, Any]]) -> Optional[OomConfig]:
    if data is None:
        return None
    rules = SCHEMA["properties"]["retries"]["properties"]["on_oom"]["properties"]
    times, factor, most = (data.get(key, rules[key].get("default")) for key in ("times", "factor", "most"))
    return OomConfig(int(times), float(factor), None if most is None else parse_memory(most))


def _read_rules(data: Mapping[str, Any], back_off_s: float) -> Mapping[str, RuleConfig]:
    return {
        name: RuleConfig(
            int(rule["times"]), parse_duration(rule["back_off"]) if rule.get("back_off") is not None else back_off_s
        )
        for name, rule in data.items()
    }


def read_resources(data: Mapping[str, Any], base: Optional[TaskResources] = None) -> TaskResources:
    """A checked `resources` section as a value; what it leaves out is taken from `base`."""
    base = base or TaskResources()
    memory = data.get("memory")
    walltime = data.get("walltime")
    return TaskResources(
        cpus=data.get("cpus", base.cpus),
        memory_mb=parse_memory(memory) if memory is not None else None if "memory" in data else base.memory_mb,
        gpus=data.get("gpus", base.gpus),
        gpu_type=data.get("gpu_type", base.gpu_type),
        walltime_s=parse_duration(walltime)
        if walltime is not None
        else None
        if "walltime" in data
        else base.walltime_s,
        native=tuple(data.get("native", base.native)),
        options=_merged_options(base.options, data.get("options", {})),
    )


def _merged_options(base: Tuple[Tuple[str, Any], ...], given: Mapping[str, Any]) -> Tuple[Tuple[str, Any], ...]:
    frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return tuple(sorted({**dict(base), **frozen}.items()))


def _read_source(name: str, entry: Mapping[str, Any], shared: Mapping[str, Mapping[str, Any]]) -> SourceConfig:
    known = {key: entry.get(key) for key in ("slots", "host", "project")}
    options = {key: value for key, value in entry.items() if key not in ("kind", "forecast") and key not in known}
    kind, forecast = entry["kind"], entry.get("forecast", {})
    reached_by = str(known["host"] or "").partition(":")[0]
    if reached_by in shared and reached_by != kind:
        options["host_options"] = {**shared[reached_by], **options.get("host_options", {})}
    return SourceConfig(
        name=name,
        kind=kind,
        options=options,
        shared=shared.get(kind, {}),
        speed=forecast.get("speed"),
        queue_wait_s=parse_duration(forecast["queue_wait"]) if "queue_wait" in forecast else None,
        **known,
    )
