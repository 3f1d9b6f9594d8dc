"""The runner's files and its view of processes: torn states, claims, identities."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.runner import runner

RECORD = {
    "state": "completed",
    "exit_code": 0,
    "started_at": 1700000000.25,
    "host": "h",
    "oom_killed": False,
    "reason": None,
}


@given(st.dictionaries(st.sampled_from("abc"), st.one_of(st.text(), st.integers(), st.booleans(), st.none())))
def test_status_is_yaml_and_json_alike(status: Any) -> None:
    """What is written is read back the same by a YAML library and by our own reader."""
    text = runner.status_text(status).decode("utf-8")
    assert (yaml.safe_load(text) or {}) == status
    assert {line.split(": ", 1)[0]: json.loads(line.split(": ", 1)[1]) for line in text.splitlines()} == status


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
)


@given(JSON)
def test_json_in_c_is_json(value: Any) -> None:
    """What a runner reads and writes without the module `json` is what the module would have read and written."""
    ours = runner.JsonInC()
    assert ours.dumps(value) == json.dumps(value)
    assert ours.loads(json.dumps(value) + "\n") == value


@given(st.one_of(st.text(), JSON.map(lambda value: json.dumps(value)[1:]), JSON.map(lambda v: f" {json.dumps(v)} x")))
def test_what_is_no_json_is_refused_as_json_does(text: str) -> None:
    """A damaged line is the same error, or the same value, as with the module `json`."""
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"char \d+"):
            runner.JsonInC().loads(text)
    else:
        assert repr(runner.JsonInC().loads(text)) == repr(expected)


def test_lone_surrogate_is_replaced() -> None:
    """Text that no encoding has becomes the replacement character."""
    assert runner.yaml_scalar("a\ud800b") == '"a\\ufffdb"'


@pytest.mark.parametrize("size", range(len(runner.status_text(RECORD)) + 1))
def test_torn_status_reads_as_a_prefix(tmp_path: Path, size: int) -> None:
    """A status cut at any byte gives whole lines only, never half a value."""
    path = tmp_path / "status.yaml"
    path.write_bytes(runner.status_text(RECORD)[:size])
    found = runner.read_status(str(path))
    assert list(found.items()) == list(RECORD.items())[: len(found)]


@given(st.binary(max_size=200))
def test_garbage_status_is_no_error(data: bytes) -> None:
    """Whatever is in a status.yaml, reading it raises nothing."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        runner.read_status(file.name)


