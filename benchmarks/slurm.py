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
MANY = 10_000
PACKED = 50
NODES, CPUS = 4, 8

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
    """A thousand tasks that do nothing on a real Slurm, in turn with an array written by hand.

    Four nodes of eight CPUs, all of them and slurmctld on the cores of this one machine, which limits every figure: an
    element costs Slurm itself some 20 ms of CPU, and another 10 for the start of a Python. Slurm is as quick as it can
    be: `batch_sched_delay=0`, no accounting, no cgroups. The program is `true`; the array by hand is `#!/bin/sh` and
    `exec true`, from `sbatch` until `squeue` is empty; ours is the whole command, exit records included. `xargs -P2`
    starts the same program without Slurm and without records: packing cannot be quicker than that.
    """
    lacking = missing()
    if lacking:
        print(f"SKIPPED: {lacking}")
        return []
    by_hand: List[float] = []
    bare: List[float] = []
    ours: Dict[str, List[Sweep]] = {}
    ways: Dict[str, Dict[str, Any]] = {
        "as it comes": {},
        "`tasks_per_job: 1`": {"tasks_per_job": 1},
        f"`tasks_per_job: {PACKED}`": {"tasks_per_job": PACKED},
    }
    with Cluster(nodes=NODES, cpus=CPUS) as cluster:
        env = {**os.environ, **cluster.env}
        for _ in range(bench.repeat):
            by_hand.append(_by_hand(bench, cluster))
            bare.append(_bare(bench))
            for name, options in ways.items():
                ours.setdefault(name, []).append(_sweep(bench, env, options))
        one = _sweep(bench, env, {}, 1)
        many = _sweep(bench, env, {"tasks_per_job": PACKED}, MANY)
    hand = statistics.median(by_hand)
    figures = []
    for name, sweeps in ours.items():
        wall = statistics.median(sweep.wall_s for sweep in sweeps)
        figures.append(Figure(f"{name}, whole command", wall, "s", 1.2, hand, "sbatch --array", of_ratio=True))
    quick = statistics.median(sweep.rate for sweep in ours[f"`tasks_per_job: {PACKED}`"])
    packed = f"`tasks_per_job: {PACKED}`, tasks a second"
    figures += [
        Figure(packed, quick, "/s", 20, COUNT / hand, "sbatch --array", of_ratio=True, at_least=True),
        Figure(packed, quick, "/s", None, COUNT / statistics.median(bare), "xargs -P2"),
        Figure(f"{packed}, {MANY:,} of them", many.rate, "/s", None, COUNT / hand, "sbatch --array"),
    ]
    for name, sweeps in ours.items():
        cpu = statistics.median(sweep.cpu_s for sweep in sweeps)
        figures += [
            Figure(f"{name}, controller's CPU a task, all of it", cpu / COUNT * 1e3, "ms", 0.5),
            Figure(f"{name}, the same without start-up", (cpu - one.cpu_s) / (COUNT - 1) * 1e3, "ms", 0.35),
        ]
    return figures


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


def _bare(bench: Workbench) -> float:
    """The same program as often, two at once, with nothing around it."""
    numbers = "\n".join(map(str, range(COUNT))).encode()
    began = time.perf_counter()
    subprocess.run([bench.xargs or "xargs", "-P2", "-n1", NOOP], input=numbers, check=True)
    return time.perf_counter() - began
