"""Writing the journal: order, disks that fail, syncing, and writers that meet."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

from hsm_core.errors import StoreError, SweepBusyError
from hsm_core.store.journal import Follower, JournalFull, JournalWriter, read
from hsm_core.store.journal import writer as writer_module

Event = Dict[str, Any]
DEADLINE_S = 20.0


def note(text: Any) -> Event:
    """An event."""
    return {"e": "note", "t": 1.5, "text": text}


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[JournalWriter]:
    """A writer whose background sync comes only when asked for."""
    with JournalWriter.open(tmp_path, "s", 1, sync_after_s=DEADLINE_S) as opened:
        yield opened


def failing(number: int, real: Callable[..., Any], times: int = 1, partial: int = 0) -> Callable[..., Any]:
    """A system call that fails `times` times with that error, after `partial` bytes were written."""
    left = [times]

    def call(fd: int, *arguments: Any) -> Any:
        if left[0]:
            left[0] -= 1
            if partial:
                real(fd, arguments[0][:partial], arguments[1])
            raise OSError(number, os.strerror(number))
        return real(fd, *arguments)

    return call


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("partial", [0, 1, 60])
def test_a_full_disk_loses_nothing(
    tmp_path: Path, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch, number: int, partial: int
) -> None:
    """When a write fails, even in the middle, none of its events is there; given again they are, once."""
    writer.append([note(0)])
    monkeypatch.setattr(os, "pwrite", failing(number, os.pwrite, partial=partial))
    batch = [note(1), note(2)]
    with pytest.raises(JournalFull, match="cannot write the journal"):
        writer.append(batch)
    assert list(read(tmp_path)) == [note(0)]
    writer.append(batch)
    assert list(read(tmp_path)) == [note(0), note(1), note(2)]


def test_what_a_failed_write_left_is_cut_off_before_the_next(
    tmp_path: Path, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When not even the cutting works, the next, shorter write leaves no line of the failed one behind it."""
    monkeypatch.setattr(os, "pwrite", failing(errno.EIO, os.pwrite, partial=150))
    monkeypatch.setattr(os, "ftruncate", failing(errno.EIO, os.ftruncate))
    with pytest.raises(JournalFull):
        writer.append([note(index) for index in range(10)])
    writer.append([note("short")])
    assert list(read(tmp_path)) == [note("short")]


def test_an_error_that_will_not_pass_is_told_apart(writer: JournalWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is gone from the server is no full disk: trying again would be in vain."""
    monkeypatch.setattr(os, "pwrite", failing(errno.ESTALE, os.pwrite))
    with pytest.raises(StoreError) as caught:
        writer.append([note(1)])
    assert not isinstance(caught.value, JournalFull)


def test_a_failed_sync_is_made_good(tmp_path: Path, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed sync the system may have dropped the bytes: they are written and synced again before others."""
    writer.append([note(1)])
    before = writer.position
    monkeypatch.setattr(writer_module, "_fdatasync", failing(errno.EIO, lambda fd: None, times=2))
    with pytest.raises(JournalFull):
        writer.sync()
    path = tmp_path / "0001.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[:-10] + b"\0" * 10)
    with pytest.raises(JournalFull):
        writer.append([note(2)])
    assert writer.position == before
    writer.append([note(2)])
    assert list(read(tmp_path)) == [note(1), note(2)]
    writer.sync()


def test_events_whose_sync_failed_need_only_be_synced_again(
    tmp_path: Path, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the journal already: a second `sync` makes them durable, and they are there once."""
    writer.append([note(1)])
    monkeypatch.setattr(writer_module, "_fdatasync", failing(errno.ENOSPC, lambda fd: None))
    with pytest.raises(JournalFull):
        writer.sync()
    writer.sync()
    assert list(read(tmp_path)) == [note(1)]


def test_threads_may_append_and_sync_as_they_like(tmp_path: Path) -> None:
    """With a background that syncs all the time and another thread that does so too, each event is there once."""
    with JournalWriter.open(tmp_path, "s", 1, sync_after_s=0.0) as writer:
        stop = threading.Event()

        def sync() -> None:
            while not stop.is_set():
                writer.sync()

        thread = threading.Thread(target=sync)
        thread.start()
        for index in range(300):
            writer.append([note(index)])
        stop.set()
        thread.join(DEADLINE_S)
    assert list(read(tmp_path)) == [note(index) for index in range(300)]


def test_a_real_full_disk(tmp_path: Path) -> None:
    """On a file system of 64 KiB the journal stops at a whole line, and goes on when there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], stderr=subprocess.DEVNULL, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("cannot mount a small file system here (needs root)")
    try:
        taken: List[Event] = []
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 8192)
        with JournalWriter.open(disk, "s", 1) as writer:
            batch = [note("x" * 300), note("y")]
            with contextlib.suppress(JournalFull):
                while len(taken) < 1000:
                    writer.append(batch)
                    taken += batch
            with pytest.raises(JournalFull, match="No space left"):
                writer.append(batch)
            assert list(read(disk)) == taken
            ballast.unlink()
            writer.append(batch)
            assert list(read(disk)) == taken + batch
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_events_are_synced_without_being_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of events is synced once by the background, and nothing is synced when nothing was added."""
    synced: List[int] = []
    done = threading.Event()

    def sync(fd: int) -> None:
        synced.append(os.fstat(fd).st_size)
        done.set()

    monkeypatch.setattr(writer_module, "_fdatasync", sync)
    with JournalWriter.open(tmp_path, "s", 1, sync_after_s=0.05) as writer:
        for group in (1, 2):
            for index in range(3):
                writer.append([note(index)])
            assert done.wait(DEADLINE_S)
            writer.sync()
            assert synced[-1] == writer.position.offset
            assert len(synced) <= 2 * group
            done.clear()
        calls = len(synced)
        writer.sync()
    assert len(synced) == calls


def test_a_failure_in_the_background_is_met_by_the_next_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A background sync that failed is not forgotten."""
    called = threading.Event()

    def sync(fd: int) -> None:
        called.set()
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with JournalWriter.open(tmp_path, "s", 1, sync_after_s=0.001) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(writer_module, "_fdatasync", sync)
            writer.append([note(1)])
            assert called.wait(DEADLINE_S)
            with pytest.raises(JournalFull, match="quota"):
                writer.sync()
            with pytest.raises(JournalFull, match="quota"):
                writer.append([note(2)])
        writer.append([note(2)])
    assert list(read(tmp_path)) == [note(1), note(2)]


