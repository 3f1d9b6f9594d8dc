"""Tasks on a machine that is reached by SSH, beside the same tasks here, and their files beside SFTP."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from typing import Dict, List, NamedTuple

from measure import rate, run, task_times
from table import Figure
from workbench import HERE, ROOT, Workbench, grid

COUNT = 1000
MANY = 5000
FILES = 5000

sys.path.insert(0, str(ROOT / "plugins" / "hsm_ssh" / "src"))
from hsm_ssh.testing.sshd import SshServer, missing  # noqa: E402 - it needs nothing but the standard library


class Sweep(NamedTuple):
    """One measured sweep.

    :param rate: tasks a second, once they run.
    :param home: tasks a second, from the first start until the sweep is over and all files are here.
    :param files: the most that the controller had open.
    """

    wall_s: float
    cpu_s: float
    rate: float
    home: float
    peak_mb: float
    files: int


def ssh(bench: Workbench) -> List[Figure]:
    """Tasks that do nothing on a loopback sshd at `:2`, in turn with the same here; small files, in turn with SFTP.

    Client, sshd, runner and tasks share the cores of this one machine, so that what encryption costs is paid twice.
    """
    lacking = missing()
    if lacking:
        print(f"SKIPPED: {lacking}")
        return []
    with SshServer() as server:
        sweeps: Dict[str, List[Sweep]] = {"local": [], "server1": []}
        for _ in range(bench.repeat):
            for source in sweeps:
                sweeps[source].append(_sweep(bench, server, source, COUNT))
        many = _sweep(bench, server, "server1", MANY)
        files = _files(bench, server)

    def median(source: str, field: str) -> float:
        return statistics.median(getattr(sweep, field) for sweep in sweeps[source])

    def beside(what: str, field: str) -> Figure:
        ours, here = median("server1", field), median("local", field)
        return Figure(what, ours, "/s", 0.6, here, "local:2", of_ratio=True, at_least=True)

    return [
        beside("tasks a second once running", "rate"),
        beside("tasks a second, all files home", "home"),
        Figure("whole command", median("server1", "wall_s"), "s", None, median("local", "wall_s"), "local:2"),
        Figure("controller's CPU a task, all of it", median("server1", "cpu_s") / COUNT * 1e3, "ms"),
        Figure(
            f"{FILES:,} small files brought home",
            statistics.median(files["ours"]),
            "s",
            0.1,
            statistics.median(files["sftp"]),
            "SFTP one by one",
            of_ratio=True,
        ),
        Figure(
            f"controller's peak memory, {MANY:,} tasks",
            many.peak_mb,
            "MB",
            1.25,
            median("server1", "peak_mb"),
            f"{COUNT:,} tasks",
            of_ratio=True,
        ),
        Figure(
            f"files open at most, {MANY:,} tasks",
            many.files,
            "",
            1.1,
            median("server1", "files"),
            f"{COUNT:,} tasks",
            of_ratio=True,
        ),
    ]


def _sweep(bench: Workbench, server: SshServer, source: str, count: int) -> Sweep:
    project = bench.project("ssh", grid(count))
    config = project / "hsm_config.yaml"
    there = {"kind": "ssh", "project": str(project), **server.options}
    config.write_text(json.dumps({**json.loads(config.read_text()), "sources": {"server1": there}}))
    cost = run([bench.hsm, "run", "--sources", f"{source}:2"], project)
    sweep = bench.sweep_of(project)
    times = task_times(sweep)
    if len(times) != count:
        raise AssertionError(f"{len(times)} of {count} tasks have an exit record here")
    journal = [json.loads(line) for line in (sweep / ".hsm" / "journal" / "0001.jsonl").read_text().splitlines()]
    over = next(event["t"] for event in reversed(journal) if event.get("e") == "closed")
    return Sweep(cost.wall_s, cost.cpu_s, rate(times), count / (over - times[0]["start"]), cost.peak_mb, cost.files)


def _files(bench: Workbench, server: SshServer) -> Dict[str, List[float]]:
    """Seconds that small files took, ours and by SFTP."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        words = [str(server.config_file), str(server.home), folder, "50", str(FILES // 50), str(bench.repeat)]
        done = subprocess.run(
            [bench.python, str(HERE / "collect_alone.py"), *words], stdout=subprocess.PIPE, check=True
        )
    times: Dict[str, List[float]] = json.loads(done.stdout)
    return times
