"""A cluster that a laptop drives: its scheduler is real, or imitated, and only an sshd on its login node is reached."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Tuple

import pytest

sshd = pytest.importorskip(
    "hsm_ssh.testing.sshd", reason="hsm-ssh is not installed: no cluster is driven from elsewhere"
)

DEADLINE_S = 180.0
TOTAL = 27
PROGRAM = """
import json, os, sys, time
import model

n = int(dict(zip(sys.argv[1::2], sys.argv[2::2]))["--n"])
with open(os.environ["LEDGER"], "a") as ledger:
    ledger.write("%d %s %s\\n" % (n, os.environ["HSM_ATTEMPT"], os.getcwd()))
print("out", n)
os.makedirs(os.environ["HSM_TASK_DIR"] + "/results/empty")
with open(os.environ["HSM_TASK_DIR"] + "/results/-weights \\u00e9.bin", "wb") as file:
    file.write(bytes([n]) * 1000 * n)
with open(os.environ["HSM_METRICS_FILE"], "w") as file:
    json.dump({"loss": model.loss(n)}, file)
time.sleep(1.0)
"""


class Laptop:
    """A project on a machine without any scheduler's commands, and the login node that it reaches."""

    def __init__(self, folder: Path, kind: str, login: Any) -> None:
        self.login = login
        self.kind = kind
        self.root = folder / "project"
        self._ledger = folder / "ledger"
        self._said = folder / "said"
        (self.root / "sweeps").mkdir(parents=True)
        (self.root / "train.py").write_text(PROGRAM)
        (self.root / "model.py").write_text("def loss(n):\n    return n / 2\n")
        (self.root / "sweeps" / "sweep_config.yaml").write_text(json.dumps({"grid": {"n": list(range(TOTAL))}}))
        self.configure()

    def configure(self, **options: Any) -> None:
        """Write hsm_config.yaml, with the cluster as `far`."""
        source = {"kind": self.kind, "host": f"ssh:{self.login.name}", "host_options": self.login.options}
        impatient = {"slots": 9, "poll": 1, "lost_grace": 3, "calls_per_minute": 6000}
        config: Dict[str, Any] = {
            "project": {
                "command": ["python3", "{script}", "{args}"],
                "script": "train.py",
                "env": {"LEDGER": str(self._ledger), "PYTHONDONTWRITEBYTECODE": "1"},
            },
            "compute": {"result_collection_interval": 1},
            "sources": {"far": {**source, **impatient, **options}},
        }
        (self.root / "hsm_config.yaml").write_text(json.dumps(config))

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command of hsm."""
        with open(self._said, "wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "hsm_core", *words],
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def end(self, process: subprocess.Popen[bytes]) -> Tuple[int, str]:
        """How the command that was started last ended, and what it said."""
        try:
            code = process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(self._said.read_text()) from None
        said = self._said.read_text()
        assert "Traceback" not in said, said
        return code, said

    def hsm(self, *words: str) -> Tuple[int, str]:
        """Run a command of hsm to its end."""
        return self.end(self.start(*words))

    def ledger(self) -> List[List[str]]:
        """Task, attempt and working folder of every start."""
        return [line.split(" ", 2) for line in self._ledger.read_text().splitlines()] if self._ledger.exists() else []

    def run_and_kill_once(self) -> None:
        """Run the sweep `s`; its controller is killed when some tasks have begun, and another finishes."""
        process = self.start("run", "--sources", "far", "--sweep-id", "s")
        deadline = time.monotonic() + DEADLINE_S
        while len(self.ledger()) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, self._said.read_text()
        process.kill()
        process.wait()
        code, said = self.hsm("complete", "s")
        assert code == 0, said

    def check(self, place: str) -> None:
        """Every task ran once, in that folder there; what it left is here, and only here."""
        assert sorted((int(n), attempt) for n, attempt, _ in self.ledger()) == [(n, "1") for n in range(TOTAL)]
        assert {folder for *_, folder in self.ledger()} == {place}
        for n in range(TOTAL):
            task = self.root / "sweeps" / "outputs" / "s" / "tasks" / f"task_{n + 1:03d}"
            assert (task / "stdout.log").read_text() == f"out {n}\n"
            assert (task / "results" / "-weights \u00e9.bin").read_bytes() == bytes([n]) * 1000 * n
            assert (task / "results" / "empty").is_dir()
            assert json.loads((task / "metrics.json").read_text()) == {"loss": n / 2}
        assert list((self.login.home / ".hsm" / "sweeps").glob("*")) == []


@contextlib.contextmanager
def _slurm() -> Iterator[Mapping[str, str]]:
    cluster = pytest.importorskip("hsm_slurm.testing.cluster", reason="hsm-slurm is not installed")
    wanted = os.environ.get("HSM_REAL_SLURM", "1")
    lacking = f"HSM_REAL_SLURM={wanted}" if wanted in ("0", "laws") else cluster.missing()
    if lacking:
        pytest.skip(f"NOT TESTED ON A REAL SLURM: {lacking} (scripts/install-slurm)")
    with cluster.Cluster() as running:
        yield running.env


@contextlib.contextmanager
def _pbs() -> Iterator[Mapping[str, str]]:
    emulator = pytest.importorskip("hsm_pbs.testing.emulator", reason="hsm-pbs is not installed")
    if os.environ.get("HSM_PBS") == "laws":
        pytest.skip("HSM_PBS=laws: whole sweeps on PBS are tested on another Python")
    with emulator.Emulator() as running:
        yield running.env


CLUSTERS: Mapping[str, Callable[[], Any]] = {"slurm": _slurm, "pbs": _pbs}


@pytest.fixture(params=CLUSTERS)
def laptop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    """A laptop, and each kind of cluster behind a login node."""
    lacking = sshd.missing()
    if lacking:
        pytest.skip(f"NOT TESTED ON A REAL SSHD: {lacking} (scripts/install-sshd)")
    # The budget of calls is shared by all hsm of a user, but not by tests that run beside each other.
    (tmp_path / "runtime").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    with CLUSTERS[request.param]() as there, sshd.SshServer("login1", env=there) as login:
        yield Laptop(tmp_path, request.param, login)


def test_a_sweep_on_a_copy_that_was_pushed(laptop: Laptop) -> None:
    """Refused without a copy; after `hsm sync` it runs there, though its controller is killed, and comes home."""
    code, said = laptop.hsm("run", "--sources", "far", "--sweep-id", "refused")
    assert code == 4, said
    assert "hsm sync --target" in said
    code, said = laptop.hsm("sync", "--target", "far")
    assert code == 0, said
    (snapshot,) = (laptop.login.home / ".hsm" / "projects").glob("project-*/[0-9a-f]*")
    laptop.run_and_kill_once()
    laptop.check(str(snapshot))


def test_a_sweep_in_a_folder_of_the_users_own(laptop: Laptop) -> None:
    """`project:` names the copy there, which is compared: one that differs is refused, one that does not is used."""
    place = laptop.login.home / "code"
    shutil.copytree(laptop.root, place, ignore=shutil.ignore_patterns("sweeps"))
    (place / "model.py").write_text("def loss(n):\n    return 0\n")
    laptop.configure(project=str(place))
    code, said = laptop.hsm("run", "--sources", "far", "--sweep-id", "refused")
    assert code == 4, said
    assert "1 different (model.py)" in said
    shutil.copy(laptop.root / "model.py", place / "model.py")
    laptop.run_and_kill_once()
    laptop.check(str(place))


def test_it_is_tried_stage_by_stage(laptop: Laptop) -> None:
    """`hsm test` asks the scheduler over the host, and says first when the host is not reached."""
    assert laptop.hsm("sync", "--target", "far")[0] == 0
    code, said = laptop.hsm("test", "far", "--json")
    assert code == 0, said
    (tried,) = json.loads(said)
    states = {stage["name"]: stage["state"] for stage in tried["stages"]}
    assert list(states)[:2] == ["host", "tools"]
    assert list(states)[-4:] == ["project", "open", "health", "one task"]
    assert set(states.values()) <= {"ok", "skipped"}
    assert states["project"] == states["one task"] == "ok"
    laptop.login.stop()
    code, said = laptop.hsm("test", "far", "--json")
    assert code == 1, said
    first, *others = json.loads(said)[0]["stages"]
    assert (first["name"], first["state"]) == ("host", "FAILED")
    assert {stage["state"] for stage in others} == {"skipped"}