def test_missing_status_is_empty(tmp_path: Path) -> None:
    """A status that is not there says nothing."""
    assert runner.read_status(str(tmp_path / "no" / "status.yaml")) == {}


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({"status.yaml": 'state: "running"\n', "status.yaml.new": 'state: "compl'}, "running"),
        ({"status.yaml": 'state: "running"\n', "status.yaml.new": 'state: "completed"\n'}, "running"),
        ({"status.yaml.new": 'state: "completed"\n'}, "completed"),
        ({"status.yaml": 'state: "completed"\n'}, "completed"),
    ],
)
def test_a_status_is_replaced_whole_wherever_the_runner_dies(tmp_path: Path, files: Dict[str, str], state: str) -> None:
    """At every step of the replacement a reader sees the old status or the new one, and the archive keeps it."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert runner.read_status(str(tmp_path / "status.yaml")) == {"state": state}
    (tmp_path / "attempts" / "1").mkdir(parents=True)
    runner.archive_files(bytes(tmp_path), bytes(tmp_path / "attempts" / "1"))
    assert runner.read_status(str(tmp_path / "status.yaml")) == {}
    assert runner.read_status(str(tmp_path / "attempts" / "1" / "status.yaml")) == {"state": state}


def test_a_status_that_cannot_be_replaced_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the old status stays, and nothing half-written is left to be taken for the new one."""
    path = bytes(tmp_path / "status.yaml")
    runner.replace_status(path, b'state: "running"\n')

    def full(fd: int, data: bytes) -> None:
        os.write(fd, data[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner, "write_all", full)
    with pytest.raises(OSError, match="No space"):
        runner.replace_status(path, b'state: "completed"\n')
    assert os.listdir(str(tmp_path)) == ["status.yaml"]
    assert runner.read_status(path) == {"state": "running"}


def test_write_atomically_leaves_no_half(tmp_path: Path) -> None:
    """A write that fails leaves the old file and no temporary one."""
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="directory"):
        runner.write_atomically(str(tmp_path / "file"), b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    runner.write_atomically(str(tmp_path / "other"), b"x")
    assert (tmp_path / "other").read_bytes() == b"x"


def test_one_claim_wins(tmp_path: Path) -> None:
    """Each attempt can be claimed once, and claiming a later one closes those before it."""
    folder = os.fsencode(tmp_path / "task_001")
    assert runner.claim(folder, 1)
    assert not runner.claim(folder, 1)
    assert runner.claim(folder, 4)
    assert not any(runner.claim(folder, attempt) for attempt in (1, 2, 3, 4))
    assert runner.is_claimed(folder, 4)
    assert not runner.is_claimed(folder, 5)


def test_record_is_found_wherever_the_archiving_stopped(tmp_path: Path) -> None:
    """The record of an attempt is found before, amid and after its move to the archive."""
    folder = tmp_path / "task_001"
    assert runner.claim(os.fsencode(folder), 1)
    (folder / "status.yaml").write_bytes(runner.status_text({"state": "failed", "attempt": 1}))
    (folder / "own").write_text("x")
    assert runner.attempt_status(os.fsencode(folder), 1)["state"] == "failed"
    assert runner.attempt_status(os.fsencode(folder), 2) == {}
    assert runner.claim(os.fsencode(folder), 2)
    assert runner.attempt_status(os.fsencode(folder), 1)["state"] == "failed"
    assert runner.attempt_status(os.fsencode(folder), 2) == {}
    assert (folder / "attempts/1/own").exists()


def test_processes_are_known_by_pid_and_start() -> None:
    """A living process is alive under its own start only; one that is a zombie or gone is dead."""
    start = runner.process_start(os.getpid())
    assert start
    assert runner.is_alive(os.getpid(), start)
    assert runner.is_alive(os.getpid(), None)
    assert not runner.is_alive(os.getpid(), start + "0")
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        child.stdout.read()  # its end
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not runner.is_alive(child.pid, None)  # a zombie
    assert not runner.is_alive(child.pid, None)


@pytest.mark.parametrize(
    ("change", "relation"),
    [
        (lambda name, boot, space: (name, boot, space), "here"),
        (lambda name, boot, space: ("renamed", boot, space), "here"),
        (lambda name, boot, space: (name, "other", space), "gone"),
        (lambda name, boot, space: (name, boot, "pid:[1]"), "elsewhere"),
        (lambda name, boot, space: ("other", "other", space), "elsewhere"),
        (lambda name, boot, space: ("garbage", "", ""), "elsewhere"),
    ],
)
def test_host_relation(monkeypatch: pytest.MonkeyPatch, change: Any, relation: str) -> None:
    """A key is here, of an earlier boot, or of another machine or container."""
    monkeypatch.setattr(runner, "host_key", lambda: "name/boot/pid:[4]")
    assert runner.host_relation("/".join(change("name", "boot", "pid:[4]"))) == relation


def test_host_key_is_steady() -> None:
    """The key of this host does not change, and is that of this host."""
    assert runner.host_key() == runner.host_key()
    assert runner.host_relation(runner.host_key()) == "here"


def test_processes_by_ps() -> None:
    """Where there is no /proc, `ps` lists the same process with its group, its start and its environment."""
    child = subprocess.Popen(["/bin/sleep", "600"], env={**os.environ, "HSM_RUNNER": "by-ps"})
    try:
        found = {process.pid: process for process in runner.list_by_ps(["axeww"])}
        assert found[child.pid].group == os.getpgid(child.pid)
        assert found[child.pid].carries(b"HSM_RUNNER=by-ps")
        assert [p.start for p in runner.list_by_ps(["-p", str(child.pid)])] == [found[child.pid].start]
    finally:
        child.kill()
        child.wait()


def test_runner_imports_little() -> None:
    """Starting the runner loads nothing that is slow to load."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import runner; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(Path(runner.__file__).parent)], stdout=subprocess.PIPE, check=True
    )
    loaded = set(done.stdout.decode().split())
    assert "time" in loaded
    slow = "json re enum typing subprocess socket threading selectors tempfile shutil asyncio"
    assert loaded.isdisjoint(slow.split())