def test_closing_twice_is_harmless_and_writing_after_it_is_not_silent(tmp_path: Path) -> None:
    """A closed writer writes to no file, least of all to another's."""
    writer = JournalWriter.open(tmp_path, "s", 1)
    writer.append([note(1)])
    writer.close()
    writer.close()
    with pytest.raises(StoreError):
        writer.append([note(2)])


def test_a_segment_has_one_writer(tmp_path: Path) -> None:
    """Of two controllers with one epoch, or one that comes after a later one, the second is refused."""
    with JournalWriter.open(tmp_path, "s", 2):
        for epoch in (1, 2):
            with pytest.raises(SweepBusyError, match="another controller"):
                JournalWriter.open(tmp_path, "s", epoch)


def test_a_writer_can_be_told_where_the_replay_ended(tmp_path: Path) -> None:
    """What was not replayed does not count, even if it was there when the new segment was made."""
    with JournalWriter.open(tmp_path, "s", 1) as old:
        old.append([note(1)])
        follower = Follower(tmp_path)
        replayed = list(follower.new_events())
        old.append([note("late")])
    with JournalWriter.open(tmp_path, "s", 2, follower.position) as new:
        new.append([note(2)])
    assert list(read(tmp_path)) == [*replayed, note(2)]


def test_an_unwritable_place_is_one_clear_line(tmp_path: Path) -> None:
    """A missing folder is named, not a traceback."""
    with pytest.raises(StoreError, match=r"cannot write the journal .*0001\.jsonl: No such file"):
        JournalWriter.open(tmp_path / "missing", "s", 1)


def test_of_processes_that_race_for_a_segment_one_wins(tmp_path: Path) -> None:
    """Four processes open the same epoch at the same moment: one succeeds, three are told."""
    program = (
        "import sys\n"
        "from hsm_core.errors import SweepBusyError\n"
        "from hsm_core.store.journal import JournalWriter\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    JournalWriter.open(sys.argv[1], 's', 1)\n"
        "except SweepBusyError:\n"
        "    print('busy', flush=True)\n"
        "else:\n"
        "    print('won', flush=True)\n"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    words = sorted(racer.communicate(timeout=DEADLINE_S)[0] for racer in racers)
    assert words == ["busy\n", "busy\n", "busy\n", "won\n"]
    assert list(read(tmp_path)) == []
