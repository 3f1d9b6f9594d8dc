"""Plugins: found, loaded one by one, and asked through a typed facade. Nothing else touches pluggy.

A plugin that cannot be loaded stops nobody: it is kept with its error, which `hsm plugins` shows and which is quoted
when something is asked for that it may have offered.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, TypeVar

import pluggy

from . import hookspecs
from .contract import (
    API_VERSION,
    Attempt,
    DiscoverRequest,
    Handle,
    HostType,
    PollResult,
    Source,
    SourceSpec,
    SourceType,
    StrategyType,
    SubmitRequest,
    SubmitResult,
)
from .errors import HsmError, NoSourceError, UsageError
from .hookspecs import PROJECT, hookimpl

__all__ = ["PluginInfo", "Plugins", "load"]

_Record = TypeVar("_Record", SourceType, HostType, StrategyType)

_OURS = {
    "local": "hsm-local",
    "ssh": "hsm-ssh",
    "slurm": "hsm-slurm",
    "pbs": "hsm-pbs",
}
"""Packages of this project by a word that people type, for the hint alone: nothing is decided by it."""


@dataclass
class PluginInfo:
    """A plugin that was found, loaded or not.

    :param name: its entry point's name.
    :param error: why it cannot be used; empty when it can.
    """

    name: str
    distribution: str = ""
    version: str = ""
    error: str = ""
    kinds: List[str] = field(default_factory=list)
    hosts: List[str] = field(default_factory=list)
    strategies: List[str] = field(default_factory=list)


class _CoreDefaults:
    """The core's own implementations, which every plugin can wrap or replace."""

    @hookimpl(trylast=True)
    def hsm_submit(self, source: Source, request: SubmitRequest) -> SubmitResult:
        return source.submit(request)

    @hookimpl(trylast=True)
    def hsm_poll(self, source: Source, handles: Mapping[Attempt, Handle]) -> PollResult:
        return source.poll(handles)


