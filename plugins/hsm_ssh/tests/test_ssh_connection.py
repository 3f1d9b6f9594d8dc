"""Connections are made as `ssh` would make them, and refused where ssh would ask."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
from hsm_ssh.errors import RefusedError, SshError
from hsm_ssh.host import SshHost
from hsm_ssh.target import resolve
from hsm_ssh.testing.sshd import SshServer

from hsm_core.errors import ExitCode


@pytest.fixture
def reach(own_server):
    """Write the client's configuration, and try to reach the machine; all hosts are closed in the end."""
    made = []

    def reached(*lines, others=(), **options):
        own_server.write_client_config(*lines, others=others)
        host = SshHost(own_server.name, {**own_server.options, **options})
        made.append(host)
        return host.run(["echo", "well"]).stdout

    yield reached
    for host in made:
        host.close()


def test_an_unknown_key(own_server, reach):
    """It is refused, with its fingerprint and how to trust it, and nothing is written down."""
    own_server.known_hosts.write_text("")
    with pytest.raises(RefusedError) as caught:
        reach()
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(own_server.folder / "host_key.pub")], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert caught.value.message == f"server1: its host key is not known here: ssh-ed25519 {shown}"
    assert caught.value.hint.endswith(f"to trust it: ssh -F {own_server.config_file} server1")
    assert caught.value.exit_code is ExitCode.NO_SOURCE
    assert isinstance(caught.value, OSError)
    assert own_server.known_hosts.read_text() == ""


def test_a_key_that_has_changed(own_server, reach):
    """It is refused loudly, with the line that says otherwise."""
    own_server.stop()
    own_server.change_host_key()
    own_server.start()
    with pytest.raises(RefusedError, match=r"ITS HOST KEY HAS CHANGED: .*known_hosts:1 knows SHA256:.*listening in"):
        reach()


@pytest.mark.parametrize("setting", ["StrictHostKeyChecking no", "StrictHostKeyChecking accept-new"])
def test_no_setting_accepts_unknown_keys(own_server, reach, setting):
    """Whatever the configuration of ssh allows, hsm accepts no key that is not known."""
    own_server.known_hosts.write_text("")
    with pytest.raises(RefusedError, match="not known"):
        reach(setting)


def test_a_revoked_key(own_server, reach):
    """A key that is known, and revoked, is refused."""
    line = own_server.known_hosts.read_text()
    own_server.known_hosts.write_text(f"{line}@revoked * {line.split(' ', 1)[1]}")
    with pytest.raises(RefusedError, match="was revoked"):
        reach()


def test_hashed_names(own_server, reach):
    """Names that ssh-keygen has hashed are known."""
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(own_server.known_hosts)], check=True, capture_output=True)
    assert b"127.0.0.1" not in own_server.known_hosts.read_bytes()
    assert reach() == b"well\n"


def test_a_key_under_another_name(own_server, reach):
    """HostKeyAlias is the name under which a key is looked for."""
    own_server.trust("that-server")
    assert reach("HostKeyAlias that-server") == b"well\n"


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_kinds_of_keys(own_server, reach, kind):
    """Machines and users may have keys of any usual kind; the kind that is known is asked for."""
    own_server.stop()
    own_server.change_host_key(kind)
    own_server.trust()
    own_server.settings.append(f"HostKey {own_server.folder}/other_key")
    own_server._make_key("other_key")
    own_server._make_key("id_ed25519", kind)
    shutil.copy(own_server.folder / "id_ed25519.pub", own_server.folder / "authorized_keys")
    own_server.start()
    assert reach() == b"well\n"


def test_nobody_is_let_in(own_server, reach):
    """A key that is not welcome: the error names user, machine and remedy."""
    (own_server.folder / "authorized_keys").write_text("")
    with pytest.raises(RefusedError, match=r"was not let in: none of our keys \(1\)") as caught:
        reach()
    assert "ssh-copy-id server1" in caught.value.hint


def test_no_key_at_all(own_server, reach):
    """Without any key the error says how to make one."""
    with pytest.raises(RefusedError, match="there is no key to offer") as caught:
        reach("IdentityFile /no/such")
    assert "ssh-keygen -t ed25519" in caught.value.hint


def test_a_locked_key(own_server, reach):
    """A key with a passphrase, and nobody to ask: the error names the file and the agent."""
    path = str(own_server.key_file)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", path], check=True, capture_output=True)
    with pytest.raises(RefusedError, match=f"the key {path} needs its passphrase") as caught:
        reach()
    assert caught.value.hint == f"unlock it once: ssh-add {path}"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("beside", [True, False])
