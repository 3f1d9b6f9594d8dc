"""A thousand tasks that do nothing on a real Slurm, beside a hand-written array of the same on the same cluster."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

from measure import rate, run, task_times
from table import Figure
from workbench import NOOP, ROOT, Workbench, grid

COUNT = 1000
PACKED = 50

sys.path.insert(0, str(ROOT / "plugins" / "hsm_slurm" / "src"))
from hsm_slurm.testing.cluster import Cluster, missing  # noqa: E402 - it needs nothing but the standard library


class Sweep(NamedTuple):
    """One measured sweep.

    :param rate: tasks a second, once they run.
    """

    wall_s: float
    cpu_s: float
    rate: float


def slurm(bench: Workbench) -> List[Figure]:
    """As an array, packed, and what the controller costs; in turn with the array that somebody would write by hand."""
    lacking = missing()
    if lacking:
        print(f"SKIPPED: {lacking}")
        return []
    by_hand: List[float] = []
    arrays: List[Sweep] = []
    packed: List[Sweep] = []
    auto: List[Sweep] = []
    with Cluster() as cluster:
        env = {**os.environ, **cluster.env}
        for _ in range(bench.repeat):
            by_hand.append(_by_hand(bench, cluster))
            arrays.append(_sweep(bench, env, {}))
            packed.append(_sweep(bench, env, {"tasks_per_job": PACKED}))
            auto.append(_sweep(bench, env, {"tasks_per_job": "auto"}))
        one = _sweep(bench, env, {}, 1)
    hand = statistics.median(by_hand)
    cpu = statistics.median(sweep.cpu_s for sweep in arrays)

    def wall(what: str, sweeps: List[Sweep], target: float) -> Figure:
        ours = statistics.median(sweep.wall_s for sweep in sweeps)
        return Figure(f"{what}, whole command", ours, "s", target, hand, "sbatch --array", of_ratio=True)

    quick = statistics.median(sweep.rate for sweep in packed)
    return [
        wall("an element for each task", arrays, 1.2),
        wall("`tasks_per_job: auto`", auto, 1.2),
        wall(f"`tasks_per_job: {PACKED}`", packed, 1.2),
        Figure(
            f"`tasks_per_job: {PACKED}`, tasks a second once running",
            quick,
            "/s",
            20,
            COUNT / hand,
            "sbatch --array",
            of_ratio=True,
            at_least=True,
        ),
        Figure("controller's CPU a task, start-up apart", (cpu - one.cpu_s) / (COUNT - 1) * 1e3, "ms", 0.5),
        Figure("controller's CPU a task, all of it", cpu / COUNT * 1e3, "ms"),
    ]


def _sweep(bench: Workbench, env: Dict[str, str], options: Dict[str, Any], count: int = COUNT) -> Sweep:
    project = bench.project("slurm", grid(count))
    config = project / "hsm_config.yaml"
    source = {"kind": "slurm", **options}
    config.write_text(json.dumps({**json.loads(config.read_text()), "sources": {"here": source}}))
    cost = run([bench.hsm, "run", "--sources", "here"], project, env=env)
    times = task_times(bench.sweep_of(project))
    if len(times) != count:
        raise AssertionError(f"{len(times)} of {count} tasks have an exit record")
    return Sweep(cost.wall_s, cost.cpu_s, rate(times) if count > 1 else 0.0)


def _by_hand(bench: Workbench, cluster: Cluster) -> float:
    """From sbatch until the queue is empty."""
    folder = Path(bench.project("by-hand", grid(1)))
    script = folder / "array.sh"
    script.write_text(f"#!/bin/sh\n#SBATCH --array=0-{COUNT - 1} --output={folder}/%a.log\nexec {NOOP}\n")
    began = time.perf_counter()
    subprocess.run(["sbatch", str(script)], env={**os.environ, **cluster.env}, check=True, stdout=subprocess.DEVNULL)
    while cluster.run("squeue", "--noheader"):
        time.sleep(0.1)
    return time.perf_counter() - began
