"""Every hook that a plugin may implement.

A plugin is a module, registered under the entry-point group `hsm`, with functions marked `@hookimpl`. An implementation
may take fewer arguments than the specification: only those it names. Records that hooks yield are from
`hsm_core.contract`. Hooks marked *firstresult* stop at the first answer that is not None; the core's own implementation
comes last, so that a plugin can take its place or wrap it (`@hookimpl(wrapper=True)`).
"""

from __future__ import annotations

from typing import Iterable, Mapping, Optional, Sequence, Union

import pluggy

from .contract import (
    Attempt,
    DiscoverRequest,
    Handle,
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
)

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT = "hsm"
"""Name of the pluggy project and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def hsm_source_types() -> Iterable[SourceType]:  # type: ignore[empty-body]
    """Kinds of source that this plugin offers. Called once, at start; no I/O, heavy imports only in the factory.

    Example::

        @hookimpl
        def hsm_source_types():
            yield SourceType("tsp", TaskSpooler, summary="a queue on this machine")

    :returns: any number of `SourceType`.

    .. versionadded:: 1.0
    """


@hookspec
def hsm_host_types() -> Iterable[HostType]:  # type: ignore[empty-body]
    """Ways to reach a machine that this plugin offers (`host: ssh:login1`). Called once; no I/O.

    Example::

        @hookimpl
        def hsm_host_types():
            yield HostType("docker", lambda address, options: DockerHost(address))

    .. versionadded:: 1.0
    """


@hookspec
def hsm_strategies() -> Iterable[StrategyType]:  # type: ignore[empty-body]
    """Distribution strategies that this plugin offers. Called once.

    Example::

        @hookimpl
        def hsm_strategies():
            yield StrategyType("first", lambda seed: FirstSource(), "always the first source with room")

    .. versionadded:: 1.0
    """


@hookspec
def hsm_discover_sources(request: DiscoverRequest) -> Iterable[SourceSpec]:  # type: ignore[empty-body]
    """Sources that can be used here and now, without being configured.

    Called when a person asks for `hpc`, runs `hsm config init` or `hsm plugins`. Must answer within three seconds; a
    scheduler counts only if its server answers. With `request.describe` the specs may have options that are worth
    seeing in a new configuration.

    Example::

        @hookimpl
        def hsm_discover_sources(request):
            if shutil.which("tsp"):
                yield SourceSpec("tsp", "tsp")

    .. versionadded:: 1.0
    """


@hookspec(firstresult=True)
def hsm_submit(source: Source, request: SubmitRequest) -> Optional[SubmitResult]:
    """Submit tasks to a source. *firstresult*; the core's own implementation is `source.submit(request)`.

    A place to audit, limit or break submissions on purpose. Called from the source's worker thread.

    Example::

        @hookimpl(wrapper=True)
        def hsm_submit(source, request):
            result = yield
            audit.info("submitted %d tasks", len(request.tasks))
            return result

    .. versionadded:: 1.0
    """


@hookspec(firstresult=True)
def hsm_poll(source: Source, handles: Mapping[Attempt, Handle]) -> Optional[PollResult]:
    """Ask a source for news. *firstresult*; the core's own implementation is `source.poll(handles)`.

    Called from the source's worker thread. Example::

        @hookimpl(tryfirst=True)
        def hsm_poll(source, handles):
            if maintenance_window():
                return PollResult((), complete=False)

    .. versionadded:: 1.0
    """


@hookspec(firstresult=True)
def hsm_locate_project(source: Source, request: SyncRequest) -> Optional[str]:
    """Say where the project is on a source's host. *firstresult*; called before the source is opened, in its thread.

    The core's own implementation gives the `project` that is configured for the source, or None: the same path as
    here. Example::

        @hookimpl
        def hsm_locate_project(source, request):
            return "/data/projects/" + os.path.basename(request.project_dir)

    :returns: an absolute path on the host, or None when this plugin does not know.

    .. versionadded:: 1.0
    """


@hookspec
def hsm_verify_sync(source: Source, request: SyncRequest) -> Union[SyncReport, Sequence[SyncReport], None]:
    """Compare the project at a source with the project here. Reports are merged, worst first; none is "not verified".

    One report, several, or None for a source of which this plugin knows nothing.

    Example::

        @hookimpl
        def hsm_verify_sync(source, request):
            return SyncReport("git", SyncVerdict.IN_SYNC, "both at 3f9a1c2")

    .. versionadded:: 1.0
    """


@hookspec(firstresult=True)
def hsm_plan_push(source: Source, request: PushRequest) -> Optional[PushPlan]:
    """Plan to bring the project to a source's host, for `hsm sync`. *firstresult*; changes nothing there.

    The core shows the plan, decides by `edited` and `--force`, and calls the plan's `apply`. Example::

        @hookimpl
        def hsm_plan_push(source, request):
            files = new_files(request.project_dir)
            return PushPlan("/data/p", send=files, send_bytes=sizes(files), apply=lambda force, progress: upload(files))

    :returns: the plan, or None when this plugin cannot push there.

    .. versionadded:: 1.0
    """


@hookspec
def hsm_event(event: Mapping[str, object]) -> None:
    """Something happened and is in the journal (`docs/reference/journal.md` lists what).

    For trackers and notices. Called in a thread of its own, in order; whatever it raises is logged once and changes
    nothing. Example::

        @hookimpl
        def hsm_event(event):
            if event["e"] == "held":
                send_mail(event["reason"])

    .. versionadded:: 1.0
    """


@hookspec
def hsm_extract_metrics(task_dir: str) -> Optional[Mapping[str, object]]:
    """Metrics of a finished task beyond what it left in `metrics.json`, from the files in its folder.

    Example::

        @hookimpl
        def hsm_extract_metrics(task_dir):
            return read_tensorboard(Path(task_dir, "results"))

    .. versionadded:: 1.0
    """