def test_an_agent(own_server, reach, tmp_path, beside):
    """A locked key is used through the agent that holds it, also when no public key lies beside it."""
    address = str(tmp_path / "agent")
    if len(address) > 100:
        address = str(own_server.folder / "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", address], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not os.path.exists(address):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        subprocess.run(
            ["ssh-add", "-q", str(own_server.key_file)], env={**os.environ, "SSH_AUTH_SOCK": address}, check=True
        )
        path = str(own_server.key_file)
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", path], check=True, capture_output=True)
        if not beside:
            os.unlink(f"{path}.pub")
        # With IdentitiesOnly the agent's key counts only where it is known to be this file's.
        assert reach(f"IdentityAgent {address}") == b"well\n"
    finally:
        agent.kill()
        agent.wait()


def test_passwords_only(own_server, reach):
    """A machine that takes no keys is told apart from one that does not want ours."""
    own_server.stop()
    own_server.settings += ["PubkeyAuthentication no", "PasswordAuthentication yes"]
    own_server.start()
    with pytest.raises(RefusedError, match="it takes no keys, only: password"):
        reach()


def test_a_key_is_not_enough(own_server, reach):
    """A machine that wants a password or code besides is told apart as well."""
    own_server.stop()
    own_server.settings += ["PasswordAuthentication yes", "AuthenticationMethods publickey,password"]
    own_server.start()
    with pytest.raises(RefusedError, match="a key is not enough for it, it also wants: password"):
        reach()


def test_a_proxy_command(own_server, reach):
    """A ProxyCommand is the connection, and ends with it."""
    script = own_server.folder / "relay.py"
    script.write_text(
        "import socket, sys, threading, os\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def pump(read, write):\n"
        "    while True:\n"
        "        data = read(65536)\n"
        "        if not data: os._exit(0)\n"
        "        write(data)\n"
        "threading.Thread(target=pump, args=(s.recv, lambda d: os.write(1, d)), daemon=True).start()\n"
        "pump(lambda n: os.read(0, n), s.sendall)\n"
    )
    assert reach(f"ProxyCommand python3 {script} %h %p") == b"well\n"
    listed = subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout
    assert str(script) in listed


def test_a_proxy_command_that_fails(own_server, reach):
    """Its end is the end of the attempt, long before the deadline."""
    began = time.monotonic()
    with pytest.raises(SshError, match="server1: its ProxyCommand failed"):
        reach("ProxyCommand false", connect_timeout=60)
    assert time.monotonic() - began < 30


def test_jumps(own_server, reach, server):
    """Two machines on the way, each with its own key and name."""
    with SshServer("bastion") as bastion:
        way = f"{server.name}2,bastion"
        first = server.entry().replace("Host server1\n", "Host server12\n")
        own_server.write_client_config(f"ProxyJump {way}", others=[bastion])
        with open(own_server.config_file, "a") as file:
            file.write(first)
        host = SshHost(own_server.name, own_server.options)
        try:
            came_from = host.run(["sh", "-c", "echo $SSH_CONNECTION"]).stdout.split()[1]
            assert host.run(["echo", "well"]).stdout == b"well\n"
            assert bastion.sessions()
            assert came_from.isdigit()
        finally:
            host.close()


def test_a_jump_that_does_not_trust_us(own_server, reach):
    """An error on the way names the machine on the way."""
    with SshServer("bastion") as bastion:
        bastion.known_hosts.write_text("")
        with pytest.raises(RefusedError, match="bastion: its host key is not known"):
            reach("ProxyJump bastion", others=[bastion])


def test_a_jump_to_nowhere(own_server, reach):
    """What a jump cannot reach is said to be unreachable from there."""
    with SshServer("bastion") as bastion:
        own_server.stop()
        with pytest.raises(SshError, match=r"bastion cannot connect to 127\.0\.0\.1 port"):
            reach("ProxyJump bastion", others=[bastion])


def test_included_files(own_server, reach):
    """What a configuration includes counts."""
    own_server.write_client_config()
    included = own_server.folder / "included"
    own_server.config_file.rename(included)
    own_server.config_file.write_text(f"Include {included}\n")
    host = SshHost("server1", own_server.options)
    try:
        assert host.run(["echo", "well"]).stdout == b"well\n"
    finally:
        host.close()


