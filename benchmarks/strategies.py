"""Strategies beside each other and beside the time that none can beat: the real engine on a virtual clock.

The same on every machine. `docs/guides/mixed-sweeps.md` has the table, and a test holds it to what this makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping

from table import Figure
from workbench import ROOT, Workbench

from hsm_core.contract import Capabilities
from hsm_core.forecast.model import Scenario, SourceModel
from hsm_core.forecast.simulate import at_best_s, simulate
from hsm_core.forecast.spread import between, exactly
from hsm_core.plugins import load
from hsm_core.store.views.words import span

PAGE = ROOT / "docs" / "guides" / "mixed-sweeps.md"
BEGIN, END = "<!-- strategies: begin -->\n", "<!-- strategies: end -->\n"
STRATEGIES = ("fastest", "least_loaded", "round_robin", "random")
SEED = 1


def _machine(name: str, slots: int, speed: float = 1.0) -> SourceModel:
    return SourceModel(f"ssh:{name}", Capabilities(slots, None, push=True, shares_files=True), speed)


def _cluster(slots: int, speed: float, queue_wait_s: float) -> SourceModel:
    """As `BatchSource` describes itself on a login node."""
    capabilities = Capabilities(slots, 10_000, poll_interval_s=1.0, query_interval_s=5.0, shares_files=True)
    return SourceModel("slurm:cluster", capabilities, speed, exactly(queue_wait_s))


SCENARIOS: Mapping[str, Scenario] = {
    "200 tasks of 10 min on 4 slots, 4 four times as fast, 4 four times as slow": Scenario(
        200, exactly(600.0), [_machine("a", 4), _machine("b", 4, 4.0), _machine("c", 4, 0.25)]
    ),
    "500 tasks of 5 to 20 min on 4 slots, 8 four times as fast, 16 three times as slow": Scenario(
        500, between(300.0, 1200.0), [_machine("a", 4), _machine("b", 8, 4.0), _machine("c", 16, 0.33)]
    ),
    "500 tasks of 1 to 60 min on 4 slots and 8 twice as fast": Scenario(
        500, between(60.0, 3600.0), [_machine("a", 4), _machine("b", 8, 2.0)]
    ),
    "40 tasks of 10 min on 4 slots and 8 four times as fast": Scenario(
        40, exactly(600.0), [_machine("a", 4), _machine("b", 8, 4.0)]
    ),
    "1,000 tasks of 5 to 20 min on 4 slots, 8 twice as fast, 16 thrice as fast behind a queue of 5 min": Scenario(
        1000, between(300.0, 1200.0), [_machine("a", 4), _machine("b", 8, 2.0), _cluster(16, 3.0, 300.0)]
    ),
    "1,000 tasks of 5 to 20 min on 8 slots and 8 like them": Scenario(
        1000, between(300.0, 1200.0), [_machine("a", 8), _machine("b", 8)]
    ),
}


def times(scenario: Scenario) -> Dict[str, float]:
    """Strategy -> how long the sweep takes, seconds."""
    plugins = load()
    return {name: simulate(scenario, plugins.strategy(name).factory(SEED)).makespan_s for name in STRATEGIES}


def strategies(bench: Workbench) -> List[Figure]:
    """How long sweeps take under `fastest` and `round_robin`, over the time that no strategy can beat."""
    figures = []
    for what, scenario in SCENARIOS.items():
        took, best = times(scenario), at_best_s(scenario)
        others = took["round_robin"] / best
        figures.append(Figure(what, took["fastest"] / best, "times", 1.15, others, "round_robin"))
    return figures


def guide_table() -> str:
    """All strategies, for the guide."""
    rows = [f"| sweep | at best | {' | '.join(f'`{name}`' for name in STRATEGIES)} |", "|---" * 6 + "|"]
    for what, scenario in SCENARIOS.items():
        took, best = times(scenario), at_best_s(scenario)
        cells = [f"{span(took[name])} ({took[name] / best:.2f})" for name in STRATEGIES]
        rows.append(f"| {what} | {span(best)} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def save_guide(page: Path = PAGE) -> None:
    """Write the guide's table anew."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    page.write_text(before + BEGIN + guide_table() + END + rest.split(END)[1], encoding="utf-8")
