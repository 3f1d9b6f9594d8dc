"""A project on a cluster's login node, for tests of whole sweeps: commands that note each call and break to order.

`BatchSite` knows no scheduler: what differs is in the `BatchCluster` that a plugin's tests give it.
"""

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
from typing import Any, Callable, Dict, List, Mapping, Protocol, Sequence, Tuple

from ...store.layout import SweepLayout

__all__ = ["BatchCluster", "BatchSite"]

_DEADLINE_S = 120.0
"""For what a real cluster has to bring about; far more than it ever takes."""

_PROGRAM = """\
echo "$HSM_TASK_INDEX $HSM_ATTEMPT $$ ${variable}" >> "$SITE/ledger"
n=$2
[ ! -f "$SITE/behaviour" ] || . "$SITE/behaviour"
"""

_WRAPPER = """\
#!/bin/bash
printf '%s %s\\n' {name} "$*" >> {site}/calls
real() {{ {real} "$@"; }}
if mv {site}/faults/{name} {site}/faults/{name}.$$ 2>/dev/null; then . {site}/faults/{name}.$$; exit; fi
if [ -e {site}/faults/{name}.always ]; then . {site}/faults/{name}.always; exit; fi
exec {real} "$@"
"""


class BatchCluster(Protocol):
    """A cluster that this process and its children talk to, as tests see it.

    Times are not its own: what it does not bring about at once is waited for.
    """

    kind: str
    """Of the source: `slurm`."""
    commands: Sequence[str]
    """All that are called, the one that submits and the one that lists first."""
    array_directive: str
    """How a script asks for an array: `--array=`."""
    job_variable: str
    """In it a task finds the id of its job."""
    refusals: Mapping[str, str]
    """What the submitting command prints to stderr when it fails: `limit`, `timeout` (in doubt), `down`."""

    def jobs(self) -> Sequence[str]:
        """Ids of jobs that are in the queue, arrays once."""

    def outsider(self, verb: str, *ids: str) -> None:
        """What somebody else does to jobs: `cancel`, `hold`, `release`, `suspend`, `resume`, `requeue`."""

    def stop(self) -> None:
        """The scheduler answers nobody any more; jobs run on."""

    def start(self) -> None:
        """It answers again."""


