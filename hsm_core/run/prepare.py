"""Everything that is checked before a sweep begins: files, sources, strategy, command. Writes nothing."""

from __future__ import annotations

import dataclasses
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Mapping, Optional, Tuple

from ..config import LoadedConfig, read_resources
from ..contract import SourceSpec
from ..errors import ConfigError, NotFoundError
from ..plugins import Plugins
from ..project.conda import activation
from ..space import SweepFile, load_space
from ..store.layout import check_sweep_id
from ..yamlfile import load
from .settings import Settings
from .sources import DEFAULT_SOURCES, check_task_options, parse_sources, resolve_sources

__all__ = ["Prepared", "RunOptions", "prepare"]


@dataclass(frozen=True)
class RunOptions:
    """What the command line of `hsm run` says beyond the files; None leaves it to the configuration.

    :param sources: text of `--sources`.
    """

    sources: Optional[str] = None
    parallel_limit: Optional[int] = None
    strategy: Optional[str] = None
    max_tasks: Optional[int] = None
    sweep_id: Optional[str] = None
    retries: Optional[int] = None
    timeout_s: Optional[float] = None
    max_failures: Optional[int] = None
    canary: bool = False
    keep_going: bool = False
    verify_sync: bool = True


@dataclass(frozen=True)
class Prepared:
    """A sweep that could begin now.

    :param text: the sweep file as it was, byte for byte.
    """

    sweep_path: Path
    text: bytes
    sweep: SweepFile
    settings: Settings
    sweep_id: Optional[str]
    warnings: Tuple[str, ...]


def prepare(config: LoadedConfig, sweep_path: Path, options: RunOptions, plugins: Optional[Plugins]) -> Prepared:
    """Check all that can be checked.

    :param plugins: None where no source is needed (`--count-only`); sources and strategy stay unchecked then.
    :raises HsmError: naming the first thing that is wrong.
    """
    if options.sweep_id is not None:
        check_sweep_id(options.sweep_id)
    text, sweep = read_sweep_file(sweep_path)
    project, compute = config.config.project, config.config.compute
    total = sweep.space.total if options.max_tasks is None else min(options.max_tasks, sweep.space.total)
    specs: List[SourceSpec] = []
    strategy = options.strategy or compute.strategy
    if plugins is not None:
        asked = DEFAULT_SOURCES if options.sources is None else options.sources
        specs = resolve_sources(parse_sources(asked), config, plugins)
        plugins.strategy(strategy)
        check_task_options(_wanted_options(config, sweep), [plugins.source_type(spec.kind) for spec in specs])
    command = sweep.command or project.command
    resources = read_resources(sweep.resources, config.config.resources)
    on_oom = config.config.retries.on_oom
    if on_oom is not None and resources.memory_mb is None:
        raise ConfigError(
            "retries.on_oom gives tasks more memory, but nobody says how much they have at first",
            "hsm config set resources.memory 4G",
        )
    settings = Settings(
        project_dir=str(config.project_dir),
        total=total,
        digest=sweep.space.digest,
        command=command,
        arg_style=project.arg_style,
        python=project.python,
        script=project.script,
        env=dict(project.env),
        setup=(*project.setup, *activation(project.conda_env)),
        sources=tuple(specs),
        argv=tuple(sys.argv),
        strategy=strategy,
        seed=secrets.randbits(31),
        parallel_limit=options.parallel_limit or compute.parallel_limit,
        retries=compute.retries if options.retries is None else options.retries,
        on_oom=None if on_oom is None else dataclasses.asdict(on_oom),
        retry_rules={name: dataclasses.asdict(rule) for name, rule in config.config.retries.rules.items()},
        back_off_s=config.config.retries.back_off_s,
        timeout_s=options.timeout_s or compute.timeout_s,
        grace_s=compute.grace_s,
        hold_after=compute.hold_after,
        max_failures=options.max_failures or compute.max_failures,
        canary=options.canary,
        health_check_interval_s=compute.health_check_interval_s,
        result_collection_interval_s=compute.result_collection_interval_s,
        keep_going=options.keep_going,
        verify_sync=options.verify_sync,
        resources=resources,
    )
    check_script(settings)
    warnings = tuple(str(problem) for problem in (*config.warnings, *sweep.warnings))
    return Prepared(sweep_path, text, sweep, settings, options.sweep_id, warnings)


def _wanted_options(config: LoadedConfig, sweep: SweepFile) -> List[Mapping[str, Any]]:
    """Options of sources that tasks want otherwise, wherever they are written."""
    sections = [sweep.resources, *(group.resources for group in sweep.groups)]
    return [dict(config.config.resources.options), *(section.get("options") or {} for section in sections)]


def read_sweep_file(path: Path) -> Tuple[bytes, SweepFile]:
    """A sweep file's bytes and meaning. :raises NotFoundError, ConfigError: it is not there, or is not right."""
    document = load(path)
    try:
        return path.read_bytes(), load_space(document)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}") from error


def check_script(settings: Settings) -> None:
    """The program that is to run is there.

    :raises ConfigError: the command needs a script, and none is named.
    :raises NotFoundError: the script is not there.
    """
    if not any("{script}" in word for word in settings.command):
        return
    if settings.script is None:
        raise ConfigError(
            "hsm_config.yaml names no script to run", "hsm config set project.script train.py, or set project.command"
        )
    path = Path(settings.project_dir, settings.script)
    if not path.is_file():
        raise NotFoundError(f"project.script: {path} is not there", "hsm config set project.script PATH")
