"""The same on a real sshd: compared, refused, pushed, run, with connections that die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest

from hsm_core.contract import SyncVerdict

sshd = pytest.importorskip("hsm_ssh.testing.sshd", reason="hsm-ssh is not installed: copies over SSH are not tried")
from hsm_ssh.host import SshHost  # noqa: E402 - only where it is installed


@pytest.fixture
def remote(lab: Any) -> Iterator[Any]:
    """The lab, its machine behind an sshd."""
    lacking = sshd.missing()
    if lacking:
        pytest.skip(f"NOT TESTED ON A REAL SSHD: {lacking} (scripts/install-sshd)")
    with sshd.SshServer() as server:
        lab.server = server
        lab.home = server.home
        lab.host = SshHost(server.name, server.options)
        yield lab
        lab.host.close()


def test_pushed_and_compared_over_ssh(remote: Any) -> None:
    """Names of any kind, a file of some megabytes, an edit there: as on a machine that is here."""
    remote.write({"new\nline.py": "1", "-rf": "2", "über.py": "3", "noise.bin": os.urandom(3_000_000)})
    assert remote.content().verdict is SyncVerdict.DIFFERS
    place = remote.push()
    assert remote.content().verdict is SyncVerdict.IN_SYNC
    remote.write({"train.py": "changed"})
    report = remote.content()
    assert (report.verdict, report.modified) == (SyncVerdict.DIFFERS, ("train.py",))
    plan = remote.plan()
    assert (plan.send, plan.reuse) == (("train.py",), 5)
    assert remote.push() != place
    assert remote.content().verdict is SyncVerdict.IN_SYNC


def test_a_connection_that_dies_in_a_push_leaves_no_copy(remote: Any) -> None:
    """The push is an error, nothing has the snapshot's name, and the next push goes through."""
    remote.write({f"{number}.bin": os.urandom(300_000) for number in range(30)})
    plan = remote.plan()
    cut = []

    def progress(sent: int) -> None:
        if not cut and sent > plan.send_bytes // 3:
            cut.append(sent)
            remote.server.stop()

    with pytest.raises(OSError):  # noqa: PT011 - what it is called depends on where it was cut
        plan.apply(False, progress)
    assert cut
    remote.server.start()
    assert remote.content().verdict is SyncVerdict.DIFFERS
    remote.push()
    assert remote.content().verdict is SyncVerdict.IN_SYNC


def hsm(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The program as a user types it."""
    return subprocess.run(
        [sys.executable, "-m", "hsm_core", *words], cwd=project, capture_output=True, text=True, timeout=120
    )


def test_a_sweep_runs_the_code_that_was_pushed_or_none(remote: Any) -> None:
    """Refused without a copy; after hsm sync it runs there, and its log says what was compared; then refused again."""
    config = {"kind": "ssh", "slots": 2, "config_file": str(remote.server.config_file)}
    remote.write(
        {
            "hsm_config.yaml": json.dumps({"project": {"script": "train.py"}, "sources": {"server1": config}}),
            "sweeps/sweep_config.yaml": "grid: {a: [1, 2]}\n",
            "train.py": "import os, lib.model; print('in', os.getcwd(), lib.model.x)\n",
        }
    )
    refused = hsm(remote.project, "run", "--sources", "ssh:server1", "--sweep-id", "first")
    assert refused.returncode == 4, refused.stderr
    assert "hsm sync --target ssh:server1" in refused.stderr
    pushed = hsm(remote.project, "sync", "--target", "ssh:server1")
    assert pushed.returncode == 0, pushed.stderr
    run = hsm(remote.project, "run", "--sources", "ssh:server1", "--sweep-id", "second")
    assert run.returncode == 0, run.stderr
    sweep = remote.project / "sweeps" / "outputs" / "second"
    assert f"in {remote.locate()} 1" in (sweep / "tasks" / "task_001" / "stdout.log").read_text()
    assert "content: 2 files here and in" in (sweep / "logs" / "sources" / "server1.log").read_text()
    remote.write({"lib/model.py": "x = 2\n"})
    check = hsm(remote.project, "config", "validate", "--check-sync")
    assert check.returncode == 1
    assert "modified  lib/model.py" in check.stdout
    refused = hsm(remote.project, "run", "--sources", "ssh:server1")
    assert refused.returncode == 4
    assert "1 different (lib/model.py)" in refused.stderr
    anyway = hsm(remote.project, "run", "--sources", "ssh:server1", "--no-verify-sync", "--sweep-id", "third")
    assert anyway.returncode == 0, anyway.stderr
    third = remote.project / "sweeps" / "outputs" / "third"
    assert third.joinpath("tasks", "task_001", "stdout.log").read_text().strip().endswith(" 1")
    assert "sync was not verified: --no-verify-sync" in (third / "logs" / "sweep.log").read_text()
