"""From a prepared or interrupted sweep to its end: lease, replay, journal, controller, and everything let go again."""

from __future__ import annotations

import os
import secrets
import socket
import time
from dataclasses import dataclass, field, replace
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from .. import __version__
from ..contract import SourceContext, SourceSpec, TaskState
from ..engine.engine import Finish
from ..engine.events import Event, make
from ..engine.reduce import reduce, replay
from ..engine.state import SweepState
from ..errors import NoSourceError, StoreError
from ..plugins import Plugins
from ..space import Space
from ..store import sweeps
from ..store.journal import Follower, JournalWriter, Position
from ..store.layout import ProjectLayout, SweepLayout, task_id
from ..store.lease import Lease
from ..store.views import Views
from .controller import Controller, EventSink, Offer
from .observers import Observers
from .origin import write_origin
from .prepare import Prepared, read_sweep_file
from .settings import Settings
from .signals import SignalCatcher
from .tasks import command_of, resources_of, task_maker
from .wishes import Wish

__all__ = ["Conduct", "begin", "conduct", "replay_sweep", "source_context"]


@dataclass(frozen=True)
class Conduct:
    """How a controller should go about a sweep.

    :param sources: what it may use; empty means the sweep's own.
    :param restore: final states whose tasks are to run again.
    :param takeover: a person vouches that a controller on another host, which cannot be asked, is dead.
    :param keep_going: never hold the sweep because tasks fail alike.
    :param canary: try each source with one task first.
    :param only: do this, and nothing else.
    :param sinks: make followers of the sweep (a display), given its state.
    :param tell: takes a line for the person who started us.
    """

    sources: Sequence[SourceSpec] = ()
    restore: Sequence[TaskState] = ()
    takeover: bool = False
    keep_going: bool = False
    retries: Optional[int] = None
    timeout_s: Optional[float] = None
    parallel_limit: Optional[int] = None
    strategy: Optional[str] = None
    max_failures: Optional[int] = None
    canary: bool = False
    only: Optional[Wish] = None
    sinks: Sequence[Callable[[SweepState], EventSink]] = field(default_factory=tuple)
    tell: Callable[[str], None] = lambda line: None


def begin(project: ProjectLayout, prepared: Prepared) -> SweepLayout:
    """Make the folder of a new sweep, with all that a controller needs to run it.

    :raises HsmError: when it cannot be made; nothing is left behind then.
    """

    def fill(draft: SweepLayout) -> None:
        draft.config.write_bytes(prepared.text)
        prepared.settings.write(draft)

    # Once, before anything runs: a command that cannot be built must not be found out task by task.
    space, somewhere = prepared.sweep.space, str(project.outputs)
    command_of(prepared.settings, space, somewhere).check(space.each_value())
    task_maker(prepared.settings, prepared.sweep, somewhere)((0, 1))
    if prepared.sweep_id is None:
        return sweeps.create_new(project, time.time(), fill)
    layout = project.sweep(prepared.sweep_id)
    sweeps.create(layout, fill)
    return layout


def replay_sweep(layout: SweepLayout) -> Tuple[SweepState, Position]:
    """The state of a sweep from its journal, and where the journal ended."""
    follower = Follower(layout.journal)
    state = replay(follower.new_events())
    return state, follower.position


def conduct(layout: SweepLayout, how: Conduct, plugins: Plugins) -> Tuple[Finish, SweepState]:
    """Run a sweep, new or old, until nothing is left to do or somebody says stop.

    :raises SweepBusyError: another controller holds it.
    :raises NoSourceError: none of the sources could be opened.
    """
    settings = _adjusted(Settings.read(layout), how)
    _, sweep = read_sweep_file(layout.config)
    _check_digest(layout, settings, sweep.space)
    find_resources = resources_of(settings, sweep)
    strategy = plugins.strategy(settings.strategy).factory(settings.seed)
    with SignalCatcher() as catcher, Lease.acquire(layout, how.takeover) as lease:
        state, position = replay_sweep(layout)
        with JournalWriter.open(layout.journal, layout.sweep_id, lease.epoch, position) as journal:
            views = Views(layout, state, position, journal)  # made before `opened`: it may make the logs again
            events = _opening(settings, how, state, lease, layout)
            for event in events:
                reduce(state, event)
            journal.append(events)
            sinks: List[EventSink] = [views, *_observers(plugins, how), *(make_sink(state) for make_sink in how.sinks)]
            for sink in sinks:
                sink.take(events)
            settings.write(layout)
            controller = Controller(
                layout,
                state,
                strategy,
                plugins,
                journal,
                lease,
                sinks,
                task_maker(settings, sweep, str(layout.root)),
                health_interval_s=settings.health_check_interval_s,
                memory_mb=lambda index: find_resources(index).memory_mb,
                collect_interval_s=settings.result_collection_interval_s,
                grace_s=settings.grace_s,
                longest_s=settings.longest_s,
                verify=settings.verify_sync,
                catcher=catcher,
                tell=how.tell,
            )
            if how.only is not None:
                controller.only(how.only)
            elif state.paused is not None:
                how.tell(f"{layout.sweep_id} is paused; nothing is started until: hsm resume {layout.sweep_id}")
            origin = None if layout.metadata.exists() else write_origin(layout, settings, sweep, plugins.versions)
            finish: Optional[Finish] = None
            try:
                finish = controller.run(_offers(layout, settings, how, state, plugins))
            finally:
                if origin is not None:
                    origin.join()
                if finish is not None:
                    for sink in sinks:
                        sink.flush(time.time(), force=True)
        stopped = how.only is not None or catcher.received or finish.state != "interrupted"
        if not stopped and not any(source.open for source in state.sources.values()):
            raise NoSourceError(finish.reason, f"mend it, then: hsm complete {layout.sweep_id}")
        return finish, state


