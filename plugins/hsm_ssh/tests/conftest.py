"""A real sshd for all tests of a worker, and hosts that reach it."""

from __future__ import annotations

from typing import Iterator

import pytest
from hsm_ssh.host import SshHost
from hsm_ssh.testing.sshd import SshServer, missing


def _need_sshd() -> None:
    lacking = missing()
    if lacking:
        pytest.skip(f"NOT TESTED ON A REAL SSHD: {lacking} (scripts/install-sshd)")


@pytest.fixture(scope="session")
def server() -> Iterator[SshServer]:
    """A machine that nothing is done to."""
    _need_sshd()
    with SshServer() as running:
        yield running


@pytest.fixture
def own_server() -> Iterator[SshServer]:
    """A machine of this test alone, that anything may be done to."""
    _need_sshd()
    with SshServer() as running:
        yield running


@pytest.fixture
def host(server: SshServer) -> Iterator[SshHost]:
    """The machine as a host."""
    made = SshHost(server.name, server.options)
    yield made
    made.close()
