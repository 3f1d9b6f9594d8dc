"""A real cluster for all tests of a worker, where one can be started, and a login node on which things can go wrong."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Tuple

import pytest
from hsm_slurm.testing.cluster import Cluster, missing

from hsm_core.report.reading import open_sweep
from hsm_core.store.layout import SweepLayout

DEADLINE_S = 120.0
"""For what a real cluster has to bring about; far more than it ever takes."""


def _start(accounting: bool = False, cgroups: bool = False, extra: Tuple[str, ...] = ()) -> Iterator[Cluster]:
    if os.environ.get("HSM_REAL_SLURM") != "1":
        pytest.skip("NOT TESTED ON A REAL SLURM: nobody asked for it (scripts/test --real-slurm)")
    lacking = missing(accounting, cgroups)
    if lacking:
        pytest.skip(f"NOT TESTED ON A REAL SLURM: {lacking} (scripts/install-slurm)")
    with Cluster(accounting=accounting, cgroups=cgroups, extra=extra) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def _plain_cluster() -> Iterator[Cluster]:
    yield from _start()


_STRICT_ACCOUNTS = ("AccountingStorageEnforce=associations,limits,qos", "MinJobAge=3", "MaxArraySize=21")


@pytest.fixture(scope="session")
def _accounted_cluster() -> Iterator[Cluster]:
    yield from _start(
        accounting=True, extra=("AccountingStorageEnforce=associations,limits,qos", "MinJobAge=3", "MaxArraySize=21")
    )


@pytest.fixture(scope="session")
def _strict_cluster() -> Iterator[Cluster]:
    yield from _start(cgroups=True)


@pytest.fixture
def _own_cluster() -> Iterator[Cluster]:
    yield from _start()


def _enter(cluster: Cluster, patch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    # The budget of calls is shared by all hsm of a user, but not by tests that run beside each other.
    runtime = cluster.folder / "runtime"
    runtime.mkdir(exist_ok=True)
    patch.setenv("XDG_RUNTIME_DIR", str(runtime))
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        patch.delenv(name)
    for name, value in cluster.env.items():
        patch.setenv(name, value)
    yield cluster
    cluster.drain()


@pytest.fixture
def cluster(_plain_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A real Slurm that this process and its children talk to, its queue empty."""
    yield from _enter(_plain_cluster, monkeypatch)


