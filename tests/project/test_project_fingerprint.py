"""Provenance."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from hsm_core import __version__
from hsm_core.project import fingerprint
from hsm_core.project.fingerprint import git_state

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def _git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=main"]
    result = subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True)
    return result.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout with one commit, apart from the configuration of whoever runs the tests."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "checkout"
    folder.mkdir()
    _git(folder, "init", "-q")
    (folder / "a.txt").write_text("one\n")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "first")
    return folder


@needs_git
def test_clean(checkout: Path) -> None:
    """A clean checkout is its commit and branch, without a diff."""
    state = git_state(checkout)
    assert state == {"commit": _git(checkout, "rev-parse", "HEAD"), "branch": "main", "dirty": False, "untracked": []}


@needs_git
def test_dirty(checkout: Path) -> None:
    """Changed files are there as a diff; files git does not know are named."""
    (checkout / "a.txt").write_text("two\n")
    (checkout / "b c.txt").write_text("")
    state = git_state(checkout)
    assert state is not None
    assert state["dirty"] is True
    assert "-one\n+two" in state["diff"]
    assert state["diff_truncated"] is False
    assert state["untracked"] == ["b c.txt"]


@needs_git
def test_large_diff(checkout: Path) -> None:
    """A diff is cut at its limit, and says so."""
    (checkout / "a.txt").write_text("x\n" * 1000)
    state = git_state(checkout, max_diff_bytes=200)
    assert state is not None
    assert len(state["diff"]) == 200
    assert state["diff_truncated"] is True


@needs_git
def test_detached_and_unborn(checkout: Path, tmp_path: Path) -> None:
    """A detached head has no branch; a checkout without a commit has no commit."""
    _git(checkout, "checkout", "-q", "--detach")
    state = git_state(checkout)
    assert state is not None
    assert state["branch"] is None
    unborn = tmp_path / "unborn"
    unborn.mkdir()
    _git(unborn, "init", "-q")
    state = git_state(unborn)
    assert state is not None
    assert (state["commit"], state["branch"]) == (None, "main")


@needs_git
def test_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is in no checkout, or does not exist, has no state."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "plain"
    folder.mkdir()
    assert git_state(folder) is None
    assert git_state(tmp_path / "none") is None


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git the rest is still recorded."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fingerprint(tmp_path)["git"] is None


def test_git_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that does not answer in time counts as none."""
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert git_state(tmp_path, timeout_s=0.05) is None


def test_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Command line, host, user, Python and versions are there, as plain JSON."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = fingerprint(tmp_path, ["hsm", "run"], {"hsm-local": "1.2"})
    assert found["command_line"] == ["hsm", "run"]
    assert found["versions"] == {"hsm-core": __version__, "hsm-local": "1.2"}
    assert all(found[key] for key in ("cwd", "host", "user", "platform", "python"))
    assert json.loads(json.dumps(found)) == found
