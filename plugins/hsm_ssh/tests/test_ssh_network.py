"""A network that really drops packets, without a word to anybody."""

from __future__ import annotations

import time

import pytest
from hsm_ssh.errors import SshError
from hsm_ssh.host import SshHost
from hsm_ssh.testing.sshd import SshServer, missing
from hsm_ssh.testing.wire import Wire, missing_wire

PATIENCE_S = 60.0


@pytest.fixture
def distant():
    """A machine at the end of a wire."""
    lacking = missing() or missing_wire()
    if lacking:
        pytest.skip(f"NOT TESTED IN A NETWORK THAT DROPS: {lacking}")
    with SshServer("distant", wire=Wire()) as server:
        yield server


@pytest.fixture
def host(distant):
    """That machine, watched closely."""
    made = SshHost("distant", {**distant.options, "keepalive_interval": 1, "connect_timeout": 3})
    yield made
    made.close()


def test_dropped_in_the_midst(distant, host):
    """A command under way is an error in time, the reader of a program finds its end, and later all is well."""
    program = host.start(["cat"])
    distant.wire.drop()
    began = time.monotonic()
    assert program.stdout.read(10) == b""
    with pytest.raises(OSError, match="distant"):
        host.run(["true"], timeout_s=5.0)
    assert time.monotonic() - began < PATIENCE_S
    distant.wire.mend()
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            assert host.run(["echo", "on"], timeout_s=5.0).stdout == b"on\n"
            break
        except OSError:
            assert time.monotonic() < deadline, "it was never reached again"


def test_dropped_from_the_beginning(distant, host):
    """A machine that answers nothing is given up at the deadline of connecting."""
    distant.wire.drop()
    began = time.monotonic()
    with pytest.raises(SshError, match=r"distant: no connection to 10\.213\.[0-9.]+ port [0-9]+: timed out"):
        host.run(["true"])
    assert time.monotonic() - began < PATIENCE_S


def test_a_short_drop_costs_nothing(distant, host):
    """What comes back soon enough was never gone: TCP sends it again."""
    patient = SshHost("distant", {**distant.options, "keepalive_interval": 30})
    program = patient.start(["cat"])
    distant.wire.drop()
    program.stdin.write(b"late\n")
    time.sleep(0.5)
    distant.wire.mend()
    assert program.stdout.read(10) == b"late\n"
    program.stdin.close()
    assert program.wait(PATIENCE_S) == 0
    program.stdout.close()
    patient.close()
