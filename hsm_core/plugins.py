"""Plugins: found, loaded one by one, and asked through a typed facade. Nothing else touches pluggy.

A plugin that cannot be loaded stops nobody: it is kept with its error, which `hsm plugins` shows and which is quoted
when something is asked for that it may have offered.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, Type, TypeVar, Union

import pluggy

from . import hookspecs
from .contract import (
    API_VERSION,
    Attempt,
    DiscoverRequest,
    Handle,
    Host,
    HostType,
    PollResult,
    PushPlan,
    PushRequest,
    Source,
    SourceSpec,
    SourceType,
    StrategyType,
    SubmitRequest,
    SubmitResult,
    SyncReport,
    SyncRequest,
    SyncVerdict,
)
from .errors import HsmError, NoSourceError, UsageError
from .hookspecs import PROJECT, hookimpl
from .log import Log

__all__ = ["PluginInfo", "Plugins", "from_modules", "load"]

_log = Log("plugins")
_Record = TypeVar("_Record", SourceType, HostType, StrategyType)


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

    @hookimpl(trylast=True)
    def hsm_locate_project(self, request: SyncRequest) -> Optional[str]:
        configured = request.spec.options.get("project") if request.spec is not None else None
        return None if configured is None else str(configured)


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
            self._take(module, "hsm_source_types", SourceType, self._kinds, info.kinds)
            self._take(module, "hsm_host_types", HostType, self._hosts, info.hosts)
            self._take(module, "hsm_strategies", StrategyType, self._strategies, info.strategies)
        except (Exception, SystemExit) as error:
            # Anything may come out of somebody else's module; it must not reach a sweep that does not need it.
            info.error = _one_line(error)
            self._drop(info, module)
            _log.warning("plugin is broken", plugin=info.name, exc_info=error)

    def _take(
        self, module: object, hook: str, type_: Type[_Record], registry: Dict[str, _Record], names: List[str]
    ) -> None:
        """Take the records that one module yields from one hook, noting their names."""
        own = [impl for impl in getattr(self._manager.hook, hook).get_hookimpls() if impl.plugin is module]
        for impl in own:
            for record in impl.function():
                if not isinstance(record, type_):
                    raise TypeError(f"{hook} must yield {type_.__name__}, not {record!r}")
                _check_version(record.api)
                name = _name_of(record)
                if name in registry:
                    raise ValueError(f"another plugin already offers {name!r}")
                registry[name] = record
                names.append(name)

    def _drop(self, info: PluginInfo, module: Optional[object]) -> None:
        """Leave nothing of a plugin that failed half-way. (`register` records a name before it validates.)"""
        _forget(self._kinds, info.kinds)
        _forget(self._hosts, info.hosts)
        _forget(self._strategies, info.strategies)
        if module is not None and self._manager.get_plugin(info.name) is module:
            self._manager.unregister(module)

    # --- what is offered

    @property
    def kinds(self) -> Mapping[str, SourceType]:
        """Kinds of source by name."""
        return self._kinds

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of the distributions that plugins came from."""
        return {info.distribution: info.version for info in self.infos if info.distribution}

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

    def make_source(self, spec: SourceSpec) -> Source:
        """A source, not opened: over the host that its option `host` names, `KIND:ADDRESS`, where its kind takes one.

        :raises NoSourceError: nobody offers its kind, or that kind of host.
        """
        offered = self.source_type(spec.kind)
        host = self.make_host(spec)
        if offered.over_host is None or host is None:
            return offered.factory(spec)
        return offered.over_host(spec, host)

    def make_host(self, spec: SourceSpec) -> Optional[Host]:
        """The host that a source's option `host` names, not connected; None where none is, or its kind takes none.

        :raises NoSourceError: nobody offers the source's kind, or that kind of host.
        """
        where = spec.options.get("host")
        if self.source_type(spec.kind).over_host is None or not isinstance(where, str):
            return None
        kind, colon, address = where.partition(":")
        if not colon:
            raise NoSourceError(
                f"{spec.id}: the host {where!r} does not say how it is reached", f"host: ssh:{where} in hsm_config.yaml"
            )
        return self.host_type(kind).factory(address, spec.options.get("host_options", {}))

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
        broken = [info for info in self.infos if info.error]
        for info in broken:
            if name in (info.name, *info.name.replace("-", "_").split("_")):
                return error(f"no {what} '{name}': its plugin is broken: {info.error}", "see: hsm plugins")
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"pip install hsm-{name.replace('_', '-')}"
        if broken:
            hint += f" (broken plugins: {', '.join(info.name for info in broken)}; see: hsm plugins)"
        listed = f" (installed: {', '.join(known)})" if known else " (none is installed)"
        return error(f"no {what} '{name}'{listed}", hint)

    # --- hooks

    def discover(self, request: DiscoverRequest) -> Tuple[List[SourceSpec], List[str]]:
        """Sources that can be used here, and the errors of plugins that failed to look."""
        specs: List[SourceSpec] = []
        errors: List[str] = []
        for impl in self._manager.hook.hsm_discover_sources.get_hookimpls():
            try:
                specs += list(_call(impl, request=request))
            except Exception as error:
                errors.append(f"{impl.plugin_name}: {_one_line(error)}")
        return specs, errors

    def submit(self, source: Source, request: SubmitRequest) -> SubmitResult:
        """The hook `hsm_submit`."""
        result: SubmitResult = self._manager.hook.hsm_submit(source=source, request=request)
        return result

    def poll(self, source: Source, handles: Mapping[Attempt, Handle]) -> PollResult:
        """The hook `hsm_poll`."""
        result: PollResult = self._manager.hook.hsm_poll(source=source, handles=handles)
        return result

    def locate_project(self, source: Source, request: SyncRequest) -> Optional[str]:
        """The hook `hsm_locate_project`: where the project is on the source's host; None: the same path as here."""
        path: Optional[str] = self._manager.hook.hsm_locate_project(source=source, request=request)
        return path

    def plan_push(self, source: Source, request: PushRequest) -> Optional[PushPlan]:
        """The hook `hsm_plan_push`; None: no plugin can push there."""
        plan: Optional[PushPlan] = self._manager.hook.hsm_plan_push(source=source, request=request)
        return plan

    @property
    def observers(self) -> List[Tuple[str, Callable[..., Any]]]:
        """Implementations of `hsm_event`, with their plugins' names."""
        return [(impl.plugin_name, impl.function) for impl in self._manager.hook.hsm_event.get_hookimpls()]

    def metrics(self, task_dir: str) -> Dict[str, object]:
        """The hook `hsm_extract_metrics`, merged; a plugin that fails adds nothing."""
        merged: Dict[str, object] = {}
        for impl in self._manager.hook.hsm_extract_metrics.get_hookimpls():
            try:
                merged.update(_call(impl, task_dir=task_dir) or {})
            except Exception:
                continue
        return merged

    @property
    def verifiers(self) -> List[str]:
        """Names of the plugins that can verify sync."""
        return [impl.plugin_name for impl in self._manager.hook.hsm_verify_sync.get_hookimpls()]

    def verify_sync(self, source: Source, request: SyncRequest) -> List[SyncReport]:
        """The hook `hsm_verify_sync`: every report, worst first; a verifier that fails has not verified."""
        reports: List[SyncReport] = []
        for impl in self._manager.hook.hsm_verify_sync.get_hookimpls():
            arguments = {"source": source, "request": request}
            try:
                answer: Any = impl.function(**{n: arguments[n] for n in impl.argnames})
            except Exception as error:
                answer = SyncReport(impl.plugin_name, SyncVerdict.UNVERIFIED, f"could not verify: {_one_line(error)}")
            if answer is not None:
                reports += [answer] if isinstance(answer, SyncReport) else list(answer)
        worst_first = list(SyncVerdict)
        return sorted(reports, key=lambda report: worst_first.index(report.verdict))


