"""Large sweeps: cost must grow with what runs, not with what was declared, and not with what already ran."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import List, Optional

from measure import rate, run, task_times, wall_s
from rewrites import Rewrites
from table import Figure
from workbench import Workbench, grid

MANY = 100_000
DECLARED = 1_000_000
ENOUGH = 1000


def large(bench: Workbench) -> List[Figure]:
    """A hundred thousand tasks, run whole."""
    project = bench.project("large", grid(100, 100, 10))
    counter = Rewrites(project / "sweeps" / "outputs")
    cost = run([bench.hsm, "run", "--sources", "local:2"], project, timeout_s=900, meanwhile=counter.look)
    counter.close()
    sweep = bench.sweep_of(project)
    times = task_times(sweep)
    tenth = len(times) // 10
    rates = [rate(times[start : start + tenth]) for start in range(0, tenth * 10, tenth)]
    print("throughput by tenths, tasks/s:", " ".join(f"{tasks_a_second:.0f}" for tasks_a_second in rates))
    print("files written most, times and MB in all:")
    for name, count, megabytes in counter.most(8):
        print(f"  {name:40} {count:6} {megabytes:10.2f}")
    return [
        Figure("tasks that ended", len(times), "", MANY, at_least=True),
        Figure("tasks a second, all of it", rate(times), "/s"),
        Figure("last tenth's throughput over the first's", rates[-1] / rates[0], "", 0.8, at_least=True),
        Figure("controller's peak memory", cost.peak_mb, "MB", 200),
        Figure("controller's CPU a task", cost.cpu_s / MANY * 1e3, "ms", 0.35),
        Figure("runner's CPU a task", cost.runner_cpu_s / MANY * 1e3, "ms", 0.4),
        Figure("hsm status", wall_s([bench.hsm, "status"], project, repeat=3), "s", 1.0),
        Figure("bytes the controller wrote a task", cost.written_mb * 1e6 / MANY, "B"),
        Figure("writes of the view written most often, an event", counter.most(1)[0][1] / MANY, "", 0.05),
    ]


def declared(bench: Workbench) -> List[Figure]:
    """A million tasks declared, cancelled after a thousand of them."""
    project = bench.project("declared", grid(100, 100, 100))
    asked_at: Optional[float] = None
    outputs = project / "sweeps" / "outputs"

    def cancel_when_enough() -> None:
        nonlocal asked_at
        if asked_at is None and _folders(outputs) >= ENOUGH:
            sweep_id = bench.sweep_of(project).name
            subprocess.Popen([bench.hsm, "cancel", sweep_id], cwd=project, stdout=subprocess.DEVNULL)
            asked_at = time.time()

    # 1: a sweep that was cancelled did not complete.
    cost = run(
        [bench.hsm, "run", "--sources", "local:2"], project, timeout_s=120, ok=(0, 1, 130), meanwhile=cancel_when_enough
    )
    if asked_at is None:
        raise AssertionError("it ended before it was cancelled")
    times = task_times(bench.sweep_of(project))
    return [
        Figure("first task started after", times[0]["start"] - cost.began_at, "s", 2.0),
        Figure("controller's peak memory", cost.peak_mb, "MB", 300),
        Figure("from cancel to the end", cost.began_at + cost.wall_s - asked_at, "s"),
        Figure("tasks run", len(times), ""),
        Figure("hsm status", wall_s([bench.hsm, "status"], project, repeat=3), "s", 1.0),
    ]


def _folders(outputs: Path) -> int:
    # The number of links of a folder counts its subfolders, on most file systems, without a walk through them.
    tasks = next(iter(outputs.glob("*/tasks")), None) if outputs.exists() else None
    if tasks is None:
        return 0
    links = os.stat(tasks).st_nlink
    return links - 2 if links > 1 else len(os.listdir(tasks))
