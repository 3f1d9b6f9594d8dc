"""A real Slurm in a temporary folder: controller, nodes and munge, up in a tenth of a second, gone without a trace.

Everything runs as root in a process namespace of its own, whose first process is a shell that reads commands from us.
When we end, however we end, the shell reads the end of its input and leaves, and the kernel kills the whole namespace:
daemons, jobs, and what jobs left behind. Inside, the host has another name, so that jobs run on "another machine".
"""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Type

__all__ = ["ACCOUNTING_PACKAGES", "PACKAGES", "Cluster", "missing"]

PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client")
"""What Debian calls the programs that are needed."""
ACCOUNTING_PACKAGES = ("slurmdbd", "mariadb-server", "slurm-wlm-mysql-plugin")
"""What a cluster with accounting needs besides."""

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "unshare", "nsenter")
_ACCOUNTING_PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db")
_START_S = 60.0
_TURN_S = 0.02
_CGROUPS_GO_S = 3.0
_NODE = "slurmnode"
"""The host name inside."""

_CONF = """\
ClusterName=hsmtest
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={port}
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0
KillWait=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
NodeName=DEFAULT CPUs={cpus} RealMemory=8000 Gres={gres} State=UNKNOWN
NodeName={prefix}[1-{nodes}] NodeHostname={node} NodeAddr=127.0.0.1 Port=[{first}-{last}]
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=ALL Default=NO MaxTime=00:05:00 State=UP
"""
_GPUS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")
"""What a node's GPUs are: devices that every machine has, each once. Nothing is ever done with them."""
_GRES_CONF = "NodeName={prefix}[1-{nodes}] Name=gpu Type=tesla File={file}"
_CGROUP_CONF = """\
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
JobAcctGatherType=jobacct_gather/cgroup
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
"""
_CGROUPS = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=no
ConstrainRAMSpace=yes
"""
_ACCOUNTING_CONF = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/run/munge.socket
"""
_DBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser={user}
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=test
StorageLoc=slurm_acct
"""
_MARIADB_CONF = """\
[mysqld]
user={user}
datadir={folder}/db
socket={folder}/run/mysql.sock
pid-file={folder}/run/mariadbd.pid
log-error={folder}/log/mariadbd.log
skip-networking
skip-name-resolve
innodb_buffer_pool_size=64M
innodb_log_file_size=16M
innodb_lock_wait_timeout=900
innodb_flush_log_at_trx_commit=0
performance_schema=OFF
"""


def missing(accounting: bool = False, cgroups: bool = False) -> str:
    """Why no such cluster can be started here, for a person; empty when one can."""
    if os.geteuid() != 0:
        return "a test cluster is started by root"
    if cgroups and not all(os.access(f"/sys/fs/cgroup/{name}", os.W_OK) for name in ("freezer", "memory", "cpuset")):
        return "cgroups of version 1 are not mounted here, or cannot be changed"
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    wanted = _PROGRAMS + (_ACCOUNTING_PROGRAMS if accounting else ())
    absent = [name for name in wanted if shutil.which(name, path=places) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


class Cluster:
    """A cluster, up from `with` to the end of its block.

    :param gpus: of type `tesla`, in each node; four at the most, and they are none.
    :param cgroups: follow and limit jobs by cgroups (version 1), as production clusters do.
    :param extra: lines for slurm.conf; a key that is there already is replaced by the last line that has it.
    """

    kind = "slurm"
    commands = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sacctmgr")
    array_directive = "#SBATCH --array="
    job_variable = "SLURM_JOB_ID"

    def __init__(
        self,
        *,
        nodes: int = 4,
        cpus: int = 8,
        extra: Sequence[str] = (),
        accounting: bool = False,
        cgroups: bool = False,
        gpus: int = 0,
    ) -> None:
        # Not in the test's own: munged wants every folder above its socket to be open to all, and the path short.
        self.folder = Path(tempfile.mkdtemp(prefix="hsm-slurm-")).resolve()
        self.folder.chmod(0o755)
        self.nodes = nodes
        self.accounting = accounting
        self.cgroups = cgroups
        self.conf = self.folder / "etc" / "slurm.conf"
        self._port = _free_ports(nodes + 2)
        # Cgroups are named after nodes, and other clusters on this machine have theirs.
        self.prefix = f"c{self._port}n" if cgroups else "n"
        self._write(cpus, gpus, extra)
        self._shell: Optional[subprocess.Popen[bytes]] = None

    @property
    def env(self) -> Dict[str, str]:
        """What a process needs in its environment to talk to this cluster."""
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
        return {"SLURM_CONF": str(self.conf), "PATH": path}

    def __enter__(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], where: Optional[TracebackType]
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything that runs in the cluster, and wait until it is gone."""
        if self._shell is not None:
            self._shell.kill()
            self._shell.wait()
            assert self._shell.stdin is not None
            self._shell.stdin.close()
            self._shell = None
        if self.cgroups:
            deadline = time.monotonic() + _CGROUPS_GO_S
            while _remove_cgroups(f"*/slurm_{self.prefix}*") and time.monotonic() < deadline:
                time.sleep(_TURN_S)  # what was killed has not left yet
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- for tests

    def jobs(self) -> Sequence[str]:
        """Ids in the queue, arrays once."""
        return sorted(set(self.run("squeue", "--noheader", "--format=%F").split()))

    def run(self, *argv: str, check: bool = True) -> str:
        """A command that talks to the cluster; what it printed."""
        done = subprocess.run(argv, env={**os.environ, **self.env}, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"{shlex.join(argv)}: {done.stdout}{done.stderr}")
        return done.stdout

    def drain(self) -> None:
        """End every job, and wait until the queue is empty."""
        self.run("scancel", "-u", getpass.getuser())
        self._until(lambda: not self.run("squeue", "-h"), "the queue is empty")

    def pids(self, program: str) -> List[int]:
        """Processes of a program in the cluster, by their ids out here."""
        return list(self._processes(program))

    def signal(self, program: str, number: int) -> None:
        """Send a signal to a daemon: SIGSTOP freezes it, SIGCONT thaws it."""
        for pid in self.pids(program):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill_inside(self, pid: int, number: int) -> None:
        """Send a signal to a process by the id that it has in the cluster."""
        self._tell(f"kill -{number} {pid}")

    def stop(self, program: str) -> None:
        """Kill a daemon, and wait until it is gone."""
        self.signal(program, signal.SIGKILL)
        self._until(lambda: not self.pids(program), f"{program} is gone")

    def start_controller(self) -> None:
        """Start slurmctld, which was stopped, and wait until it answers."""
        self._daemon("slurmctld", "-D", "-f", str(self.conf))
        self._until(lambda: "UP" in self.run("scontrol", "ping", check=False), "slurmctld answers")

    def forget_everything(self) -> None:
        """Take away what slurmctld, which was stopped, has saved: it begins with job 1 again."""
        shutil.rmtree(self.folder / "state")
        (self.folder / "state").mkdir()

    def start_munge(self) -> None:
        """Start munged, which was stopped, and wait until it listens."""
        run, log = self.folder / "run", self.folder / "log"
        with contextlib.suppress(FileNotFoundError):
            (run / "munge.socket").unlink()  # a killed one leaves it, and it would look as if it listened
        self._daemon(
            "munged",
            "--foreground",
            f"--key-file={self.folder}/etc/munge.key",
            f"--socket={run}/munge.socket",
            f"--pid-file={run}/munged.pid",
            f"--log-file={log}/munged.log",
            f"--seed-file={run}/munge.seed",
            "--num-threads=4",
        )
        self._until((run / "munge.socket").exists, "munged listens")

    # --- inside

    def _write(self, cpus: int, gpus: int, extra: Sequence[str]) -> None:
        folder = self.folder
        for name in (
            "etc",
            "run",
            "log",
            "state",
            "spool",
            *(f"spool/{self.prefix}{n + 1}" for n in range(self.nodes)),
        ):
            (folder / name).mkdir(parents=True, exist_ok=True)
        facts = {
            "folder": folder,
            "node": _NODE,
            "prefix": self.prefix,
            "user": getpass.getuser(),
            "nodes": self.nodes,
            "cpus": cpus,
            "gres": f"gpu:tesla:{gpus}" if gpus else "",
            "port": self._port,
            "first": self._port + 1,
            "last": self._port + self.nodes,
            "dbd": self._port + self.nodes + 1,
        }
        lines = _CONF.format(**facts).splitlines()
        if self.accounting:
            lines += _ACCOUNTING_CONF.format(**facts).splitlines()
            _write(folder / "etc" / "slurmdbd.conf", _DBD_CONF.format(**facts), 0o600)
            _write(folder / "etc" / "my.cnf", _MARIADB_CONF.format(**facts), 0o644)
            (folder / "db").mkdir(exist_ok=True)
        if self.cgroups:
            extra = [*_CGROUP_CONF.splitlines(), *extra]
        replaced = {line.partition("=")[0] for line in extra} - {"NodeName", "PartitionName"}
        lines = [line for line in lines if line.partition("=")[0] not in replaced]
        _write(self.conf, "\n".join([*lines, *extra, ""]), 0o644)
        # Even where nothing uses cgroups slurmd loads the plugin, and only v1 does without a mounted hierarchy.
        _write(folder / "etc" / "cgroup.conf", _CGROUPS if self.cgroups else "CgroupPlugin=cgroup/v1\n", 0o644)
        gres = [_GRES_CONF.format(file=file, **facts) for file in _GPUS[:gpus]]
        _write(folder / "etc" / "gres.conf", "\n".join([*gres, ""]), 0o644)
        key = folder / "etc" / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)

    def _start(self) -> None:
        self._shell = subprocess.Popen(
            ["unshare", "--pid", "--uts", "--mount-proc", "--fork", "--kill-child=KILL", "bash", "-c", _INIT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.env, "MYSQL_UNIX_PORT": str(self.folder / "run" / "mysql.sock")},
            cwd="/",
            start_new_session=True,
        )
        self._tell(f"hostname {_NODE}")
        self.start_munge()
        if self.accounting:
            self._start_accounting()
        self._daemon("slurmctld", "-D", "-f", str(self.conf))
        for number in range(1, self.nodes + 1):
            self._daemon("slurmd", "-D", "-f", str(self.conf), "-N", f"{self.prefix}{number}")
        idle = ["sinfo", "-h", "-N", "-t", "idle", "-o", "%N"]
        port = self._port
        self._until(lambda: _listens(port), "slurmctld listens")  # a client that comes too early sleeps a second
        self._until(lambda: len(set(self.run(*idle, check=False).split())) == self.nodes, "all nodes are idle")

    def _start_accounting(self) -> None:
        folder, user = self.folder, getpass.getuser()
        sock = folder / "run" / "mysql.sock"
        self.run(
            "mariadb-install-db",
            f"--defaults-file={folder}/etc/my.cnf",
            "--auth-root-authentication-method=socket",
            f"--auth-root-socket-user={user}",
            "--skip-test-db",
        )
        self._daemon("mariadbd", f"--defaults-file={folder}/etc/my.cnf")
        self._until(sock.exists, "mariadbd listens")
        self.run(
            "mariadb",
            "--no-defaults",
            "-u",
            user,
            "-S",
            str(sock),
            "-e",
            "create database slurm_acct; create user 'slurm'@'localhost' identified by 'test'; "
            "grant all on slurm_acct.* to 'slurm'@'localhost';",
        )
        self._daemon("slurmdbd", "-D")
        port = self._port + self.nodes + 1
        self._until(lambda: _listens(port), "slurmdbd listens")  # slurmctld cannot start without it

    def _daemon(self, *argv: str) -> None:
        log = shlex.quote(str(self.folder / "log" / "stdio.log"))
        self._tell(f"setsid {shlex.join(argv)} </dev/null >>{log} 2>&1 &")

    def _tell(self, line: str) -> None:
        assert self._shell is not None, "the cluster is not up"
        assert self._shell.stdin is not None
        self._shell.stdin.write(line.encode() + b"\n")
        self._shell.stdin.flush()

    def _processes(self, program: str) -> Iterator[int]:
        assert self._shell is not None, "the cluster is not up"
        outer = os.stat("/proc/self/ns/pid").st_ino
        mine = {os.stat(f"/proc/{pid}/ns/pid").st_ino for pid in _children(self._shell.pid)} - {outer}
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{name}/ns/pid").st_ino in mine:
                    comm = Path("/proc", name, "comm").read_text().strip()
                    state = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[0]
                    if comm == program[:15] and state not in "ZX":
                        yield int(name)

    def _until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + _START_S
        while not condition():
            if time.monotonic() > deadline or (self._shell is not None and self._shell.poll() is not None):
                raise RuntimeError(f"it did not happen that {what}: {self._last_words()}")
            time.sleep(_TURN_S)

    def _last_words(self) -> str:
        texts = [path.read_text("utf-8", "replace")[-1500:] for path in sorted((self.folder / "log").glob("*.log"))]
        return "\n".join(texts)


# The first process of the namespace: does what it is told, and reaps what others leave behind, as bash does.
_INIT = 'while IFS= read -r line; do eval "$line"; done'


def _children(pid: int) -> List[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _remove_cgroups(pattern: str) -> bool:
    """Remove cgroups, from the leaves up, because their files are not files; whether any is left."""
    left = False
    for path in Path("/sys/fs/cgroup").glob(pattern):
        for folder, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        left |= path.exists()
    return left


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _write(path: Path, text: str, mode: int) -> None:
    path.write_text(text)
    path.chmod(mode)


def _free_ports(count: int) -> int:
    """The first of that many ports in a row that nobody uses, below those that the kernel gives to clients."""
    while True:
        base = random.randrange(20_000, 32_000)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    stack.enter_context(socket.socket()).bind(("0.0.0.0", port))
            except OSError:
                continue
            return base