def _observers(plugins: Plugins, how: Conduct) -> List[Observers]:
    """The plugins that watch, if any are installed."""
    return [Observers(plugins.observers, how.tell)] if plugins.observers else []


def _adjusted(settings: Settings, how: Conduct) -> Settings:
    """The sweep's settings with what this command says laid over them."""
    known = {spec.id: spec for spec in (*settings.sources, *how.sources)}
    changes: Dict[str, object] = {"sources": tuple(known.values())}
    for key in ("retries", "timeout_s", "parallel_limit", "strategy", "max_failures"):
        value = getattr(how, key)
        if value is not None:
            changes[key] = value
    return replace(settings, **changes)  # type: ignore[arg-type]


def _check_digest(layout: SweepLayout, settings: Settings, space: Space) -> None:
    """The space must be the one the sweep was begun with: a task's number means its parameters."""
    if space.digest != settings.digest:
        raise StoreError(
            f"{layout.config} was changed after {layout.sweep_id} began: its tasks would mean other parameters",
            "restore the file, or begin a new sweep with: hsm run",
        )


def _opening(settings: Settings, how: Conduct, state: SweepState, lease: Lease, layout: SweepLayout) -> List[Event]:
    now = time.time()
    events: List[Event] = []
    if state.total == 0:
        events.append(
            make(
                "created",
                now,
                sweep_id=layout.sweep_id,
                uid=secrets.token_hex(4),
                total=settings.total,
                digest=settings.digest,
                retries=settings.retries,
                hold_after=settings.hold_after,
                seed=settings.seed,
                version=__version__,
            )
        )
    events.append(
        make(
            "opened",
            now,
            epoch=lease.epoch,
            host=socket.gethostname(),
            pid=os.getpid(),
            retries=settings.retries,
            on_oom=settings.on_oom,
            retry_rules=settings.retry_rules,
            back_off_s=settings.back_off_s,
            limit=settings.parallel_limit,
            keep_going=settings.keep_going or how.keep_going,
            max_failures=settings.max_failures,
            canary=settings.canary or how.canary,
        )
    )
    if not settings.verify_sync:
        events.append(make("note", now, text="sync was not verified: --no-verify-sync"))
    restore = [one.value for one in how.restore if state.counts[one]]
    if restore:
        events.append(make("restored", now, states=restore, reason="hsm complete"))
    return events


def _offers(layout: SweepLayout, settings: Settings, how: Conduct, state: SweepState, plugins: Plugins) -> List[Offer]:
    """The sources to open: those asked for, and those that still have tasks of an earlier controller."""
    if how.only is not None and not how.only.reaches_sources:
        return []
    asked = {} if how.only is not None else {spec.id: spec for spec in how.sources or settings.sources}
    known = {spec.id: spec for spec in settings.sources}
    holding = {id: known[id] for id, source in state.sources.items() if source.in_flight and id in known}
    offers = []
    for id, spec in {**holding, **asked}.items():
        source = plugins.make_source(spec)
        context = source_context(layout, settings, spec, how.takeover, state.uid)
        offers.append(Offer(source, context, settings.parallel_limit if id in asked else 0))
    return offers


def source_context(
    layout: SweepLayout, settings: Settings, spec: SourceSpec, takeover: bool = False, uid: str = ""
) -> SourceContext:
    """What a source of this sweep is opened with."""
    return SourceContext(
        sweep_id=layout.sweep_id,
        sweep_dir=str(layout.root),
        project_dir=settings.project_dir,
        spec=spec,
        env=settings.env,
        setup=settings.setup,
        task_name=lambda index: task_id(index, settings.total),
        grace_s=settings.grace_s,
        takeover=takeover,
        sweep_uid=uid,
    )
