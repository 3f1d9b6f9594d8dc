"""Commands, and what they cost: wall time, their own CPU time and memory, and those of the runner they start."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence

TICK = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """A command that is measured did not do what it should."""


@dataclass
class Cost:
    """What one command cost.

    :param cpu_s: user and system time of the process itself, its children not counted.
    :param runner_cpu_s: the same of the runner that it started, as last seen.
    :param peak_mb: its largest resident memory.
    :param files: the most that it had open at once, as often as it was looked at.
    :param written_mb: what it handed to `write`.
    :param began_at: Unix seconds just before the start.
    """

    wall_s: float
    cpu_s: float
    runner_cpu_s: float
    peak_mb: float
    files: int
    written_mb: float
    began_at: float
    stdout: str


def own_cpu_s(pid: int) -> float:
    """CPU time of a process, all its threads, without its children; works until it is waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _proc_value(pid: int, file: str, key: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0


def runner_of(pid: Optional[int] = None) -> Optional[int]:
    """The process id of the runner that a process started; None asks for this process's own."""
    for task in Path(f"/proc/{pid or 'self'}/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"runner.py\0serve" in command:
                return int(child)
    return None


def run(
    argv: Sequence[str],
    cwd: Path,
    env: Optional[Mapping[str, str]] = None,
    timeout_s: float = 600.0,
    ok: Sequence[int] = (0,),
    meanwhile: Optional[Callable[[], None]] = None,
) -> Cost:
    """Run a command to its end and take its measure, looking at it fifty times a second.

    :param ok: exit codes that are as they should be.
    :param meanwhile: called at every look.
    :raises BenchmarkError: for any other exit code, or after `timeout_s`.
    """
    out_path = cwd / "benchmark.out"
    with open(out_path, "wb") as out:
        began_at, start = time.time(), time.perf_counter()
        process = subprocess.Popen(
            argv, cwd=cwd, env=None if env is None else {**os.environ, **env}, stdout=out, stderr=out
        )
        runner: Optional[int] = None
        runner_cpu_s = peak_mb = 0.0
        files = 0
        try:
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                if time.perf_counter() - start > timeout_s:
                    raise BenchmarkError(f"{' '.join(argv)}: not done after {timeout_s:.0f} s")
                try:
                    runner = runner or runner_of(process.pid)
                    peak_mb = max(peak_mb, _proc_value(process.pid, "status", "VmHWM:") / 1024)
                    files = max(files, len(os.listdir(f"/proc/{process.pid}/fd")))
                    if runner:
                        runner_cpu_s = max(runner_cpu_s, own_cpu_s(runner))
                except (FileNotFoundError, ProcessLookupError):
                    pass  # it ended while we looked
                if meanwhile:
                    meanwhile()
                _wait_for_exit(process.pid, 0.02)
        except BaseException:
            process.terminate()  # nothing that is measured outlives the measuring
            process.wait()
            raise
        wall_s = time.perf_counter() - start
        cpu_s = own_cpu_s(process.pid)
        written_mb = _proc_value(process.pid, "io", "wchar:") / 1e6
        returncode = process.wait()
    stdout = out_path.read_text(errors="replace")
    if returncode not in ok:
        raise BenchmarkError(f"{' '.join(argv)}: exit code {returncode}\n{stdout[-2000:]}")
    return Cost(wall_s, cpu_s, runner_cpu_s, peak_mb, files, written_mb, began_at, stdout)


def _wait_for_exit(pid: int, timeout_s: float) -> None:
    # A plain sleep would round every measurement up to its end.
    if hasattr(os, "pidfd_open"):
        import select

        descriptor = os.pidfd_open(pid)
        try:
            select.select([descriptor], [], [], timeout_s)
        finally:
            os.close(descriptor)
    else:
        time.sleep(timeout_s / 10)


def wall_s(argv: Sequence[str], cwd: Path, repeat: int = 11, ok: Sequence[int] = (0,)) -> float:
    """Median wall time of a short command, in seconds, after one run that warms the caches."""
    times: List[float] = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        done = subprocess.run(argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        times.append(time.perf_counter() - start)
        if done.returncode not in ok:
            raise BenchmarkError(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout.decode()[-2000:]}")
    return statistics.median(times[1:])


def task_times(sweep: Path) -> List[Dict[str, float]]:
    """Start and end of every task that ended, Unix seconds, in order of start, from the exit records on disk."""
    times = []
    for folder in os.scandir(sweep / "tasks"):
        try:
            text = Path(folder.path, "status.yaml").read_text()
        except FileNotFoundError:
            continue
        record = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        if "duration_s" in record and "started_at" in record:
            started = float(record["started_at"])
            times.append({"start": started, "end": started + float(record["duration_s"])})
    return sorted(times, key=lambda task: task["start"])


def rate(times: Sequence[Mapping[str, float]]) -> float:
    """Tasks a second from the first start to the last start: how fast it goes once it goes."""
    return (len(times) - 1) / (times[-1]["start"] - times[0]["start"])
