"""A disk that is full, and one that cannot be written: hsm waits, or says so and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest


@pytest.fixture
def mount(yard: Any) -> Iterator[Callable[[str], Path]]:
    """Mount a small file system where the sweeps of the yard are."""
    outputs = yard.root / "sweeps" / "outputs"
    mounted = []

    def make(options: str) -> Path:
        outputs.mkdir(exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(outputs)], capture_output=True)
        if done.returncode != 0:
            pytest.skip(f"NOT TESTED, no small disk can be mounted here: {done.stderr.decode().strip()}")
        mounted.append(outputs)
        return Path(outputs)

    yield make
    yard.clean()
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    with contextlib.suppress(OSError):
        while True:
            os.write(fd, b"x" * 65536)
    with contextlib.suppress(OSError):
        while True:
            os.write(fd, b"x")
    os.close(fd)


def test_a_full_disk_is_waited_for(yard: Any, mount: Callable[[str], Path]) -> None:
    """Neither journal nor tasks can write: nothing is started or forgotten; with room it goes on, each task once."""
    disk = mount("size=4m")
    controller = yard.start("run", "--sweep-id", "s", "--sources", "local:2")
    yard.until(lambda: len(yard.attempts()) >= 3)
    fill(disk / "filler")
    yard.until(lambda: "No space left" in yard.said(controller), "nobody said that the disk is full")
    assert controller.poll() is None
    (disk / "filler").unlink()
    assert yard.end(controller) == 1, yard.said(controller)
    yard.check_end(set(), exact=True)


def test_killed_while_the_disk_is_full(yard: Any, mount: Callable[[str], Path]) -> None:
    """Even then: status tells the truth, complete says what is wrong, and ends the sweep when there is room."""
    disk = mount("size=4m")
    controller = yard.start("run", "--sweep-id", "s", "--sources", "local:2")
    yard.until(lambda: len(yard.attempts()) >= 5)
    fill(disk / "filler")
    yard.until(lambda: "No space left" in yard.said(controller))
    controller.kill()
    controller.wait()
    recorded = yard.check_truth()
    code, said = yard.hsm("complete", "s")
    assert code == 1, said
    assert "No space left" in said
    assert "Make room" in said
    (disk / "filler").unlink()
    code, said = yard.hsm("complete", "s")
    assert code == 1, said
    yard.check_end(recorded)


def test_interrupted_while_the_disk_is_full(yard: Any, mount: Callable[[str], Path]) -> None:
    """Ctrl-C twice ends a controller that waits for room; the sweep can be completed."""
    disk = mount("size=4m")
    controller = yard.start("run", "--sweep-id", "s", "--sources", "local:2")
    yard.until(lambda: len(yard.attempts()) >= 3)
    fill(disk / "filler")
    yard.until(lambda: "No space left" in yard.said(controller))
    controller.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        controller.wait(0.5)
    controller.terminate()
    assert yard.end(controller) in (1, 130), yard.said(controller)
    (disk / "filler").unlink()
    assert yard.hsm("complete", "s")[0] == 1
    yard.check_end(set())


def test_no_room_to_begin(yard: Any, mount: Callable[[str], Path]) -> None:
    """A sweep that cannot be made leaves nothing: one line, exit 1, and an empty folder as before."""
    disk = mount("size=1m")
    fill(disk / "filler")
    code, said = yard.hsm("run", "--sweep-id", "s")
    assert code == 1, said
    assert "No space left" in said
    assert os.listdir(disk) == ["filler"]


def test_a_read_only_output_folder(yard: Any, mount: Callable[[str], Path]) -> None:
    """Where nothing can be written: one line that names the folder, exit 3, nothing made."""
    disk = mount("ro")
    code, said = yard.hsm("run", "--sweep-id", "s")
    assert code == 3, said
    assert str(disk) in said
    assert said.count("\n") == 2
    assert not os.listdir(disk)
    assert yard.hsm("status")[0] == 3


def test_a_sweep_that_became_read_only(yard: Any, mount: Callable[[str], Path]) -> None:
    """A finished sweep on a read-only disk can be looked at; completing it says what cannot be written."""
    disk = mount("size=4m")
    yard.declare(8)
    assert yard.hsm("run", "--sweep-id", "s")[0] == 1
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert yard.hsm("status", "s")[0] == 0
    code, said = yard.hsm("complete", "s", "--retry-failed")
    assert code in (1, 3), said
    assert "Read-only" in said
    assert yard.hsm("cancel", "s")[0] == 0, "there is nothing to cancel"
