"""What a forecast assumes: what a person says, or else an earlier sweep measured, or else the configuration says."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import List, Mapping, Optional, Sequence, Tuple, TypeVar

from ..config import LoadedConfig
from ..contract import Capabilities, SourceSpec
from ..errors import NotFoundError, UsageError
from ..forecast.earlier import LEAST, Earlier, look_back
from ..forecast.model import Scenario, SourceModel
from ..forecast.spread import Spread, exactly
from ..plugins import Plugins
from ..run.settings import Settings
from ..store.layout import ProjectLayout, SweepLayout
from ..store.sweeps import list_sweeps
from ..store.views.names import short_names
from ..store.views.words import span
from .reading import open_sweep

__all__ = ["Said", "earlier_means", "latest_measured", "measure", "scenario_of"]

_LOOK_BACK_AT = 5
"""Of so many sweeps, the newest first, one may tell how long tasks run."""
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Said:
    """What a person says of the sources, by id or name.

    :param run_time: None leaves it to the earlier sweep.
    :param failures: with the key "" for all sources.
    """

    run_time: Optional[Spread] = None
    speeds: Mapping[str, float] = field(default_factory=dict)
    queue_waits: Mapping[str, Spread] = field(default_factory=dict)
    failures: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


def latest_measured(project: ProjectLayout) -> Optional[SweepLayout]:
    """The newest sweep that tells how long tasks run, if one of the latest does."""
    for layout in list_sweeps(project)[:_LOOK_BACK_AT]:
        try:
            facts = open_sweep(layout).facts
        except NotFoundError:  # it was never begun
            continue
        if facts["counts"]["completed"] >= LEAST:
            return layout
    return None


def measure(layout: SweepLayout) -> Earlier:
    """What a sweep tells. :raises UsageError: too few of its tasks completed."""
    earlier = look_back(open_sweep(layout).state())
    if earlier is None:
        raise UsageError(
            f"{layout.sweep_id} does not tell how long a task runs: fewer than {LEAST} completed",
            "say how long: hsm simulate --duration 10m",
        )
    return earlier


def earlier_means(layout: SweepLayout) -> Optional[Earlier]:
    """The means alone, from a sweep's summary: quick, whatever its size. None where it has none."""
    sources = [one for one in open_sweep(layout).facts["sources"] if one["mean_duration_s"] and one["completed"]]
    count = sum(one["completed"] for one in sources)
    if count < LEAST:
        return None
    mean = sum(one["completed"] * one["mean_duration_s"] for one in sources) / count
    speeds = {one["id"]: mean / one["mean_duration_s"] for one in sources}
    return Earlier(exactly(mean), speeds, {one["id"]: one["failed"] / one["ended"] for one in sources}, count)


def scenario_of(
    settings: Settings,
    config: LoadedConfig,
    plugins: Plugins,
    said: Said,
    earlier: Optional[Earlier] = None,
    most: Optional[int] = None,
) -> Tuple[Scenario, List[str]]:
    """The sweep as it is assumed to be, and what nobody said, a line each. Contacts no source.

    :param most: of a longer sweep only so many tasks are taken.
    :raises UsageError: something is said of a source that the sweep does not have.
    """
    names = short_names(spec.id for spec in settings.sources)
    known = {word for spec in settings.sources for word in (spec.id, spec.name, names[spec.id])}
    for key in (*said.speeds, *said.queue_waits, *said.failures):
        if key and key not in known:
            raise UsageError(f"this sweep has no source {key!r}", f"it has: {', '.join(names.values())}")
    run_time = said.run_time or (earlier.run_time if earlier is not None else None)
    assert run_time is not None, "the caller knows how long tasks run"
    guessed: List[str] = []
    models = [_model(spec, config, plugins, said, earlier, guessed) for spec in settings.sources]
    total = settings.total if most is None else min(settings.total, most)
    scenario = Scenario(
        total, run_time, models, settings.parallel_limit, settings.retries, settings.longest_s, said.seed
    )
    return scenario, guessed


def _model(
    spec: SourceSpec,
    config: LoadedConfig,
    plugins: Plugins,
    said: Said,
    earlier: Optional[Earlier],
    guessed: List[str],
) -> SourceModel:
    entry = config.config.sources.get(spec.name)
    configured = entry if entry is not None and entry.kind == spec.kind else None
    keys = (spec.id, spec.name)
    capabilities = _capabilities(spec, plugins)
    if spec.slots is None:
        typed = spec.kind if spec.kind == spec.name else spec.id
        guessed.append(f"{spec.id} runs {capabilities.slots:,} at once: say how many with {typed}:N")
    speed = _first(said.speeds, keys)
    if speed is None and earlier is not None:
        speed = earlier.speeds.get(spec.id)
    if speed is None and configured is not None:
        speed = configured.speed
    wait = _first(said.queue_waits, keys)
    if wait is None and configured is not None and configured.queue_wait_s is not None:
        wait = exactly(configured.queue_wait_s, span(configured.queue_wait_s))
    if wait is None and capabilities.query_interval_s is not None:
        guessed.append(f"{spec.id} starts tasks at once: say how long they wait with --queue-wait {spec.name}=10m")
    failures = _first(said.failures, (*keys, ""))
    if failures is None and earlier is not None:
        failures = earlier.failures.get(spec.id)
    return SourceModel(
        spec.id,
        capabilities,
        1.0 if speed is None else speed,
        exactly(0.0, "-") if wait is None else wait,
        failures or 0.0,
    )


def _first(said: Mapping[str, _Value], keys: Sequence[str]) -> Optional[_Value]:
    return next((said[key] for key in keys if key in said), None)


def _capabilities(spec: SourceSpec, plugins: Plugins) -> Capabilities:
    """What a source can say of itself without having been opened."""
    try:
        capabilities = plugins.source_type(spec.kind).factory(spec).capabilities()
    except Exception:
        # A source need not know before it is opened, and somebody else's may raise anything.
        capabilities = Capabilities(spec.slots or 1)
    # Files on their way home keep no slot busy.
    return dataclasses.replace(capabilities, shares_files=True)
