"""Commands that a person waits for: help, status, and counting a space too large to walk through."""

from __future__ import annotations

from typing import List

from measure import run, wall_s
from table import Figure
from workbench import PEERS, Workbench, grid


def startup(bench: Workbench) -> List[Figure]:
    """`--help` beside a bare click program, `status` of a thousand tasks, 10^12 combinations."""
    project = bench.project("startup", grid(10, 10, 10))
    run([bench.hsm, "run", "--sources", "local:2"], project)
    huge = bench.project("huge", grid(*[10] * 12))
    click = wall_s([bench.python, str(PEERS / "bare_click.py"), "--help"], project)
    return [
        Figure("hsm --help", wall_s([bench.hsm, "--help"], project), "s", 0.12, click, "bare click"),
        Figure("hsm status, 1,000 finished", wall_s([bench.hsm, "status"], project), "s", 0.2),
        Figure("run --count-only, 10^12", wall_s([bench.hsm, "run", "--count-only"], huge), "s", 0.3),
        Figure(
            "run --max-tasks 5 --dry-run, 10^12",
            wall_s([bench.hsm, "run", "--max-tasks", "5", "--dry-run"], huge),
            "s",
            0.3,
        ),
    ]
