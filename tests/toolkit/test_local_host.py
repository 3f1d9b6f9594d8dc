"""This machine as a host."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from hsm_core.toolkit import LocalHost

PYTHON = sys.executable


def test_a_command_runs_without_a_shell() -> None:
    """Words arrive as they are, input is read, both outputs and the exit code come back."""
    code = "import sys; sys.stderr.write(sys.argv[1]); print(sys.stdin.read()); sys.exit(3)"
    done = LocalHost().run([PYTHON, "-c", code, "$(no) 'quote'"], input=b"in")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in\n", b"$(no) 'quote'")


def test_a_command_that_takes_too_long_is_ended() -> None:
    """After the time limit it is gone, and the error is an OSError that names it."""
    with pytest.raises(TimeoutError, match=r"did not end within 0\.1 s"):
        LocalHost().run([PYTHON, "-c", "import time; time.sleep(60)"], timeout_s=0.1)


def test_a_command_that_is_not_there_is_an_os_error() -> None:
    """What cannot be started says so by OSError, as the contract of hosts has it."""
    with pytest.raises(FileNotFoundError):
        LocalHost().run(["/nonexistent/program"])
    with pytest.raises(FileNotFoundError):
        LocalHost().start(["/nonexistent/program"])


def test_a_started_program_has_a_session_of_its_own(tmp_path: Path) -> None:
    """A Ctrl-C typed at us does not reach it; its error output is appended to the file."""
    log = tmp_path / "log"
    log.write_text("before\n")
    code = "import os, sys; print(os.getsid(0) == os.getpid()); sys.stderr.write('after')"
    channel = LocalHost().start([PYTHON, "-c", code], stderr=str(log))
    assert channel.stdout.read() == b"True\n"
    assert channel.wait(30.0) == 0
    assert log.read_text() == "before\nafter"
    channel.stdin.close()
    channel.stdout.close()


def test_a_program_that_runs_on_is_not_waited_for() -> None:
    """`wait` gives None while it runs; `kill` ends it, and is harmless afterwards."""
    channel = LocalHost().start([PYTHON, "-c", "import time; time.sleep(60)"])
    assert channel.wait(0.01) is None
    channel.kill()
    assert channel.wait(30.0) == -9
    channel.kill()
    channel.stdin.close()
    channel.stdout.close()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """Folders are made, the mode is set, readers meanwhile see the old bytes or the new ones, never a part."""
    host = LocalHost()
    path = tmp_path / "a" / "b" / "file"
    texts = [bytes([letter]) * 200_000 for letter in b"xy"]
    host.put(texts[0], str(path), mode=0o755)
    assert path.stat().st_mode & 0o777 == 0o755
    seen = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(host.read(str(path)))

    reader = threading.Thread(target=look)
    reader.start()
    for round in range(50):
        host.put(texts[round % 2], str(path))
    done.set()
    reader.join()
    assert seen <= set(texts)
    assert os.listdir(path.parent) == ["file"]


def test_a_file_that_cannot_be_put_leaves_nothing(tmp_path: Path) -> None:
    """A folder in its place: an OSError, and no temporary file stays."""
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        LocalHost().put(b"x", str(tmp_path / "file"))
    assert os.listdir(tmp_path) == ["file"]


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    """Reading what is not there raises FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        LocalHost().read(str(tmp_path / "nothing"))
