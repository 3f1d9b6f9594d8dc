"""A real sshd in a temporary folder: up in a tenth of a second, gone without a trace.

Started by root it is a machine of its own: in namespaces of processes, mounts and names, with a home folder, a login
shell and a host name of its own, so that several servers are several machines. Started by anybody else it is a plain
server that lets in that user, with another home folder. When we end, however we end, it ends.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Set, Type

from .wire import Wire

__all__ = ["PACKAGES", "SshServer", "missing"]

PACKAGES = ("openssh-server", "openssh-client")
"""What Debian calls the programs that are needed."""

_START_S = 20.0
_TURN_S = 0.01
_PATH = os.pathsep.join(("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"))

_CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
PrintLastLog no
UseDNS no
Subsystem sftp internal-sftp
LogLevel VERBOSE
"""
# The account of whoever starts it, but with a home and a shell of this server; and no /run that others have.
_MACHINE = """\
set -e
mount --make-rprivate /
mount --bind {folder}/passwd /etc/passwd
mount -t tmpfs tmpfs /run
mkdir /run/sshd
hostname {name}
{more}
exec {sshd} -D -e -f {folder}/sshd_config
"""


def missing() -> str:
    """Why no server can be started here, for a person; empty when one can."""
    absent = [name for name in ("sshd", "ssh", "ssh-keygen") if _find(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def _find(name: str) -> Optional[str]:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), _PATH)))


