"""Disks that refuse: nothing is lost, nothing is said to have ended before its record is written."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

Serve = Callable[..., Any]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB and 40 files."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=40", "tmpfs", str(mount)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte free on a file system."""
    ballast = folder / "ballast"
    with open(str(ballast), "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def test_record_waits_for_room(serve: Serve, small_disk: Path) -> None:
    """A task that ends while the disk is full is not reported before its record could be written."""
    served = serve(sweep=small_disk, project_dir="/")
    gate = small_disk / "gate"
    os.mkfifo(str(gate))
    served.run(served.task(0, "/bin/cat", str(gate)))
    served.wait("started")
    ballast = fill(small_disk)
    gate.write_text("")
    assert "No space left" in served.wait("blocked", 0, 0)
    assert not served.seen("ended")
    ballast.unlink()
    assert served.wait("ended")["state"] == "completed"
    assert served.wait("unblocked", 0, 0)
    assert served.status()["state"] == "completed"


def test_start_waits_for_room(serve: Serve, small_disk: Path) -> None:
    """Tasks that cannot be written down wait, in order, and start when there is room; blocked is said once."""
    (small_disk / "tasks").mkdir()
    (small_disk / ".hsm/runners").mkdir(parents=True)
    served = serve(sweep=small_disk, project_dir="/")
    served.line("hello")
    ballast = fill(small_disk)
    served.run(*(served.task(i, "/bin/true", files={"params.yaml": "a: 1\n"}) for i in range(4)))
    served.wait("blocked", 0, 0)
    ballast.unlink()
    served.wait("ended", 3)
    assert [event[1] for event in served.events if event[0] == "started"] == [0, 1, 2, 3]
    kinds = [event[0] for event in served.events]
    assert kinds.count("blocked") == kinds.count("unblocked") == 1


@pytest.mark.parametrize("free", range(6))
def test_start_and_record_wait_for_inodes(start: Serve, small_disk: Path, free: int) -> None:
    """Whichever of a task's files cannot be made, the task waits and then runs once, to its end."""
    served = start(sweep=small_disk, project_dir="/")
    served.line("hello")
    fillers = []
    try:
        for n in range(100):
            fillers.append(small_disk / str(n))
            fillers[-1].touch()
    except OSError:
        fillers.pop()
    for filler in fillers[:free]:
        filler.unlink()
    served.run(served.task(0, "/bin/sh", "-c", "echo once"))
    assert "No space left" in served.wait("blocked", 0, 0)
    for filler in fillers[free:]:
        filler.unlink()
    assert served.wait("ended")["state"] == "completed"
    assert (served.folder() / "stdout.log").read_text() == "once\n"


def test_claim_that_never_started_is_withdrawn(serve: Serve, small_disk: Path) -> None:
    """A task that was claimed but could not be written down is withdrawn on disk too when it is cancelled."""
    served = serve(sweep=small_disk, project_dir="/")
    served.line("hello")
    # Room for its folder, not for its file.
    served.run(served.task(0, "/bin/true", files={"params.yaml": "x" * 100_000}))
    served.wait("blocked", 0, 0)
    served.send({"op": "cancel", "tasks": [[0, 1]]})
    served.wait("withdrawn")
    assert not (served.folder() / "stdout.log").exists()
    assert served.folder().exists()


def test_read_only_disk(serve: Serve, small_disk: Path) -> None:
    """A file system that turns read-only blocks, and work goes on when it is writable again."""
    served = serve(sweep=small_disk, project_dir="/")
    served.line("hello")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    served.run(served.task(0, "/bin/true"))
    assert "Read-only" in served.wait("blocked", 0, 0)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert served.wait("ended")["state"] == "completed"


def test_sweep_folder_deleted(serve: Serve) -> None:
    """When the sweep's folder is deleted everything is stopped, and the runner says so and leaves."""
    served = serve(slots=2, grace_s=1)
    served.run(served.task(0, "/bin/sleep", "600"))
    pid = served.wait("started")["pid"]
    shutil.rmtree(str(served.sweep))
    served.run(served.task(1, "/bin/true"))
    assert "folder is gone" in served.line("error")
    assert served.wait_exit() == 0
    assert not os.path.isdir(f"/proc/{pid}")
    assert not served.sweep.exists()


def test_task_folder_deleted(serve: Serve) -> None:
    """A task's folder that was deleted while it ran is made again for its record."""
    served = serve()
    record = served.result("/bin/sh", "-c", 'rm -rf "$HSM_TASK_DIR"')
    assert record["state"] == "completed"
    assert served.status()["state"] == "completed"
