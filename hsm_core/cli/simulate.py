"""`hsm simulate`: how long a sweep would take, and under which strategy it would be done first."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence, Tuple

import click

from .choose import echo_json, json_option
from .options import parallel_limit_option, retries_option, sources_option, timeout_option

if TYPE_CHECKING:
    from ..forecast.spread import Spread

__all__ = ["simulate"]


class _Times(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic since click 8.2
    """`10m`: all alike. `5m..20m`: nine of ten in between."""

    name = "time"

    def convert(self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]) -> Spread:
        from ..config import parse_duration
        from ..forecast.spread import between, exactly
        from ..store.views.words import span

        low, several, high = str(value).partition("..")
        try:
            seconds = [parse_duration(text) for text in ([low, high] if several else [low])]
            if min(seconds) <= 0:
                raise ValueError(f"{value!r} is not a positive time")
            words = " to ".join(map(span, seconds))
            return between(seconds[0], seconds[1], words) if several else exactly(seconds[0], words)
        except ValueError as error:
            self.fail(f"{error}; write 10m, or 5m..20m for nine of ten in between", param, ctx)


def _factor(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e9:
        raise ValueError("a speed is a number above 0")
    return number


def _share(text: str) -> float:
    number = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    if not 0 <= number <= 1:
        raise ValueError("a share is a number from 0 to 1, or from 0% to 100%")
    return number


class _OfSource(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic since click 8.2
    """`SOURCE=VALUE`, as a pair.

    :param read: what makes a value of the text. :raises ValueError: it is none.
    :param for_all: `VALUE` alone is for all sources, whose name is then "".
    """

    def __init__(self, read: Callable[[str], Any], what: str, for_all: bool = False) -> None:
        self._read = read
        self._for_all = for_all
        self.name = f"[SOURCE=]{what}" if for_all else f"SOURCE={what}"

    def convert(self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]) -> Tuple[str, Any]:
        source, given, text = str(value).rpartition("=")
        if not source and (given or not self._for_all):
            self.fail(f"{value!r} is not {self.name}", param, ctx)
        try:
            return source, self._read(text)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


def _wait(text: str) -> Spread:
    spread: Spread = _Times().convert(text, None, None)
    return spread


@click.command()
@click.option(
    "--config", "sweep_file", type=click.Path(path_type=Path), help="The sweep file [sweeps/sweep_config.yaml]."
)
@sources_option
@click.option(
    "--duration",
    type=_Times(),
    help="How long a task runs at speed 1: 10m, or 5m..20m for nine of ten in between.",
)
@click.option("--like", metavar="ID", help="Run times, speeds and failures as in this sweep; by default the latest.")
@click.option(
    "--speed", "speeds", type=_OfSource(_factor, "FACTOR"), multiple=True, help="How fast a source is: server1=2.5."
)
@click.option(
    "--queue-wait",
    "waits",
    type=_OfSource(_wait, "TIME"),
    multiple=True,
    help="How long a task waits there before it starts: cluster=10m, or cluster=1m..1h.",
)
@click.option(
    "--failure-rate",
    "failures",
    type=_OfSource(_share, "SHARE", for_all=True),
    multiple=True,
    help="The share of tasks that fail: 5%, or server1=0.2.",
)
@click.option("--strategy", "strategies", multiple=True, help="Only this strategy; may be repeated. By default all.")
@parallel_limit_option
@click.option("--max-tasks", type=click.IntRange(1), help="Only the first N combinations.")
@retries_option
@timeout_option
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same forecast.")
@json_option
def simulate(
    sweep_file: Optional[Path],
    sources: Optional[str],
    duration: Optional[Spread],
    like: Optional[str],
    speeds: Sequence[Tuple[str, float]],
    waits: Sequence[Tuple[str, Spread]],
    failures: Sequence[Tuple[str, float]],
    strategies: Sequence[str],
    parallel_limit: Optional[int],
    max_tasks: Optional[int],
    retries: Optional[int],
    timeout: Optional[float],
    seed: int,
    as_json: bool,
) -> None:
    """Forecast how long a sweep takes: the real engine on a clock that does not wait, under every strategy.

    No source is contacted and nothing is run. How long tasks run is said by --duration, or known from an earlier sweep.
    """
    from ..api import Project, RunOptions
    from ..errors import UsageError
    from ..plugins import load
    from ..report.assumptions import Said, latest_measured, measure, scenario_of
    from ..report.forecast import SIMULATED, compare, facts, show_comparison
    from ..store.sweeps import find_sweep

    if duration is not None and like is not None:
        raise UsageError("--duration and --like both say how long a task runs", "leave one of them out")
    project, plugins = Project.open(), load()
    options = RunOptions(
        sources=sources, parallel_limit=parallel_limit, max_tasks=max_tasks, retries=retries, timeout_s=timeout
    )
    prepared = project.prepare(sweep_file, options, plugins)
    earlier = None
    if duration is None:
        layout = latest_measured(project.layout) if like is None else find_sweep(project.layout, like)
        if layout is None:
            raise UsageError("nothing is known of how long a task runs", "say it: hsm simulate --duration 10m")
        earlier = measure(layout)
        click.echo(f"Run times, speeds and failures as in {layout.sweep_id}.", err=True)
    settings = prepared.settings
    said = Said(duration, dict(speeds), dict(waits), dict(failures), seed)
    scenario, guessed = scenario_of(settings, project.config, plugins, said, earlier, SIMULATED)
    for line in guessed:
        click.echo(f"assumed: {line}", err=True)
    chosen = list(dict.fromkeys(strategies)) or sorted(plugins.strategies)
    comparison = compare(settings.total, scenario, settings.strategy, chosen, plugins)
    if as_json:
        echo_json(facts(comparison))
    else:
        show_comparison(comparison, time.time())
