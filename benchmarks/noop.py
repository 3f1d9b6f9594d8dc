"""A thousand tasks that do nothing, two at a time: what is left is what the tool itself costs."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from typing import List

from measure import Cost, rate, run, task_times
from table import Figure
from workbench import HERE, NOOP, PEERS, Workbench, grid

COUNT = 1000


def noop(bench: Workbench) -> List[Figure]:
    """Speed and cost, with GNU parallel and HyperQueue in turn with ours, so that all meet the same machine."""
    ours: List[Cost] = []
    rates, firsts, xargs, parallel, hyperqueue, hyperqueue_rates = [], [], [], [], [], []
    for _ in range(bench.repeat):
        project = bench.project("noop", grid(10, 10, 10))
        cost = run([bench.hsm, "run", "--sources", "local:2"], project, timeout_s=60)
        times = task_times(bench.sweep_of(project))
        if len(times) != COUNT:
            raise AssertionError(f"{len(times)} of {COUNT} tasks have an exit record")
        ours.append(cost)
        rates.append(rate(times))
        firsts.append(times[0]["start"] - cost.began_at)
        if bench.xargs:
            xargs.append(_xargs(bench))
        if bench.parallel:
            parallel.append(_parallel(bench))
        if bench.has_hyperqueue:
            wall, tasks_a_second = _hyperqueue(bench)
            hyperqueue.append(wall)
            hyperqueue_rates.append(tasks_a_second)
    one = run([bench.hsm, "run", "--sources", "local:2"], bench.project("one", grid(1)))

    wall = statistics.median(cost.wall_s for cost in ours)
    controller = statistics.median(cost.cpu_s for cost in ours)
    runner = statistics.median(cost.runner_cpu_s for cost in ours)
    figures = [
        Figure("tasks a second once running", statistics.median(rates), "/s", 1100, at_least=True),
        Figure("first task started after", statistics.median(firsts), "s", 0.35),
        Figure("controller's CPU a task, start-up apart", (controller - one.cpu_s) / (COUNT - 1) * 1e3, "ms", 0.35),
        Figure("controller's CPU a task, all of it", controller / COUNT * 1e3, "ms"),
        Figure("runner's CPU a task", runner / COUNT * 1e3, "ms", 0.4),
        Figure("controller's peak memory", max(cost.peak_mb for cost in ours), "MB"),
    ]
    if xargs:
        # It keeps no record of anything: what the machine needs for the processes alone, at this moment.
        figures.append(Figure("whole command", wall, "s", None, statistics.median(xargs), "xargs -P2"))
    if parallel:
        peer = statistics.median(parallel)
        figures.append(Figure("whole command", wall, "s", 0.45, peer, "GNU parallel", of_ratio=True))
    else:
        print("SKIPPED: GNU parallel is not installed.")
        figures.append(Figure("whole command", wall, "s"))
    if hyperqueue:
        peer = statistics.median(hyperqueue)
        figures.append(Figure("whole command", wall, "s", 0.6, peer, "HyperQueue", of_ratio=True))
        # Its client looks for the end once a second, which the whole command suffers from and this does not.
        peer = statistics.median(hyperqueue_rates)
        figures.append(Figure("tasks a second once running", statistics.median(rates), "/s", None, peer, "HyperQueue"))
    return figures


def pool(bench: Workbench) -> List[Figure]:
    """The local source and its runner, fed a thousand such tasks at once, without a controller."""
    results = []
    for _ in range(bench.repeat):
        argv = [bench.python, str(HERE / "pool_alone.py"), str(bench.project("pool", grid(1))), str(COUNT), NOOP]
        results.append(json.loads(run(argv, bench.folder).stdout))
        if results[-1]["ended"] != COUNT:
            raise AssertionError(f"{results[-1]['ended']} of {COUNT} tasks ended")
    return [
        Figure("tasks a second", statistics.median(result["rate"] for result in results), "/s", 1100, at_least=True),
        Figure("runner's CPU a task", statistics.median(result["runner_cpu_ms"] for result in results), "ms", 0.4),
    ]


def _xargs(bench: Workbench) -> float:
    folder = bench.project("xargs", grid(1))
    (folder / "numbers").write_text("\n".join(map(str, range(COUNT))))
    return run([str(bench.xargs), "-a", "numbers", "-P2", "-n1", NOOP], folder).wall_s


def _parallel(bench: Workbench) -> float:
    folder = bench.project("parallel", grid(1))
    values = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
    argv = [str(bench.parallel), "--will-cite", "--joblog", "joblog", "--results", "results", "-j2"]
    argv += [NOOP, "p0={1}", "p1={2}", "p2={3}", ":::", *values, ":::", *values, ":::", *values]
    return run(argv, folder).wall_s


def _hyperqueue(bench: Workbench) -> tuple[float, float]:
    folder = bench.project("hyperqueue", grid(1))
    for name in ("server", "work"):
        (folder / name).mkdir()
    wall_s = run([bench.python, str(PEERS / "hyperqueue_noop.py"), str(folder), str(COUNT), NOOP], folder).wall_s
    made = sorted(os.stat(path).st_mtime for path in Path(folder, "work").glob("*.stdout"))
    if len(made) != COUNT:
        raise AssertionError(f"HyperQueue ran {len(made)} of {COUNT} tasks")
    return wall_s, (COUNT - 1) / (made[-1] - made[0])
