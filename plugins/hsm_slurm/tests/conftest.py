"""One real cluster for all tests of a worker, where one can be started."""

from __future__ import annotations

import os
from typing import Iterator

import pytest
from hsm_slurm.testing.cluster import Cluster, missing


@pytest.fixture(scope="session")
def _running_cluster() -> Iterator[Cluster]:
    lacking = missing()
    if lacking:
        pytest.skip(f"NOT TESTED ON A REAL SLURM: {lacking} (scripts/install-slurm)")
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(_running_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A real Slurm that this process and its children talk to, its queue empty."""
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    for name, value in _running_cluster.env.items():
        monkeypatch.setenv(name, value)
    yield _running_cluster
    _running_cluster.drain()
