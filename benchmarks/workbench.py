"""Where benchmarks run: an environment with hsm installed as wheels, throw-away projects, and the peers there are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from measure import BenchmarkError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = HERE / "peers"
NOOP = shutil.which("true") or "/bin/true"


class Workbench:
    """An environment, and a folder for everything that a run of benchmarks leaves; a context manager."""

    def __init__(self, repeat: int) -> None:
        self.repeat = repeat
        self.environment = ROOT / ".venv" / "bench-{}.{}".format(*sys.version_info[:2])
        self.folder = Path(tempfile.mkdtemp(prefix="hsm-benchmark-"))
        self.hsm = str(self.environment / "bin" / "hsm")
        self.python = str(self.environment / "bin" / "python")
        self.has_hyperqueue = False
        self.parallel = shutil.which("parallel")
        self.xargs = shutil.which("xargs")

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def prepare(self) -> None:
        """Install hsm, not editable (that costs start-up time which users do not pay), and the peers."""
        if not Path(self.python).exists():
            _quietly([sys.executable, "-m", "venv", str(self.environment)])
        # From a copy: pip builds where the source is, and takes along what an earlier build left there.
        source = self.folder / "source"
        skipped = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests", "docs", "sweeps")
        shutil.copytree(ROOT, source, ignore=skipped)
        plugins = [f"./plugins/{path.name}" for path in sorted((source / "plugins").iterdir())]
        self._pip("install", "./", *plugins, cwd=source)
        self._pip("install", "--force-reinstall", "--no-deps", "./", *plugins, cwd=source)
        self.has_hyperqueue = self._try("HyperQueue", lambda: self._pip("install", "hyperqueue"))
        if not self.parallel and os.geteuid() == 0 and shutil.which("apt-get"):
            self._try("GNU parallel", lambda: _quietly(["apt-get", "install", "-y", "-qq", "parallel"]))
            self.parallel = shutil.which("parallel")

    def project(self, name: str, sweep: Mapping[str, Any], command: Optional[Sequence[str]] = None) -> Path:
        """A new folder with an `hsm_config.yaml`, whose command does nothing, and a sweep file."""
        folder = Path(tempfile.mkdtemp(prefix=name + "-", dir=self.folder))
        _write_yaml(
            folder / "hsm_config.yaml", {"project": {"name": name, "command": list(command or [NOOP, "{args}"])}}
        )
        _write_yaml(folder / "sweeps" / "sweep_config.yaml", sweep)
        return folder

    def sweep_of(self, project: Path) -> Path:
        """The folder of the one sweep that was run in a project."""
        (sweep,) = (path for path in (project / "sweeps" / "outputs").iterdir() if path.is_dir())
        return sweep

    def _pip(self, *arguments: str, cwd: Optional[Path] = None) -> None:
        _quietly([self.python, "-m", "pip", "--disable-pip-version-check", "-q", *arguments], cwd)

    def _try(self, peer: str, install: Any) -> bool:
        try:
            install()
        except BenchmarkError as error:
            print(f"SKIPPED: {peer} could not be installed: {str(error).splitlines()[-1]}")
            return False
        return True


def grid(*sizes: int) -> Dict[str, Any]:
    """A sweep file with one parameter for each size, which has that many values."""
    return {"grid": {f"p{number}": list(range(size)) for number, size in enumerate(sizes)}}


def machine() -> List[str]:
    """What a reader must know to judge the figures; no names."""
    processor = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    system = os.uname()
    return [
        f"{os.cpu_count()} cores, {processor}, {system.machine}, {system.sysname} {system.release.split('-')[0]}",
        f"CPython {sys.version.split()[0]}; load before the start {os.getloadavg()[0]:.2f}",
    ]


def _write_yaml(path: Path, data: Mapping[str, Any]) -> None:
    import json

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")  # JSON is YAML too


def _quietly(argv: Sequence[str], cwd: Optional[Path] = None) -> None:
    done = subprocess.run(argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise BenchmarkError(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout.decode()[-2000:]}")