class Plugins:
    """What the installed plugins offer, by name."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._manager.register(_CoreDefaults(), "core")
        self.infos: List[PluginInfo] = []
        self._kinds: Dict[str, SourceType] = {}
        self._hosts: Dict[str, HostType] = {}
        self._strategies: Dict[str, StrategyType] = {}

    # --- loading

    def add(self, info: PluginInfo, load_module: Callable[[], object]) -> None:
        """Load one plugin and take what it offers; its failure becomes `info.error`."""
        self.infos.append(info)
        module: Optional[object] = None
        try:
            module = load_module()
            self._manager.register(module, info.name)
            self._manager.check_pending()
            self._take_offers(info, module)
        except Exception as error:
            # Anything may come out of somebody else's module; it must not reach a sweep that does not need it.
            info.error = f"{type(error).__name__}: {error}"
            self._drop(info, module)

    def _take_offers(self, info: PluginInfo, module: object) -> None:
        for record in self._offers(module, "hsm_source_types", SourceType):
            self._register(info.kinds, self._kinds, record.kind, record)
        for record in self._offers(module, "hsm_host_types", HostType):
            self._register(info.hosts, self._hosts, record.kind, record)
        for record in self._offers(module, "hsm_strategies", StrategyType):
            self._register(info.strategies, self._strategies, record.name, record)

    def _offers(self, module: object, hook: str, type_: Callable[..., _Record]) -> List[_Record]:
        caller = getattr(self._manager.hook, hook)
        own = [impl for impl in caller.get_hookimpls() if impl.plugin is module]
        records: List[_Record] = [record for impl in own for record in impl.function()]
        for record in records:
            if not isinstance(record, type_):  # type: ignore[arg-type]
                raise TypeError(f"{hook} must yield {type_.__name__}, not {record!r}")  # type: ignore[attr-defined]
            _check_version(record.api)
        return records

    @staticmethod
    def _register(names: List[str], registry: Dict[str, _Record], name: str, record: _Record) -> None:
        if name in registry:
            raise ValueError(f"another plugin already offers {name!r}")
        registry[name] = record
        names.append(name)

    def _drop(self, info: PluginInfo, module: Optional[object]) -> None:
        """Leave nothing of a plugin that failed half-way. (`register` records a name before it validates.)"""
        for names, registry in (
            (info.kinds, self._kinds),
            (info.hosts, self._hosts),
            (info.strategies, self._strategies),
        ):
            for name in names:
                registry.pop(name, None)  # type: ignore[attr-defined]
            names.clear()
        if module is not None and self._manager.is_registered(module):
            self._manager.unregister(module)

    # --- what is offered

    @property
    def kinds(self) -> Mapping[str, SourceType]:
        """Kinds of source by name."""
        return self._kinds

    @property
    def strategies(self) -> Mapping[str, StrategyType]:
        """Strategies by name."""
        return self._strategies

    def source_type(self, kind: str) -> SourceType:
        """A kind of source. :raises NoSourceError: naming the package to install, or why the plugin is broken."""
        found = self._kinds.get(kind)
        if found is None:
            raise self._missing(NoSourceError, "source kind", kind, self._kinds)
        return found

    def host_type(self, kind: str) -> HostType:
        """A kind of host. :raises NoSourceError: when no plugin offers it."""
        found = self._hosts.get(kind)
        if found is None:
            raise self._missing(NoSourceError, "host kind", kind, self._hosts)
        return found

    def strategy(self, name: str) -> StrategyType:
        """A strategy. :raises UsageError: when no plugin offers it."""
        found = self._strategies.get(name)
        if found is None:
            raise self._missing(UsageError, "strategy", name, self._strategies)
        return found

    def _missing(self, error: Callable[[str, str], HsmError], what: str, name: str, known: Iterable[str]) -> HsmError:
        known = sorted(known)
        broken = [info for info in self.infos if info.error and name in (info.name, *_words(info.name))]
        if broken:
            return error(f"no {what} '{name}': its plugin is broken: {broken[0].error}", "see: hsm plugins")
        near = difflib.get_close_matches(name, known, 1)
        package = _OURS.get(name, f"hsm-{name.replace('_', '-')}")
        hint = f"did you mean {near[0]!r}?" if near else f"pip install {package}"
        listed = f" (installed: {', '.join(known)})" if known else " (none is installed)"
        return error(f"no {what} '{name}'{listed}", hint)

    # --- hooks

    def discover(self, request: DiscoverRequest) -> Tuple[List[SourceSpec], List[str]]:
        """Sources that can be used here, and the errors of plugins that failed to look."""
        specs: List[SourceSpec] = []
        errors: List[str] = []
        for impl in self._manager.hook.hsm_discover_sources.get_hookimpls():
            try:
                arguments = [request] if "request" in impl.argnames else []
                specs += impl.function(*arguments)
            except Exception as error:
                errors.append(f"{impl.plugin_name}: {type(error).__name__}: {error}")
        return specs, errors

    def submit(self, source: Source, request: SubmitRequest) -> SubmitResult:
        """The hook `hsm_submit`."""
        result: SubmitResult = self._manager.hook.hsm_submit(source=source, request=request)
        return result

    def poll(self, source: Source, handles: Mapping[Attempt, Handle]) -> PollResult:
        """The hook `hsm_poll`."""
        result: PollResult = self._manager.hook.hsm_poll(source=source, handles=handles)
        return result

    @property
    def observers(self) -> List[Tuple[str, Callable[..., Any]]]:
        """Implementations of `hsm_event`, with their plugins' names."""
        return [(impl.plugin_name, impl.function) for impl in self._manager.hook.hsm_event.get_hookimpls()]

    def metrics(self, task_dir: str) -> Dict[str, object]:
        """The hook `hsm_extract_metrics`, merged; a plugin that fails adds nothing."""
        merged: Dict[str, object] = {}
        for impl in self._manager.hook.hsm_extract_metrics.get_hookimpls():
            try:
                merged.update(impl.function(task_dir) or {})
            except Exception:
                continue
        return merged

    @property
    def verifiers(self) -> List[str]:
        """Names of the plugins that can verify sync."""
        return [impl.plugin_name for impl in self._manager.hook.hsm_verify_sync.get_hookimpls()]


def _words(name: str) -> List[str]:
    return name.replace("-", "_").split("_")


def _check_version(api: Tuple[int, int]) -> None:
    """A plugin written for another major version, or for a newer minor one, is turned away with both numbers."""
    if api[0] != API_VERSION[0] or api[1] > API_VERSION[1]:
        raise ValueError(
            f"written for plugin API {api[0]}.{api[1]}, but this hsm-core has {API_VERSION[0]}.{API_VERSION[1]}"
        )


def load() -> Plugins:
    """Every installed plugin. `HSM_BLOCK_PLUGINS` (comma-separated names) keeps plugins out."""
    from importlib import metadata

    plugins = Plugins()
    blocked = {name for name in os.environ.get("HSM_BLOCK_PLUGINS", "").split(",") if name}
    seen = set()
    for distribution in metadata.distributions():
        for entry in distribution.entry_points:
            if entry.group != PROJECT or entry.name in seen:
                continue
            seen.add(entry.name)
            info = PluginInfo(entry.name, distribution.metadata["Name"], distribution.version)
            if entry.name in blocked:
                info.error = "blocked by HSM_BLOCK_PLUGINS"
                plugins.infos.append(info)
            else:
                plugins.add(info, entry.load)
    plugins.infos.sort(key=lambda info: info.name)
    return plugins


def from_modules(modules: Mapping[str, ModuleType]) -> Plugins:
    """Plugins given by hand, for tests and for programs that bring their own."""
    plugins = Plugins()
    for name, module in modules.items():
        plugins.add(PluginInfo(name), lambda module=module: module)  # type: ignore[misc]
    return plugins