@pytest.fixture
def accounted_cluster(_accounted_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The same with accounting, which the controller enforces; it forgets ended jobs within seconds."""
    yield from _enter(_accounted_cluster, monkeypatch)


@pytest.fixture
def strict_cluster(_strict_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A real Slurm that follows and limits jobs by cgroups, as production clusters do."""
    yield from _enter(_strict_cluster, monkeypatch)


_PROGRAM = """\
echo "$HSM_TASK_INDEX $HSM_ATTEMPT $$ $SLURM_JOB_ID" >> "$SITE/ledger"
n=$2
[ ! -f "$SITE/behaviour" ] || . "$SITE/behaviour"
"""

# Commands that note each call, and break as a test wants: `NAME` once, `NAME.always` every time.
_WRAPPER = """\
#!/bin/bash
printf '%s %s\\n' {name} "$*" >> {site}/calls
real() {{ {real} "$@"; }}
if mv {site}/faults/{name} {site}/faults/{name}.$$ 2>/dev/null; then . {site}/faults/{name}.$$; exit; fi
if [ -e {site}/faults/{name}.always ]; then . {site}/faults/{name}.always; exit; fi
exec {real} "$@"
"""
COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sacctmgr")


class Site:
    """A project on a login node: the commands of Slurm are wrapped, and tasks keep a ledger.

    :param folder: an empty one.
    """

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        self.beside = folder / "beside"
        self.root = folder / "project"
        for place in (self.beside / "faults", self.beside / "bin", self.root / "sweeps"):
            place.mkdir(parents=True)
        for name in COMMANDS:
            wrapper = self.beside / "bin" / name
            real = shutil.which(name)
            assert real is not None
            wrapper.write_text(_WRAPPER.format(name=name, site=self.beside, real=real))
            wrapper.chmod(0o755)
        (self.root / "task.sh").write_text(_PROGRAM)
        self.configure()
        self._started: List[subprocess.Popen[bytes]] = []

    def configure(self, resources: Mapping[str, Any] = {}, **source: Any) -> None:
        """Write hsm_config.yaml, with a cluster named `here`."""
        config = {
            "project": {"script": "task.sh", "python": "/bin/sh", "env": {"SITE": str(self.beside)}},
            "compute": {"grace": 1},
            "resources": dict(resources),
            "sources": {"here": {"kind": "slurm", **source}},
        }
        (self.root / "hsm_config.yaml").write_text(json.dumps(config))

    def declare(self, total: int, **sections: Any) -> None:
        """Write the sweep file: `total` tasks, numbered by `n`."""
        (self.root / "sweeps" / "sweep_config.yaml").write_text(
            json.dumps({"grid": {"n": list(range(total))}, **sections})
        )

    def behave(self, shell: str) -> None:
        """What a task does besides writing its line; `$n` is its number."""
        (self.beside / "behaviour").write_text(shell)

    def break_command(self, name: str, shell: str, always: bool = False) -> None:
        """From now on a command does this instead, once or always; `real "$@"` is the true one."""
        path = self.beside / "faults" / (f"{name}.always" if always else name)
        hidden = path.with_name(f".{path.name}")
        hidden.write_text(shell)
        hidden.rename(path)

    def mend(self) -> None:
        """No command is broken any more."""
        for path in (self.beside / "faults").iterdir():
            path.unlink()

    # --- hsm

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command of hsm, in a session of its own."""
        number = len(self._started)
        env = {**os.environ, "PATH": f"{self.beside}/bin{os.pathsep}{os.environ['PATH']}"}
        with open(self.beside / f"said.{number}", "wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "hsm_core", *words],
                cwd=self.root,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """What a command has printed."""
        return (self.beside / f"said.{self._started.index(process)}").read_text("utf-8", "replace")

    def end(self, process: subprocess.Popen[bytes]) -> Tuple[int, str]:
        """Wait for the end of a command; its exit code and what it printed, which is never a traceback."""
        code = process.wait(float(os.environ.get("HSM_TEST_DEADLINE", DEADLINE_S)))
        said = self.said(process)
        assert "Traceback" not in said, said
        return code, said

    def hsm(self, *words: str) -> Tuple[int, str]:
        """Run a command of hsm to its end."""
        return self.end(self.start(*words))

    def run(self, sources: str = "slurm", *words: str) -> str:
        """`hsm run` of a sweep named `s`, which completes; what it printed."""
        code, said = self.hsm("run", "--sources", sources, "--sweep-id", "s", *words)
        assert code == 0, said
        self.check()
        return said

    def facts(self) -> Dict[str, Any]:
        """What `hsm status --json` prints of the sweep."""
        return dict(open_sweep(self.layout).facts)

    @property
    def layout(self) -> SweepLayout:
        """The files of the sweep."""
        return SweepLayout(self.root / "sweeps" / "outputs" / "s")

    # --- the proof

    def ledger(self) -> List[Tuple[int, int]]:
        """(index, attempt) of every run of a task, in order."""
        path = self.beside / "ledger"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(index), int(attempt)) for index, attempt, *_ in map(str.split, lines)]

    def calls(self) -> List[str]:
        """The commands of Slurm that were called, with their arguments."""
        path = self.beside / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def counted(self) -> Mapping[str, int]:
        """How often each command was called."""
        return Counter(line.split()[0] for line in self.calls())

    def check(self, once: bool = True) -> None:
        """All tasks are completed, and every attempt ran once at the most; `once`: every task ran exactly once."""
        facts = self.facts()
        total = facts["total"]
        assert facts["counts"]["completed"] == total, facts
        ledger = self.ledger()
        assert len(ledger) == len(set(ledger)), "an attempt ran twice"
        assert {index for index, _ in ledger} == set(range(total)), "a task never ran"
        if once:
            assert len(ledger) == total, f"{len(ledger)} runs of {total} tasks"

    @staticmethod
    def until(condition: Callable[[], Any], what: str = "") -> Any:
        """Wait for something that real processes have to bring about."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < deadline, what or "it never came"
            time.sleep(0.02)

    def clean(self) -> None:
        """End what was started."""
        for process in self._started:
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """A project on the login node of the plain cluster."""
    made = Site(tmp_path, cluster)
    yield made
    made.clean()


@pytest.fixture
def accounted_site(accounted_cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """A project on the login node of the cluster with accounting."""
    made = Site(tmp_path, accounted_cluster)
    yield made
    made.clean()


@pytest.fixture
def strict_site(strict_cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """A project on the login node of the cluster with cgroups."""
    made = Site(tmp_path, strict_cluster)
    yield made
    made.clean()


@pytest.fixture
def own_site(_own_cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """A project on a cluster of its own, for what leaves a cluster strange: one that gives ids a second time."""
    for cluster in _enter(_own_cluster, monkeypatch):
        made = Site(tmp_path, cluster)
        yield made
        made.clean()
