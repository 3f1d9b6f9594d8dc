"""Sweeps by the command line on real sshds: as on this machine, whatever becomes of connections and processes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Tuple

import pytest
from hsm_ssh.testing.sshd import SshServer, missing

from hsm_core.testing.pythons import interpreter

DEADLINE_S = 120.0
PROGRAM = """
import json, os, sys, time
yard, n = os.environ["YARD"], int(dict(zip(sys.argv[1::2], sys.argv[2::2]))["--n"])

def note(word):
    fd = os.open(os.path.join(yard, "ledger"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, ("%s %d %s %s\\n" % (word, n, os.environ["HSM_ATTEMPT"], os.uname().nodename)).encode())
    os.close(fd)

note("start")
home = os.environ["HSM_TASK_DIR"]
print("out", n, flush=True)
print("err", n, file=sys.stderr)
os.makedirs(home + "/results/empty")
path = home + "/results/-weights \\u00e9.bin"
with open(path, "wb") as file:
    file.write(bytes([n % 251]) * 1000 * n)
os.chmod(path, 0o640)
with open(home + "/metrics.json", "w") as file:
    json.dump({"loss": n / 2}, file)
time.sleep(float(os.environ.get("PAUSE", "0.02")))
note("end")
"""


class Yard:
    """A project that is its own copy on every machine, because all of them see this file system."""

    def __init__(self, root: Path, servers: List[SshServer], total: int, env: Mapping[str, str]) -> None:
        self.root = root
        self.project = root / "project"
        (self.project / "sweeps").mkdir(parents=True)
        (self.project / "task.py").write_text(PROGRAM)
        config: Dict[str, Any] = {
            "project": {
                "command": [sys.executable, "-I", "-S", "{script}", "{args}"],
                "script": "task.py",
                "env": {"YARD": str(root), **env},
            },
            "compute": {"grace": 0.5},
            "sources": {
                server.name: {"kind": "ssh", "project": str(self.project), "keepalive_interval": 1, **server.options}
                for server in servers
            },
        }
        (self.project / "hsm_config.yaml").write_text(json.dumps(config))
        (self.project / "sweeps" / "sweep_config.yaml").write_text(json.dumps({"grid": {"n": list(range(total))}}))
        self._started: List[subprocess.Popen[bytes]] = []

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command of hsm."""
        log = self.root / f"log.{len(self._started)}"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "hsm_core", *words],
                cwd=self.project,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> Tuple[int, str]:
        """How a command ended, and what it said."""
        said = self.root / f"log.{self._started.index(process)}"
        try:
            code = process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(said.read_text()) from None
        assert "Traceback" not in said.read_text(), said.read_text()
        return code, said.read_text()

    def hsm(self, *words: str) -> Tuple[int, str]:
        """Run a command to its end."""
        return self.end(self.start(*words))

    def configure(self, server: SshServer, **options: Any) -> None:
        """Give a machine further options."""
        path = self.project / "hsm_config.yaml"
        config = json.loads(path.read_text())
        config["sources"][server.name].update(options)
        path.write_text(json.dumps(config))

    @staticmethod
    def until(condition: Callable[[], Any]) -> None:
        """Wait for what processes bring about."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.02)

    def ledger(self) -> List[List[str]]:
        """What tasks wrote: word, task, attempt, machine."""
        path = self.root / "ledger"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def check_once(self, total: int) -> None:
        """No attempt ran twice, and each task came to its end once."""
        self.check_attempts()
        assert sorted(int(n) for word, n, *_ in self.ledger() if word == "end") == list(range(total))

    def check_attempts(self) -> None:
        """No attempt ran twice."""
        starts = [(n, attempt) for word, n, attempt, _ in self.ledger() if word == "start"]
        assert len(starts) == len(set(starts)), starts

    def tree(self, sweep_id: str) -> Dict[str, Tuple[int, bytes]]:
        """What tasks left: modes and contents, but for records."""
        top = self.project / "sweeps" / "outputs" / sweep_id / "tasks"
        return {
            str(path.relative_to(top)): (
                path.stat().st_mode,
                path.read_bytes() if path.is_file() and path.name != "status.yaml" else b"",
            )
            for path in top.rglob("*")
        }

    def clean(self) -> None:
        """Leave nothing running."""
        for process in self._started:
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Yard]]:
    """Make a project for these machines."""
    made: List[Yard] = []

    def make(*servers: SshServer, total: int, **env: str) -> Yard:
        made.append(Yard(tmp_path, list(servers), total, env))
        return made[-1]

    yield make
    for yard in made:
        yard.clean()


def left(server: SshServer) -> List[Path]:
    """What sweeps left on a machine."""
    return list((server.home / ".hsm" / "sweeps").glob("*"))


def test_twenty_seven_tasks_on_two_machines_and_here(make: Callable[..., Yard], own_server: SshServer) -> None:
    """Results, logs and metrics are home, as those of a local run are, and nothing stays behind."""
    with SshServer("server2") as second:
        yard = make(own_server, second, total=27, PAUSE="0.3")
        code, said = yard.hsm("run", "--sources", "local:2,server1:2,server2:2", "--sweep-id", "far")
        assert code == 0, said
        yard.check_once(27)
        assert len({machine for *_, machine in yard.ledger()}) == (3 if own_server.isolated else 1)
        (yard.root / "ledger").unlink()
        assert yard.hsm("run", "--sources", "local:9", "--sweep-id", "here")[0] == 0
        assert yard.tree("far") == yard.tree("here")
        assert left(own_server) == left(second) == []


def test_the_oldest_python_over_there(make: Callable[..., Yard], own_server: SshServer) -> None:
    """A host whose only Python is 3.6 runs a sweep, cut once, as any other does."""
    oldest = interpreter()
    if oldest is None:
        pytest.skip("NOT TESTED WITH PYTHON 3.6: no python3.6 on PATH")
    yard = make(own_server, total=6, PAUSE="0.5")
    yard.configure(own_server, python=oldest)
    process = yard.start("run", "--sources", "server1:2", "--sweep-id", "s")
    yard.until(yard.ledger)
    own_server.cut()
    code, said = yard.end(process)
    assert code == 0, said
    yard.check_once(6)
    assert yard.tree("s")["task_006/stdout.log"][1] == b"out 5\n"
    assert left(own_server) == [], said


def test_twenty_blows_to_the_connection(make: Callable[..., Yard], own_server: SshServer) -> None:
    """Sessions killed, frozen, and the whole of sshd stopped for a moment; the local source goes on undisturbed."""
    yard = make(own_server, total=40, PAUSE="0.4")
    process = yard.start("run", "--sources", "local:1,server1:3", "--sweep-id", "s")
    yard.until(lambda: any(entry[3] != os.uname().nodename for entry in yard.ledger()) or not own_server.isolated)
    choice = random.Random(7)
    for blow in range(20):
        if process.poll() is not None:
            break
        time.sleep(choice.uniform(0.05, 0.4))
        if blow % 5 == 4:
            with own_server.frozen(listener=True):
                time.sleep(1.5)
        else:
            own_server.cut()
    code, said = yard.end(process)
    assert code == 0, said
    yard.check_once(40)
    assert left(own_server) == [], said


def test_a_controller_that_is_killed_again_and_again(make: Callable[..., Yard], own_server: SshServer) -> None:
    """Tasks run on over there; the next controller adopts them, and files on their way come whole."""
    yard = make(own_server, total=16, PAUSE="0.5")
    process = yard.start("run", "--sources", "server1:3", "--sweep-id", "s")
    choice = random.Random(1)
    for round in range(4):
        yard.until(lambda round=round: len(yard.ledger()) > 4 * round)
        time.sleep(choice.uniform(0.0, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = yard.start("complete", "s")
    code, said = yard.end(process)
    assert code == 0, said
    yard.check_once(16)
    assert left(own_server) == [], said


def test_a_disk_that_is_full_over_there(make: Callable[..., Yard]) -> None:
    """It is said, nothing is lost, and when there is room the sweep goes on by itself."""
    lacking = missing()
    if lacking or os.geteuid() != 0:
        pytest.skip(f"NOT TESTED ON A FULL DISK: {lacking or 'only root can mount one'}")
    server = SshServer("server1")
    server._mounts.append(f"mkdir -p {server.home}/.hsm && mount -t tmpfs -o size=2m tmpfs {server.home}/.hsm")
    with server:
        yard = make(server, total=8, PAUSE="0.2")
        ssh = ["ssh", "-F", str(server.config_file), "server1"]
        fill = "dd if=/dev/zero of=$HOME/.hsm/filler bs=4k 2>/dev/null; true"
        process = yard.start("run", "--sources", "server1:2", "--sweep-id", "s")
        yard.until(lambda: len(yard.ledger()) > 1)
        subprocess.run([*ssh, fill], check=True, timeout=DEADLINE_S)
        log = yard.root / "log.0"
        yard.until(lambda: "No space left" in log.read_text() or process.poll() is not None)
        subprocess.run([*ssh, "rm -f $HOME/.hsm/filler"], check=True, timeout=DEADLINE_S)
        code, said = yard.end(process)
        assert "No space left" in said, said
        assert code in (0, 1), said  # 1: what a task wrote while there was no room is that task's failure
        code, said = yard.hsm("complete", "s", "--retry-failed")
        assert code == 0, said
        yard.check_attempts()
        assert {int(n) for word, n, *_ in yard.ledger() if word == "end"} == set(range(8))
        status = json.loads(yard.hsm("status", "s", "--json")[1])
        assert status["counts"]["completed"] == 8, status
        tree = yard.tree("s")
        for n in range(8):
            assert tree[f"task_{n + 1:03d}/stdout.log"][1] == b"out %d\n" % n
            assert tree[f"task_{n + 1:03d}/results/-weights \u00e9.bin"][1] == bytes([n]) * 1000 * n
        assert left(server) == []


def test_a_task_that_waits_is_followed_to_where_it_runs(make: Callable[..., Yard], own_server: SshServer) -> None:
    """Who follows it before it begins sees its output while it runs over there."""
    yard = make(own_server, total=2, PAUSE="4")
    process = yard.start("run", "--sources", "server1:1", "--sweep-id", "s")
    yard.until(yard.ledger)
    (_, first, *_), *_ = yard.ledger()
    second = 1 - int(first)
    follower = yard.start("logs", "s", str(second + 1), "--follow")
    yard.until(lambda: f"out {second}\n" in (yard.root / "log.1").read_text())
    assert ["end", str(second)] not in [entry[:2] for entry in yard.ledger()], "it came with its files"
    assert yard.end(process)[0] == 0
    code, said = yard.end(follower)
    assert code == 0, said
    assert "has not started" not in said


def test_logs_of_a_task_over_there_are_followed(make: Callable[..., Yard], own_server: SshServer) -> None:
    """While it runs its output is read where it is; when it is home, here."""
    yard = make(own_server, total=1, PAUSE="6")
    process = yard.start("run", "--sources", "server1:1", "--sweep-id", "s")
    yard.until(yard.ledger)
    yard.until(lambda: yard.hsm("logs", "s", "1", "--stdout") == (0, "out 0\n"))
    assert process.poll() is None, "it was to be read while it runs"
    code, said = yard.hsm("logs", "s", "1", "--follow")
    assert code == 0, said
    assert "out 0" in said
    assert "err 0" in said
    assert yard.end(process)[0] == 0