class BatchSite:
    """A project on a login node: the commands of the scheduler are wrapped, and tasks keep a ledger.

    :param folder: an empty one, which the nodes see.
    """

    def __init__(self, folder: Path, cluster: BatchCluster) -> None:
        self.cluster = cluster
        self.beside = folder / "beside"
        self.root = folder / "project"
        for place in (self.beside / "faults", self.beside / "bin", self.root / "sweeps"):
            place.mkdir(parents=True)
        self.gate = f'until [ -e "{self.beside}/gate" ]; do sleep 0.1; done'
        for name in cluster.commands:
            wrapper = self.beside / "bin" / name
            real = shutil.which(name)
            assert real is not None
            wrapper.write_text(_WRAPPER.format(name=name, site=self.beside, real=real))
            wrapper.chmod(0o755)
        (self.root / "task.sh").write_text(_PROGRAM.replace("{variable}", cluster.job_variable))
        self.configure()
        self._started: List[subprocess.Popen[bytes]] = []

    def configure(self, resources: Mapping[str, Any] = {}, **source: Any) -> None:
        """Write hsm_config.yaml, with a cluster named `here`, asked more often than anyone should."""
        source = {"poll": 1, "lost_grace": 3, "calls_per_minute": 6000, **source}
        config = {
            "project": {"script": "task.sh", "python": "/bin/sh", "env": {"SITE": str(self.beside)}},
            "compute": {"grace": 1},
            "resources": dict(resources),
            "sources": {"here": {"kind": self.cluster.kind, **source}},
        }
        (self.root / "hsm_config.yaml").write_text(json.dumps(config))

    def change_project(self, **section: Any) -> None:
        """Change the section `project` of hsm_config.yaml."""
        config = json.loads((self.root / "hsm_config.yaml").read_text())
        config["project"].update(section)
        (self.root / "hsm_config.yaml").write_text(json.dumps(config))

    def leave_undescribed(self) -> None:
        """Configure no cluster at all."""
        config = json.loads((self.root / "hsm_config.yaml").read_text())
        (self.root / "hsm_config.yaml").write_text(json.dumps({"project": config["project"]}))

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

    def begin(self, sources: str = "here", *words: str) -> subprocess.Popen[bytes]:
        """Start `hsm run` of a sweep named `s`."""
        return self.start("run", "--sources", sources, "--sweep-id", "s", *words)

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """What a command has printed."""
        return (self.beside / f"said.{self._started.index(process)}").read_text("utf-8", "replace")

    def end(self, process: subprocess.Popen[bytes]) -> Tuple[int, str]:
        """Wait for the end of a command; its exit code and what it printed, which is never a traceback."""
        code = process.wait(float(os.environ.get("HSM_TEST_DEADLINE", _DEADLINE_S)))
        said = self.said(process)
        assert "Traceback" not in said, said
        return code, said

    def hsm(self, *words: str) -> Tuple[int, str]:
        """Run a command of hsm to its end."""
        return self.end(self.start(*words))

    def run(self, sources: str = "here", *words: str) -> str:
        """`hsm run` of a sweep named `s`, which completes; what it printed."""
        return self.completes(self.begin(sources, *words))

    def completes(self, process: subprocess.Popen[bytes], once: bool = True) -> str:
        """Wait for a controller that brings the sweep to its end, and hold it to the proof; what it printed."""
        code, said = self.end(process)
        assert code == 0, said
        self.check(once)
        return said

    def complete(self) -> str:
        """Finish the sweep with a new controller, and hold it to the proof."""
        code, said = self.hsm("complete", "s")
        assert code == 0, said
        return said

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        """`kill -9` of hsm and of nothing else."""
        process.send_signal(signal.SIGKILL)
        process.wait()

    def facts(self) -> Dict[str, Any]:
        """What `hsm status --json` prints of the sweep."""
        command = [sys.executable, "-m", "hsm_core", "status", "s", "--json"]
        done = subprocess.run(command, cwd=self.root, capture_output=True, stdin=subprocess.DEVNULL, check=True)
        return dict(json.loads(done.stdout))

    def counts(self, *states: str) -> Tuple[int, ...]:
        """How many tasks are in these states."""
        counts = self.facts()["counts"]
        return tuple(counts.get(state, 0) for state in states)

    def record(self, index: int, attempt: int = 1) -> str:
        """The record of an attempt, which may have been archived."""
        folder = self.layout.tasks / f"task_{index + 1:03d}"
        archived = folder / "attempts" / str(attempt) / "status.yaml"
        return (archived if archived.exists() else folder / "status.yaml").read_text()

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

    def job_of(self, index: int) -> str:
        """The id of the job in which a task ran first, as it saw it."""
        lines = (self.beside / "ledger").read_text().splitlines()
        return next(line.split()[3] for line in lines if line.startswith(f"{index} "))

    def began(self, count: int) -> None:
        """Wait until so many tasks have begun."""
        self.until(lambda: len(self.ledger()) >= count, f"{count} tasks have begun")

    def calls(self) -> List[str]:
        """The commands of the scheduler that were called, with their arguments."""
        path = self.beside / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def calls_of(self, name: str) -> List[List[str]]:
        """The calls of one command, as argv."""
        return [line.split() for line in self.calls() if line.split()[0] == name]

    def counted(self) -> Mapping[str, int]:
        """How often each command was called."""
        return Counter(line.split()[0] for line in self.calls())

    def submitted(self) -> int:
        """How often the command that submits was called."""
        return self.counted()[self.cluster.commands[0]]

    def scripts(self) -> List[str]:
        """The job scripts that were written."""
        return [path.read_text() for path in sorted((self.layout.root / "scripts" / "job_scripts").glob("*.sh"))]

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
        deadline = time.monotonic() + _DEADLINE_S
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