class SshServer:
    """A machine with an sshd, up from `with` to the end of its block.

    :param name: its host name, and what the client's configuration calls it.
    :param settings: lines for sshd_config; the first line that has a key counts, and these come first.
    :param shell: the login shell; only where `isolated`.
    :param path: where commands are looked for.
    :param mounts: shell lines that root runs in the machine before sshd starts; `$HOME_DIR` is its home folder.
    :param wire: puts it into a network of its own, at the end of this wire; only where `isolated`.
    """

    def __init__(
        self,
        name: str = "server1",
        *,
        settings: Sequence[str] = (),
        shell: str = "/bin/sh",
        path: Optional[str] = None,
        env: Mapping[str, str] = {},
        mounts: Sequence[str] = (),
        wire: Optional[Wire] = None,
    ) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix="hsm-sshd-")).resolve()
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        self.home.mkdir()
        self.wire = wire
        self.address = wire.there if wire is not None else "127.0.0.1"
        self.port = _free_port()
        self.isolated = os.geteuid() == 0
        self.settings = list(settings)
        self._shell = shell
        self._mounts = list(mounts)
        self._env = {"PATH": path or _PATH, **env}
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._make_keys()
        self.write_client_config()

    def __enter__(self) -> SshServer:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], where: Optional[TracebackType]
    ) -> None:
        self.close()

    # --- files of the client

    @property
    def config_file(self) -> Path:
        """A configuration for the client, in which this machine has its name."""
        return self.folder / "ssh_config"

    @property
    def key_file(self) -> Path:
        """The private key that is let in."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The file in which the client keeps this machine's key."""
        return self.folder / "known_hosts"

    @property
    def options(self) -> Dict[str, object]:
        """Options for a host or source of kind `ssh` that reach it by its name."""
        return {"config_file": str(self.config_file)}

    def entry(self, *lines: str) -> str:
        """Its section of a client's configuration."""
        given = {line.split()[0].lower() for line in lines}
        every = [
            f"HostName {self.address}",
            f"Port {self.port}",
            f"User {getpass.getuser()}",
            f"IdentityFile {self.key_file}",
            "IdentitiesOnly yes",
            "IdentityAgent none",
            f"UserKnownHostsFile {self.known_hosts}",
            "GlobalKnownHostsFile none",
        ]
        rest = [line for line in every if line.split()[0].lower() not in given]
        return "\n".join([f"Host {self.name}", *(f"  {line}" for line in [*lines, *rest])]) + "\n"

    def write_client_config(self, *lines: str, others: Sequence[SshServer] = ()) -> Path:
        """Write the client's configuration anew.

        :param lines: settings that take the place of the usual ones.
        :param others: further machines that are to be in it.
        """
        sections = [self.entry(*lines), *(other.entry() for other in others)]
        self.config_file.write_text("\n".join(sections))
        return self.config_file

    def trust(self, name: Optional[str] = None) -> None:
        """Let the client know this machine's key, and no other."""
        key = " ".join((self.folder / "host_key.pub").read_text().split()[:2])
        self.known_hosts.write_text(f"{name or f'[{self.address}]:{self.port}'} {key}\n")

    def _make_keys(self) -> None:
        self._make_key("id_ed25519")
        shutil.copy(self.folder / "id_ed25519.pub", self.folder / "authorized_keys")
        self.change_host_key()
        self.trust()

    def _make_key(self, name: str, kind: str = "ed25519") -> None:
        for path in (self.folder / name, self.folder / f"{name}.pub"):
            path.unlink(missing_ok=True)
        keygen = _find("ssh-keygen") or "ssh-keygen"
        size = ["-b", "2048"] if kind == "rsa" else []
        subprocess.run(
            [keygen, "-q", "-t", kind, *size, "-N", "", "-C", self.name, "-f", str(self.folder / name)],
            check=True,
            stdin=subprocess.DEVNULL,
        )

    def change_host_key(self, kind: str = "ed25519") -> None:
        """Give the machine another key, from its next start on; the client is not told."""
        self._make_key("host_key", kind)

    # --- its life

    def start(self) -> None:
        """Start sshd, and wait until it listens."""
        # Unless the environment is set here, it is that of the user's start-up files.
        environment = " ".join(shlex.quote(f"{name}={value}") for name, value in self._environment().items())
        lines = [*self.settings, f"SetEnv {environment}"]
        config = (
            "\n".join(lines)
            + "\n"
            + _CONFIG.format(port=self.port, address="0.0.0.0" if self.wire else self.address, folder=self.folder)
        )
        (self.folder / "sshd_config").write_text(config)
        sshd = _find("sshd") or "sshd"
        argv = [sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        if self.isolated:
            argv = self._in_namespaces(sshd)
        with open(self.folder / "sshd.log", "ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv] if _find("setpriv") else argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        if self.wire is not None:
            while not self.tree():
                time.sleep(_TURN_S)
            self.wire.plug_in(self.tree()[0])
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"sshd does not start: {self.log()[-2000:]}")
            time.sleep(_TURN_S)

    def _environment(self) -> Dict[str, str]:
        return self._env if self.isolated else {**self._env, "HOME": str(self.home)}

    def _in_namespaces(self, sshd: str) -> List[str]:
        user = getpass.getuser()
        accounts = []
        for line in Path("/etc/passwd").read_text().splitlines():
            fields = line.split(":")
            if fields[0] == user:
                fields[5:] = [str(self.home), self._shell]
            accounts.append(":".join(fields))
        (self.folder / "passwd").write_text("\n".join(accounts) + "\n")
        script = f"HOME_DIR={shlex.quote(str(self.home))}\n" + _MACHINE.format(
            folder=shlex.quote(str(self.folder)),
            name=shlex.quote(self.name),
            sshd=shlex.quote(sshd),
            more="\n".join(self._mounts),
        )
        net = ["--net"] if self.wire is not None else []
        return [
            "unshare",
            *net,
            "--pid",
            "--mount",
            "--uts",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            script,
        ]

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), 1.0):
            return True
        return False

    def stop(self) -> None:
        """Switch the machine off: sshd, all sessions and, where it is isolated, all that they started."""
        if self._process is None:
            return
        _send(signal.SIGKILL, [*self.tree(), self._process.pid])
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """Switch it off, and leave nothing."""
        self.stop()
        if self.wire is not None:
            self.wire.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """What sshd said."""
        path = self.folder / "sshd.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    # --- its processes

    def tree(self) -> List[int]:
        """Everything that runs there now and descends from its sshd, sshd first."""
        if self._process is None:
            return []
        children = _children()
        found: List[int] = []
        waiting = [self._process.pid]
        while waiting:
            pid = waiting.pop(0)
            found.append(pid)
            waiting += sorted(children.get(pid, ()))
        return found[1:] if self.isolated else found

    def sessions(self) -> List[int]:
        """The sshd processes that serve connections."""
        tree = self.tree()
        return [pid for pid in tree[1:] if _name(pid) == "sshd"]

    def cut(self) -> None:
        """Kill the processes that serve connections; what they started lives on."""
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send a signal to the processes that serve connections."""
        _send(number, self.sessions())

    @contextlib.contextmanager
    def frozen(self, listener: bool = False) -> Iterator[None]:
        """Within the block nothing that serves connections moves, nor, if wanted, the listener."""
        held = self.sessions() + (self.tree()[:1] if listener else [])
        _send(signal.SIGSTOP, held)
        try:
            yield
        finally:
            _send(signal.SIGCONT, held)


def _send(number: int, pids: Sequence[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _children() -> Dict[int, Set[int]]:
    """Each process's children, everywhere."""
    found: Dict[int, Set[int]] = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            parent = int(Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[1])
            found.setdefault(parent, set()).add(int(name))
    return found


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path("/proc", str(pid), "comm").read_text().strip()
    return ""
