"""`hsm test`, typed: at a source that works, one that does not, and one that is not there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import pytest

Type = Callable[..., Any]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose tasks need an interpreter."""
    (tmp_path / "hsm_config.yaml").write_text("project: {python: /bin/sh}\nsources: {mine: {kind: local, slots: 2}}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_source_that_works_passes_every_stage(type_hsm: Type, project: Path) -> None:
    """A line for each stage, and exit code 0; a configured source is meant by its name."""
    answer = type_hsm("test", "mine")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0] == "local:mine"
    assert [line.split()[:2] for line in lines[1:4]] == [["project", "skipped"], ["open", "ok"], ["health", "ok"]]
    assert lines[4].startswith("  one task       ok")
    assert "2 slots" in lines[2]


def test_the_first_failure_says_the_remedy(type_hsm: Type, project: Path) -> None:
    """An interpreter that is not there is found out before a sweep needs it; JSON says the same."""
    (project / "hsm_config.yaml").write_text("project: {python: /nowhere/python}\n")
    answer = type_hsm("test", "local", "--json")
    assert answer.code == 1
    (tried,) = json.loads(answer.out)
    assert (tried["source"], tried["ok"]) == ("local:local", False)
    last = tried["stages"][-1]
    assert (last["name"], last["state"]) == ("one task", "FAILED")
    assert "/nowhere/python" in last["found"]
    assert last["hint"] == "hsm config set project.python PATH"
    assert last["seconds"] > 0


def test_a_source_that_is_not_there_is_exit_code_4(type_hsm: Type, project: Path) -> None:
    """No kind of that name: nothing is tried."""
    answer = type_hsm("test", "nix")
    assert answer.code == 4
    assert answer.out == ""
    assert "no source kind 'nix'" in answer.err


def test_an_interruption_ends_the_task(project: Path) -> None:
    """Ctrl-C in the middle of the task leaves neither the task nor a folder."""
    command = [sys.executable, "-m", "hsm_core", "test", "local"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        while b"health" not in process.stdout.readline():
            pass
        deadline = time.monotonic() + 30.0
        while not list(project.glob("sweeps/outputs/.hsm-test-*/tasks/task_001/status.yaml")):
            assert time.monotonic() < deadline, "the task never began"
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(30.0) == 130
    assert not (project / "sweeps" / "outputs").exists()
