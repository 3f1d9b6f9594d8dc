"""Real clusters, each for all tests of a worker, where one can be started; a login node on which things can go wrong.

The environment may say which tests use one: `HSM_REAL_SLURM=0` none, `HSM_REAL_SLURM=laws` the laws of sources only.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
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


_WANTED = os.environ.get("HSM_REAL_SLURM", "1")
_LAWS = "on_a_cluster"
"""The fixture of those tests that every source has to pass."""
_CLUSTERS = {"cluster": "plain", "accounted_cluster": "accounted", "strict_cluster": "strict", "own_cluster": ""}
"""Fixtures that are a real cluster, and the group of tests that share one; on a cluster of its own none does."""


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    """Keep tests that share a cluster together on one worker; leave out those that are not wanted."""
    unwanted = []
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        groups = {group for name, group in _CLUSTERS.items() if name in names}
        if _LAWS in names:
            item.add_marker(pytest.mark.xdist_group("slurm-laws"))
        elif groups:
            group = min(groups)
            if group:
                # Plain clusters are cheap: each file has one, so that there is work for several workers.
                own = item.path.stem if group == "plain" else group
                item.add_marker(pytest.mark.xdist_group(f"slurm-{own}"))
            if _WANTED == "laws":
                unwanted.append(item)
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in set(unwanted)]


def _start(
    accounting: bool = False, cgroups: bool = False, gpus: int = 0, extra: Tuple[str, ...] = ()
) -> Iterator[Cluster]:
    lacking = "HSM_REAL_SLURM=0" if _WANTED == "0" else missing(accounting, cgroups)
    if lacking:
        pytest.skip(f"NOT TESTED ON A REAL SLURM: {lacking} (scripts/install-slurm)")
    with Cluster(accounting=accounting, cgroups=cgroups, gpus=gpus, extra=extra) as cluster:
        yield cluster


_PREEMPTION = (
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "PartitionName=mild Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE MaxTime=INFINITE",
    "PartitionName=hard Nodes=ALL PriorityTier=1 PreemptMode=CANCEL MaxTime=INFINITE",
    "PartitionName=urgent Nodes=ALL PriorityTier=9 PreemptMode=OFF MaxTime=INFINITE",
)
_STRICT_ACCOUNTS = ("AccountingStorageEnforce=associations,limits,qos", "MinJobAge=3", "MaxArraySize=21")


@pytest.fixture(scope="session")
def _plain_cluster() -> Iterator[Cluster]:
    yield from _start(gpus=2, extra=_PREEMPTION)


@pytest.fixture(scope="session")
def _accounted_cluster() -> Iterator[Cluster]:
    yield from _start(accounting=True, extra=_STRICT_ACCOUNTS)


@pytest.fixture(scope="session")
def _strict_cluster() -> Iterator[Cluster]:
    yield from _start(cgroups=True)


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
def own_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A real Slurm of this test alone, for what leaves a cluster strange: one that gives ids a second time."""
    for cluster in _start():
        yield from _enter(cluster, monkeypatch)


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
        self.gate = f'until [ -e "{self.beside}/gate" ]; do sleep 0.1; done'
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
        """Write hsm_config.yaml, with a cluster named `here`, asked more often than anyone should."""
        source = {"poll": 1, "lost_grace": 3, "calls_per_minute": 6000, **source}
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

    def open_gate(self) -> None:
        """Tasks that wait at `gate`, as a line of their behaviour, go on."""
        (self.beside / "gate").touch()

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

    def start(self, *words: str, env: Mapping[str, str] = {}) -> subprocess.Popen[bytes]:
        """Start a command of hsm, in a session of its own."""
        number = len(self._started)
        path = f"{self.beside}/bin{os.pathsep}{os.environ['PATH']}"
        with open(self.beside / f"said.{number}", "wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "hsm_core", *words],
                cwd=self.root,
                env={**os.environ, "PATH": path, **env},
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

    def begin(self, sources: str = "here", *words: str) -> subprocess.Popen[bytes]:
        """Start `hsm run` of a sweep named `s`."""
        return self.start("run", "--sources", sources, "--sweep-id", "s", *words)

    def run(self, sources: str = "here", *words: str) -> str:
        """`hsm run` of a sweep named `s`, which completes; what it printed."""
        return self.completes(self.begin(sources, *words))

    def completes(self, process: subprocess.Popen[bytes], once: bool = True) -> str:
        """Wait for a controller that brings the sweep to its end, and hold it to the proof; what it printed."""
        code, said = self.end(process)
        assert code == 0, said
        self.check(once)
        return said

    def began(self, count: int) -> None:
        """Wait until so many tasks have begun."""
        self.until(lambda: len(self.ledger()) >= count, f"{count} tasks have begun")

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

    def calls_of(self, name: str) -> List[List[str]]:
        """The calls of one command, as argv."""
        return [line.split() for line in self.calls() if line.split()[0] == name]

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

    def job_of(self, index: int) -> str:
        """The name by which scancel knows the job that first ran a task: ARRAY_INDEX, or its id."""
        line = next(line for line in (self.beside / "ledger").read_text().splitlines() if line.startswith(f"{index} "))
        text = self.cluster.run("scontrol", "-o", "show", "job", line.split()[3])
        array = re.search(r"ArrayJobId=(\d+) ArrayTaskId=(\d+)", text)  # an array's last element has the array's own id
        return f"{array[1]}_{array[2]}" if array else line.split()[3]

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
def make_sites(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., List[Site]]]:
    """Make projects, side by side: `make_sites("cluster", 3)`. What takes long may so happen to all of them at once."""
    made: List[Site] = []

    def make(cluster: str, count: int = 1) -> List[Site]:
        on = request.getfixturevalue(cluster)
        new = [Site(tmp_path / f"site{len(made) + number}", on) for number in range(count)]
        made.extend(new)
        return new

    yield make
    for site in made:
        site.clean()


@pytest.fixture
def site(cluster: Cluster, make_sites: Callable[..., List[Site]]) -> Site:
    """A project on the login node of the plain cluster."""
    return make_sites("cluster")[0]


@pytest.fixture
def accounted_site(accounted_cluster: Cluster, make_sites: Callable[..., List[Site]]) -> Site:
    """A project on the login node of the cluster with accounting."""
    return make_sites("accounted_cluster")[0]


@pytest.fixture
def strict_site(strict_cluster: Cluster, make_sites: Callable[..., List[Site]]) -> Site:
    """A project on the login node of the cluster with cgroups."""
    return make_sites("strict_cluster")[0]


@pytest.fixture
def own_site(own_cluster: Cluster, make_sites: Callable[..., List[Site]]) -> Site:
    """A project on a cluster of its own."""
    return make_sites("own_cluster")[0]
