"""What `hsm simulate` shows, and the line of it that `hsm run --dry-run` shows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence

import click

from ..config import LoadedConfig
from ..forecast.model import Scenario
from ..forecast.simulate import Forecast, at_best_s, simulate
from ..plugins import Plugins
from ..run.settings import Settings
from ..store.layout import ProjectLayout
from ..store.views.names import short_names
from ..store.views.words import clock, span
from .assumptions import Said, earlier_means, latest_measured, scenario_of
from .tables import Column, Table, show

__all__ = ["Comparison", "compare", "facts", "short_form", "show_comparison"]

SIMULATED = 5_000
"""Of a longer sweep so many tasks are simulated, and the rest reckoned from them."""
_SIMULATED_IN_SHORT = 1_000
_WORTH_CHANGING = 1.05


@dataclass(frozen=True)
class Comparison:
    """A sweep under several strategies.

    :param total: how many tasks it has; `scenario` may have fewer, from which the forecasts are reckoned.
    :param used: the strategy that `hsm run` would use.
    :param forecasts: by strategy, the fastest first.
    """

    total: int
    scenario: Scenario
    used: str
    at_best_s: float
    forecasts: Mapping[str, Forecast]


def compare(total: int, scenario: Scenario, used: str, strategies: Sequence[str], plugins: Plugins) -> Comparison:
    """Simulate a sweep under each of the strategies. :raises UsageError: there is no such strategy."""
    factor = total / scenario.total if scenario.total else 1.0
    forecasts = {
        name: simulate(scenario, plugins.strategy(name).factory(scenario.seed)).scaled(factor) for name in strategies
    }
    ordered = dict(sorted(forecasts.items(), key=lambda item: (item[1].makespan_s, item[0] != used)))
    return Comparison(total, scenario, used, at_best_s(scenario) * factor, ordered)


def facts(comparison: Comparison) -> Dict[str, Any]:
    """The same for programs; `docs/reference/commands.md` lists the keys."""
    scenario = comparison.scenario
    return {
        "total": comparison.total,
        "simulated": scenario.total,
        "at_best_s": comparison.at_best_s,
        "strategy": comparison.used,
        "assumed": {
            "run_time_s": scenario.run_time.mean(),
            "limit": scenario.limit,
            "retries": scenario.retries,
            "seed": scenario.seed,
            "sources": [
                {
                    "id": model.id,
                    "slots": model.capabilities.slots,
                    "speed": model.speed,
                    "queue_wait_s": model.queue_wait.mean(),
                    "failure_rate": model.failures,
                }
                for model in scenario.sources
            ],
        },
        "strategies": [
            {"strategy": name, **dataclasses.asdict(forecast), "utilisation": forecast.utilisation}
            for name, forecast in comparison.forecasts.items()
        ],
    }


def show_comparison(comparison: Comparison, now: float) -> None:
    """Print it for a person. :param now: Unix seconds."""
    scenario = comparison.scenario
    lines = [f"Forecast: {comparison.total:,} tasks, each {scenario.run_time.words} at speed 1."]
    if scenario.total < comparison.total:
        lines.append(f"The first {scenario.total:,} were simulated, and the rest reckoned from them.")
    best, shown = next(iter(comparison.forecasts)), comparison.used
    if shown not in comparison.forecasts:
        shown = best
    forecast = comparison.forecasts[shown]
    click.echo("\n".join(lines) + "\n")
    show(_strategies_table(comparison))
    click.echo(f"At best {span(comparison.at_best_s)}: no strategy can be faster.\n")
    show(_sources_table(scenario, forecast, shown))
    click.echo(f"\nBegun now, it would end at {clock(now + forecast.makespan_s)}.")
    if forecast.makespan_s > _WORTH_CHANGING * comparison.forecasts[best].makespan_s:
        click.echo(f"Next:\n  hsm run --strategy {best}    # {_sooner(forecast, comparison.forecasts[best])}")


def _sooner(one: Forecast, other: Forecast) -> str:
    return f"{span(one.makespan_s - other.makespan_s)} sooner"


def _strategies_table(comparison: Comparison) -> Table:
    columns = [Column("Strategy"), Column("Time", True), Column("Times the best", True), Column("Slots busy", True)]
    columns += [Column("Failed", True), Column("Scheduler calls", True)]
    rows = [
        (
            f"{name} *" if name == comparison.used else name,
            span(forecast.makespan_s),
            f"{forecast.makespan_s / comparison.at_best_s:.2f}" if comparison.at_best_s else "-",
            f"{forecast.utilisation:.0%}",
            f"{forecast.failed:,}",
            f"{forecast.scheduler_calls:,}",
        )
        for name, forecast in comparison.forecasts.items()
    ]
    return Table(columns, rows)


def _sources_table(scenario: Scenario, forecast: Forecast, name: str) -> Table:
    names = short_names(model.id for model in scenario.sources)
    columns = [Column("Source"), Column("Slots", True), Column("Speed", True), Column("Queue wait", True)]
    columns += [Column("Runs", True), Column("Slots busy", True), Column("Scheduler calls", True)]
    rows = [
        (
            names[model.id],
            f"{usage.slots:,}",
            f"{model.speed:.3g}",
            model.queue_wait.words,
            f"{usage.attempts:,}",
            f"{usage.utilisation:.0%}",
            f"{usage.scheduler_calls:,}",
        )
        for model, usage in zip(scenario.sources, forecast.sources)
    ]
    return Table(columns, rows, title=f"With {name}:")


def short_form(settings: Settings, config: LoadedConfig, plugins: Plugins) -> List[str]:
    """How long the sweep would take, by the mean run times of an earlier one; nothing where there is none."""
    layout = latest_measured(ProjectLayout(settings.project_dir))
    earlier = earlier_means(layout) if layout is not None else None
    if layout is None or earlier is None:
        return []
    scenario, _ = scenario_of(settings, config, plugins, Said(), earlier, _SIMULATED_IN_SHORT)
    comparison = compare(settings.total, scenario, settings.strategy, [settings.strategy], plugins)
    (forecast,) = comparison.forecasts.values()
    took = f"about {span(forecast.makespan_s)}, at best {span(comparison.at_best_s)}"
    return [f"Forecast: {took}, by the run times of {layout.sweep_id} (more: hsm simulate)"]
