"""What `hsm test` looks at on a machine before it opens the source: the way there, then what a sweep needs of it."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Dict, List, Optional, Sequence

from hsm_core.contract import Completed, DiagnoseContext, SkipStage, SourceSpec, Stage
from hsm_core.errors import NoSourceError

from .errors import SshError
from .handshake import Manners, shake_hands, verify_host
from .host import SshHost, manners_of
from .login import log_in
from .quiet import paramiko
from .shared import Machine, give_back, machine
from .target import Target

__all__ = ["stages"]

_OLDEST = (3, 6)
_LITTLE_MB = 500
_FEW_INODES = 10_000
_SLOW_CLOCK_S = 60.0
_FIRST_PIECE = 256 << 10
_PIECE = 8 << 20
_QUICK_S = 0.5
"""A first piece that took no longer than this is followed by a large one, which tells more."""

_FACTS = """
import json, os, sys, time
print(json.dumps({"version": list(sys.version_info[:3]), "path": sys.executable, "time": time.time()}))
"""
_DISK = """
import json, os, sys
path = os.path.expanduser(sys.argv[1])
while not os.path.exists(path): path = os.path.dirname(path)
s = os.statvfs(path)
print(json.dumps({"mb": s.f_bavail * s.f_frsize >> 20, "inodes": s.f_favail, "has": s.f_files, "path": path}))
"""
_LOGIN1 = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "KillUserProcesses")


def stages(spec: SourceSpec, context: DiagnoseContext) -> Sequence[Stage]:
    """What is looked at, in order; each later question is in vain while an earlier one has a bad answer."""
    look = _Look(spec, context)
    limit_s = look.manners.connect_timeout_s + 10.0
    return (
        Stage("resolve", look.resolve),
        Stage("connect", look.connect, limit_s),
        Stage("host key", look.host_key),
        Stage("log in", look.log_in, 180.0),  # a passphrase may have to be typed
        Stage("shell", look.shell, limit_s + 30.0),
        Stage("staying alive", look.staying_alive),
        Stage("python", look.python),
        Stage("folder", look.folder, 60.0),
        Stage("disk", look.disk),
        Stage("transfer", look.transfer, 180.0),
        Stage("clock", look.clock),
        Stage("gpus", look.gpus, 60.0),
    )


class _Look:
    """A machine, looked at."""

    def __init__(self, spec: SourceSpec, context: DiagnoseContext) -> None:
        self._spec = spec
        self._context = context
        self._address = str(spec.options.get("host", spec.name))
        self.manners: Manners = manners_of(spec.options)
        self._host = SshHost(self._address, spec.options)
        self._machine: Machine = machine(self._address, self._host.config_file, self.manners)
        self._target: Optional[Target] = None
        self._transport: Optional[paramiko.Transport] = None
        self._python = str(spec.options.get("python") or "python3")
        self._scratch = str(spec.options.get("scratch") or "~/.hsm/sweeps")
        context.at_end(self._end)

    def _end(self) -> None:
        if self._transport is not None:
            self._transport.close()
        give_back(self._machine)
        self._host.close()

    def resolve(self) -> str:
        """Name, port, user and way, as ssh's configuration has them."""
        target = self._target = self._machine.resolve()
        words = f"{target.user}@{target.hostname} port {target.port}"
        if target.jumps:
            words += f", by way of {', '.join(target.jumps)}"
        return f"{words}, by ProxyCommand" if target.proxy_command else words

    def connect(self) -> str:
        """A stream, and an agreement on how to encrypt it."""
        assert self._target is not None
        way = self._machine.way(self._target)
        self._context.at_end(way.leave)
        deadline = time.monotonic() + self.manners.connect_timeout_s
        self._transport, _ = shake_hands(self._target, self.manners, way.dial, deadline)
        return self._transport.remote_version

    def host_key(self) -> str:
        """It is known."""
        assert self._target is not None
        assert self._transport is not None
        return verify_host(self._transport, self._target)

    def log_in(self) -> str:
        """We are let in."""
        assert self._target is not None
        assert self._transport is not None
        return log_in(self._transport, self._target, time.monotonic() + 170.0)

    def shell(self) -> str:
        """Commands run, whatever the login shell says before."""
        said = self._run("sh", "-c", 'printf "%s\\n" "${SHELL:-sh}" "$(uname -sm)" "$(uname -n)"').stdout.decode()
        began = time.monotonic()
        self._host.run(["true"])
        taken_ms = (time.monotonic() - began) * 1000
        shell, system, name = [*said.splitlines(), "", "", ""][:3]
        return f"{shell} on {name}, {system}; a command takes {taken_ms:.0f} ms"

    def staying_alive(self) -> str:
        """What is started here lives on when the connection is gone."""
        try:
            kills = self._host.run(["busctl", "get-property", *_LOGIN1])
        except FileNotFoundError:
            raise SkipStage("there is no systemd that could end what runs after a logout") from None
        if kills.returncode != 0:
            raise SkipStage("systemd does not say whether it ends what runs after a logout")
        if kills.stdout.split() != [b"b", b"true"]:
            return "what runs goes on after a logout"
        lingers = self._host.run(["sh", "-c", 'loginctl show-user --property=Linger "$(id -un)"'])
        if lingers.stdout.strip() == b"Linger=yes":
            return "what runs goes on after a logout: this user lingers"
        raise NoSourceError(
            "systemd there ends everything when the connection is gone (KillUserProcesses)",
            f"run there: loginctl enable-linger; or ask its administrator: {self._ssh} loginctl enable-linger",
        )

    def python(self) -> str:
        """There is one, not too old."""
        hint = f"set `python` of {self._spec.name} under `sources:` to a Python 3.6 or newer on {self._address}"
        try:
            facts = self._ask(_FACTS)
        except FileNotFoundError:
            raise NoSourceError(f"there is no {self._python} on {self._address}", hint) from None
        except ValueError:
            raise NoSourceError(f"{self._python} on {self._address} does not work", hint) from None
        version = ".".join(map(str, facts["version"]))
        if tuple(facts["version"]) < _OLDEST:
            raise NoSourceError(f"{self._python} on {self._address} is {version}, too old", hint)
        return f"{version}, {facts['path']}"

    def folder(self) -> str:
        """Files can be written where sweeps will write theirs."""
        home = self._run("sh", "-c", "cd && pwd").stdout.decode("utf-8", "surrogateescape").rstrip("\n")
        base = home + self._scratch[1:] if self._scratch.startswith("~/") else self._scratch
        path = f"{base}/.hsm-test-{os.getpid()}"
        try:
            self._host.put(b"well", path)
            self._run("rm", "-f", "--", path)
        except OSError as error:
            raise NoSourceError(
                str(error), f"set `scratch` of {self._spec.name} under `sources:` to a folder that you may write to"
            ) from error
        return f"{base} can be written to"

    def disk(self) -> str:
        """There is room for what tasks write."""
        facts = self._ask(_DISK, self._scratch)
        hint = f"make room in {facts['path']}, or set `scratch` of {self._spec.name} to a folder elsewhere"
        if facts["mb"] < _LITTLE_MB:
            raise NoSourceError(f"only {facts['mb']} MB are free in {facts['path']}", hint)
        # File systems without a fixed number of inodes say that they have none.
        if facts["has"] and facts["inodes"] < _FEW_INODES:
            raise NoSourceError(f"only {facts['inodes']} more files can be made in {facts['path']} (inodes)", hint)
        files = f", {facts['inodes']} more files" if facts["has"] else ""
        return f"{facts['mb'] / 1024:.1f} GB free{files}"

    def transfer(self) -> str:
        """How fast it is there and back."""
        there = self._rate(lambda data: self._host.run(["sh", "-c", "cat >/dev/null"], input=data, timeout_s=60.0))
        back = self._rate(
            lambda data: self._host.run(["head", "-c", str(len(data)), "/dev/urandom"], timeout_s=60.0),
        )
        return f"{there:.1f} MB/s there, {back:.1f} MB/s back"

    def clock(self) -> str:
        """How far its clock is from ours; nothing depends on it but what people read."""
        before = time.time()
        theirs = float(self._ask(_FACTS)["time"])
        after = time.time()
        apart = theirs - (before + after) / 2
        doubt = (after - before) / 2
        words = (
            f"within {abs(apart) + doubt:.1f} s of ours"
            if abs(apart) <= doubt + 1.0
            else (f"{abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} ours")
        )
        return f"{words}; times in its tasks' records are its own" if abs(apart) > _SLOW_CLOCK_S else words

    def gpus(self) -> str:
        """Those that tasks ask for are there."""
        wanted = self._context.resources.gpus
        try:
            listed = self._host.run(["nvidia-smi", "--query-gpu=index,name", "--format=csv,noheader"], timeout_s=30.0)
            names = [line.split(",", 1)[-1].strip() for line in listed.stdout.decode("utf-8", "replace").splitlines()]
            names = names if listed.returncode == 0 else []
        except FileNotFoundError:
            names = []
        given = self._spec.options.get("gpus", 0)
        offered = len(names) if given == "auto" else given if isinstance(given, int) else len(given)
        if wanted > offered:
            raise NoSourceError(
                f"a task asks for {wanted} GPUs; {self._address} has {len(names)}, of which {offered} are given out",
                f"set `gpus: auto` of {self._spec.name} under `sources:`"
                if len(names) >= wanted
                else "ask for fewer: resources.gpus",
            )
        if not names:
            raise SkipStage("there are none, and no task asks for one")
        return f"{len(names)}: {', '.join(sorted(set(names)))}; {offered} are given out"

    # --- how

    @property
    def _ssh(self) -> str:
        return self._target.ssh if self._target is not None else f"ssh {self._address}"

    def _run(self, *argv: str) -> Completed:
        done = self._host.run(argv)
        if done.returncode != 0:
            words: List[str] = done.stderr.decode("utf-8", "replace").split("\n")
            raise SshError(f"{argv[0]} ended with {done.returncode} on {self._address}: {words[0][:200]}")
        return done

    def _ask(self, script: str, *words: str) -> Dict[str, Any]:
        done = self._host.run([self._python, "-I", "-S", "-c", script, *words])
        return dict(json.loads(done.stdout.splitlines()[-1] if done.stdout else b""))

    def _rate(self, carry: Any) -> float:
        """MB a second, of a large piece where a small one is quick."""
        for size in (_FIRST_PIECE, _PIECE):
            data = os.urandom(size)
            began = time.monotonic()
            carry(data)
            taken_s = max(1e-6, time.monotonic() - began)
            if taken_s > _QUICK_S:
                break
        return size / taken_s / 1e6
