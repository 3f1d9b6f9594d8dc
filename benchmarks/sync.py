"""The project on another machine: ten thousand files compared and pushed over SSH, beside rsync over the same sshd."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from measure import run
from table import Figure
from workbench import ROOT, Workbench, grid

FILES = 10_000

sys.path.insert(0, str(ROOT / "plugins" / "hsm_ssh" / "src"))
from hsm_ssh.testing.sshd import SshServer, missing  # noqa: E402 - it needs nothing but the standard library


def sync(bench: Workbench) -> List[Figure]:
    """10,000 files over SSH on this machine: compared when nothing changed, pushed whole, pushed after one change."""
    lacking = missing()
    if lacking:
        print(f"SKIPPED: {lacking}")
        return []
    rsync = shutil.which("rsync")
    if rsync is None:
        print("SKIPPED: rsync is not there to compare with")
    with SshServer() as server:
        project = _project(bench, server)
        whole = _push(bench, project)
        mirror = server.home / "mirror"
        whole_rsync = _rsync(rsync, server, project, mirror)
        checks: List[float] = []
        checks_rsync: List[Optional[float]] = []
        pushes: List[float] = []
        pushes_rsync: List[Optional[float]] = []
        time.sleep(3.0)  # what has just been written is read again each time, as it must be
        _check(bench, project)
        for number in range(bench.repeat):
            checks.append(_check(bench, project))
            checks_rsync.append(_rsync(rsync, server, project, mirror, "--dry-run", "--checksum"))
            (project / "package_7" / "module_7.py").write_text(f"value = {number}\n")
            pushes.append(_push(bench, project))
            pushes_rsync.append(_rsync(rsync, server, project, mirror, "--checksum"))
            time.sleep(3.0)
            _check(bench, project)

    def figure(what: str, ours: float, peer: Optional[float], target: Optional[float] = None) -> Figure:
        return Figure(what, ours, "s", target, peer, "rsync --checksum" if peer else "")

    return [
        figure("unchanged, compared, whole command", statistics.median(checks), _median(checks_rsync), 1.0),
        figure("pushed the first time", whole, whole_rsync),
        figure("pushed after one file changed (a new snapshot; rsync: in place)", *_both(pushes, pushes_rsync)),
    ]


def _both(ours: List[float], peer: List[Optional[float]]) -> Tuple[float, Optional[float]]:
    return statistics.median(ours), _median(peer)


def _median(values: List[Optional[float]]) -> Optional[float]:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _project(bench: Workbench, server: SshServer) -> Path:
    project = bench.project("sync", grid(1))
    sources = {"server1": {"kind": "ssh", "config_file": str(server.config_file)}}
    (project / "hsm_config.yaml").write_text(json.dumps({"sources": sources}))
    (project / ".gitignore").write_text(
        "*.log\n*.pt\nbuild/\ndist/\n*.egg-info/\nwandb/\n/data/\n.env\n.idea/\n*.out\n"
    )
    for number in range(FILES - 1):
        path = project / f"package_{number // 100}" / f"module_{number % 100}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"value = {number}\n" * 50)
    return project


def _env(bench: Workbench) -> Dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(bench.folder / "cache")}


def _check(bench: Workbench, project: Path) -> float:
    """Whole command; it must find everything the same."""
    return run([bench.hsm, "config", "validate", "--check-sync"], project, _env(bench)).wall_s


def _push(bench: Workbench, project: Path) -> float:
    return run([bench.hsm, "sync", "--target", "server1"], project, _env(bench)).wall_s


def _rsync(rsync: Optional[str], server: SshServer, project: Path, to: Path, *options: str) -> Optional[float]:
    """The same with rsync through the same sshd."""
    if rsync is None:
        return None
    shell = f"ssh -F {server.config_file}"
    argv = [rsync, "-rlp", "--delete", "--exclude=/sweeps", "--exclude=*.out", *options, "-e", shell]
    return run([*argv, f"{project}/", f"{server.name}:{to}/"], project).wall_s