def test_a_broken_configuration(own_server, reach):
    """ssh's own words on its configuration, and the command that shows them."""
    with pytest.raises(
        RefusedError, match=r"ssh cannot read its configuration: .*line 2: Bad configuration option: nonsense"
    ):
        reach("Nonsense 1")


def test_nobody_listens(own_server, reach):
    """A closed port is told at once."""
    own_server.stop()
    with pytest.raises(SshError, match=r"server1: no connection to 127\.0\.0\.1 port [0-9]+: Connection refused"):
        reach()


def test_no_such_name(reach):
    """A name that cannot be looked up is named."""
    with pytest.raises(SshError, match=r"server1: cannot look up no-such-host\.invalid"):
        reach("HostName no-such-host.invalid")


def test_something_else_listens(reach):
    """A port that takes connections and says nothing is given up at the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        with pytest.raises(SshError, match="takes connections, and says nothing"):
            reach(f"Port {listener.getsockname()[1]}", connect_timeout=1)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "address",
    ["-oProxyCommand=touch x", "a b@c:d:e", "", "user@", "-l@host", "x;id", "$(id)", "a@b@c", "u`id`@h", "h\n", "[x]"],
)
def test_addresses_that_mean_nothing(address):
    """They are refused before anything is called."""
    with pytest.raises(RefusedError, match="is no address"):
        SshHost(address).run(["true"])


@pytest.mark.parametrize("address", ["me@host", "a.b-c_d", "[::1]", "[fe80::1%eth0]:2222", "ssh://u@h:22", "10.0.0.1"])
def test_addresses(address):
    """The usual forms of addresses are read."""
    target = resolve(address, "none")
    assert target.port in (22, 2222)
    assert target.hostname in ("host", "a.b-c_d", "::1", "fe80::1%eth0", "h", "10.0.0.1")


_ASKS = """
import sys
from hsm_ssh.host import SshHost
from hsm_ssh.target import resolve
host = SshHost("server1", {"config_file": sys.argv[1]})
for _ in range(2):
    print(host.run(["echo", "well"]).stdout)
    host.close()
"""


def test_a_passphrase_typed(own_server):
    """At a terminal the passphrase of a locked key is asked for, once, and shown nowhere."""
    path = str(own_server.key_file)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "my secret", "-f", path], check=True, capture_output=True)
    ours, theirs = pty.openpty()
    asking = subprocess.Popen(
        [sys.executable, "-c", _ASKS, str(own_server.config_file)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    answers = [b"wrong\n", b"my secret\n"]
    with contextlib.suppress(OSError):  # how a terminal ends
        while True:
            shown += os.read(ours, 1000)
            if answers and shown.count(b"Passphrase for") == 3 - len(answers):
                os.write(ours, answers.pop(0))
    os.close(ours)
    assert asking.wait(30) == 0, shown
    assert shown.count(f"Passphrase for {path}: ".encode()) == 2
    assert shown.count(b"well") == 2
    assert b"secret" not in shown


def test_a_hostile_server():
    """What a server says of itself cannot drive a terminal."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                client.sendall(b"SSH-1.0-\x1b]0;owned\x07\r\n")
                client.close()

        threading.Thread(target=serve, daemon=True).start()
        host = SshHost(f"127.0.0.1:{listener.getsockname()[1]}", {"connect_timeout": 2})
        with pytest.raises(SshError) as caught:
            host.run(["true"])
        host.close()
        listener.shutdown(socket.SHUT_RDWR)
    assert caught.value.message.isprintable()


def test_compression(reach):
    """A compressed connection carries the same."""
    assert reach(compression=True) == b"well\n"


def test_a_banner(own_server, reach):
    """What a server says to newcomers disturbs nobody."""
    (own_server.folder / "banner").write_text("AUTHORISED USE ONLY\n" * 50)
    own_server.stop()
    own_server.settings.append(f"Banner {own_server.folder}/banner")
    own_server.start()
    assert reach() == b"well\n"


def test_refusals_are_not_repeated_at_once(own_server):
    """A machine that has refused us is left alone for a while: it may lock out who knocks too often."""
    (own_server.folder / "authorized_keys").write_text("")
    host = SshHost("server1", own_server.options)
    try:
        for _ in range(5):
            with pytest.raises(RefusedError, match="was not let in"):
                host.run(["true"], timeout_s=5.0)
        assert own_server.log().count("Failed publickey") == 1
    finally:
        host.close()
