"""Which machine, by which way, as whom: what `ssh` itself would do, asked of `ssh` itself.

`ssh -G` prints the configuration that applies to a machine, `Include`, `Match` and the system's file and all. Reading
those files a second time would be a second opinion on them, and paramiko's reader ignores `Include` without a word.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from .errors import RefusedError

__all__ = ["Target", "expand", "resolve"]

_ASK_S = 20.0
"""How long `ssh -G` may take: `Match exec` runs programs."""
_IDENTITIES = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")
# Users and hosts go where a ProxyCommand has %r and %h, which a shell reads: nothing that means something to it.
_HOP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^-@\s'`\"$\\;&<>|(){}][^@\s'`\"$\\;&<>|(){}]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.][\w.-]*)(?::(?P<port>[0-9]+))?/?"
)


@dataclass(frozen=True)
class Target:
    """A machine, and how to get there.

    :param alias: what the user calls it.
    :param identities: files of private keys, of which some may not be there.
    :param identities_only: offer the agent's keys only where they are among `identities`.
    :param agent: the agent's socket, None where there is none.
    :param jumps: machines on the way, as the user wrote them, nearest first.
    :param proxy_command: a shell command whose input and output are the connection, with tokens such as `%h`.
    :param known_hosts: files of host keys.
    :param key_name: the name under which its key is kept in those files, where that is not its address.
    """

    alias: str
    hostname: str
    port: int
    user: str
    identities: Tuple[str, ...] = ()
    identities_only: bool = False
    agent: Optional[str] = None
    jumps: Tuple[str, ...] = ()
    proxy_command: Optional[str] = None
    known_hosts: Tuple[str, ...] = ()
    key_name: Optional[str] = None
    family: int = socket.AF_UNSPEC
    bind_address: Optional[str] = None
    connect_timeout_s: Optional[float] = None
    config_file: Optional[str] = None

    @property
    def trusted_as(self) -> str:
        """The name under which its key is looked for in files of known hosts."""
        if self.key_name is not None:
            return self.key_name
        return self.hostname if self.port == 22 else f"[{self.hostname}]:{self.port}"

    @property
    def ssh(self) -> str:
        """How a person connects to it, for hints."""
        option = f"-F {self.config_file} " if self.config_file else ""
        return f"ssh {option}{self.alias}"


def resolve(address: str, config_file: Optional[str] = None, jumps: Optional[Tuple[str, ...]] = None) -> Target:
    """Find out how a machine is reached.

    :param address: `[user@]host[:port]`, where host may be an alias from the configuration of ssh.
    :param config_file: instead of `~/.ssh/config` and the system's file.
    :param jumps: the way there, when the machine is itself a jump; None: as configured.
    :raises RefusedError: the address or the configuration cannot be read.
    """
    match = _HOP.fullmatch(address)
    if match is None:
        raise RefusedError(f"{address!a} is no address", "write user@host, or a name from ~/.ssh/config")
    user, host, port = match["user"], match["host"].strip("[]"), match["port"]
    settings = _ask_ssh(user, host, port, config_file)
    if settings is None:
        return _plain(address, user, host, port)
    jump = _last(settings, "proxyjump")
    if jumps is None:
        jumps = tuple(jump.split(",")) if jump and jump != "none" else ()
    command = _last(settings, "proxycommand")
    timeout = _last(settings, "connecttimeout")
    families = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
    return Target(
        alias=address,
        hostname=_last(settings, "hostname") or host,
        port=int(_last(settings, "port") or 22),
        user=_last(settings, "user") or getpass.getuser(),
        identities=tuple(path for path in settings.get("identityfile", []) if path != "none"),
        identities_only=_last(settings, "identitiesonly") == "yes",
        agent=_agent(_last(settings, "identityagent")),
        jumps=jumps,
        proxy_command=command if command and command != "none" and not jumps else None,
        known_hosts=tuple(
            path
            for key in ("userknownhostsfile", "globalknownhostsfile")
            for path in (_last(settings, key) or "").split()
            if path != "none"
        ),
        key_name=_last(settings, "hostkeyalias"),
        family=families.get(_last(settings, "addressfamily") or "", socket.AF_UNSPEC),
        bind_address=_last(settings, "bindaddress"),
        connect_timeout_s=float(timeout) if timeout and timeout.isdigit() else None,
        config_file=config_file,
    )


def expand(text: str, target: Target) -> str:
    """Put in what the tokens of ssh's configuration stand for: `~`, `%h`, `%p`, `%r`, `%u`, `%d` and the like."""
    home = os.path.expanduser("~")
    values = {
        "%": "%",
        "d": home,
        "h": target.hostname,
        "i": str(os.getuid()),
        "k": target.key_name or target.hostname,
        "L": socket.gethostname().split(".")[0],
        "l": socket.gethostname(),
        "n": target.alias.rpartition("@")[2],
        "p": str(target.port),
        "r": target.user,
        "u": getpass.getuser(),
    }
    replaced = re.sub(r"%(.)", lambda found: values.get(found[1], found[0]), text)
    return os.path.expandvars(os.path.expanduser(replaced)) if replaced[:1] in ("~", "$") else replaced


def _last(settings: Dict[str, List[str]], key: str) -> Optional[str]:
    values = settings.get(key)
    return values[-1] if values else None


def _agent(configured: Optional[str]) -> Optional[str]:
    if configured == "none":
        return None
    if configured in (None, "SSH_AUTH_SOCK"):
        return os.environ.get("SSH_AUTH_SOCK") or None
    assert configured is not None
    return os.path.expandvars(os.path.expanduser(configured))


def _ask_ssh(
    user: Optional[str], host: str, port: Optional[str], config_file: Optional[str]
) -> Optional[Dict[str, List[str]]]:
    """What `ssh -G` says, by key; None where there is neither such a program nor anything that it would read."""
    argv = ["ssh", "-G"]
    for option, value in (("-F", config_file), ("-l", user), ("-p", port)):
        argv += [option, value] if value else []
    try:
        asked = subprocess.run(
            [*argv, "--", host], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_S, check=False
        )
    except FileNotFoundError:
        if config_file is None and not os.path.exists(os.path.expanduser("~/.ssh/config")):
            return None
        raise RefusedError(
            f"{host}: there is no program `ssh` here to read the configuration of ssh", "install the OpenSSH client"
        ) from None
    except subprocess.TimeoutExpired:
        raise RefusedError(f"{host}: `ssh -G {host}` did not end within {_ASK_S:g} s", "run it by hand") from None
    if asked.returncode != 0:
        words = asked.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        raise RefusedError(f"{host}: ssh cannot read its configuration: {words[0]}", f"run: {' '.join(argv)} {host}")
    settings: Dict[str, List[str]] = {}
    for line in asked.stdout.decode("utf-8", "surrogateescape").splitlines():
        key, _, value = line.partition(" ")
        settings.setdefault(key.lower(), []).append(value)
    return settings


def _plain(address: str, user: Optional[str], host: str, port: Optional[str]) -> Target:
    """The target where nothing is configured."""
    return Target(
        alias=address,
        hostname=host,
        port=int(port or 22),
        user=user or getpass.getuser(),
        identities=_IDENTITIES,
        agent=_agent(None),
        known_hosts=("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"),
    )