def _call(impl: pluggy.HookImpl, **arguments: object) -> Any:
    """One implementation by itself, with those of the arguments that it names."""
    return impl.function(*(arguments[name] for name in impl.argnames))


def _name_of(record: Union[SourceType, HostType, StrategyType]) -> str:
    return record.name if isinstance(record, StrategyType) else record.kind


def _forget(registry: Dict[str, _Record], names: List[str]) -> None:
    for name in names:
        del registry[name]
    names.clear()


def _one_line(error: BaseException) -> str:
    # What we raise ourselves is a sentence; of anything else its kind is half of the message.
    words = error.message if isinstance(error, HsmError) else f"{type(error).__name__}: {error}"
    return " ".join(words.split())


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
    owners: Dict[str, str] = {}
    for distribution in metadata.distributions():
        try:
            entries = [entry for entry in distribution.entry_points if entry.group == PROJECT]
            owner = str(distribution.metadata["Name"]) if entries else ""
        except Exception:
            continue  # the broken metadata of some package that may have nothing to do with us
        for entry in entries:
            first = owners.setdefault(entry.name, owner)
            info = PluginInfo(entry.name, owner, distribution.version)
            if first != owner:
                info.error = f"{first} already has a plugin {entry.name!r}"
                plugins.infos.append(info)
            elif any(known.name == entry.name for known in plugins.infos):
                continue  # the same distribution, found in two places of the path: the first one is imported
            elif entry.name in blocked:
                info.error = "blocked by HSM_BLOCK_PLUGINS"
                plugins.infos.append(info)
            else:
                plugins.add(info, entry.load)
    plugins.infos.sort(key=lambda info: info.name)
    return plugins


def _given(module: ModuleType) -> ModuleType:
    return module


def from_modules(modules: Mapping[str, ModuleType]) -> Plugins:
    """Plugins given by hand, for tests and for programs that bring their own."""
    plugins = Plugins()
    for name, module in modules.items():
        plugins.add(PluginInfo(name), partial(_given, module))
    return plugins
