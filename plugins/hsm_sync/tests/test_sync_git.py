"""Two checkouts: commits, branches, what is not committed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Dict

import pytest

from hsm_core.contract import SyncReport, SyncVerdict


def git(root: Path, *words: str) -> str:
    """Run git as nobody in particular."""
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    who = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], cwd=root, env=environ, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


@pytest.fixture
def checkouts(lab: Any) -> Any:
    """The project is a checkout, and the folder that is configured there a clone of it."""
    git(lab.project, "init", "-q", "-b", "main")
    git(lab.project, "add", ".")
    git(lab.project, "commit", "-q", "-m", "one")
    git(lab.project, "clone", "-q", str(lab.project), str(lab.home / "clone"))
    lab.options["project"] = "~/clone"
    lab.there = lab.home / "clone"
    return lab


def by_name(lab: Any) -> Dict[str, SyncReport]:
    """The reports by their verifiers."""
    return {report.verifier: report for report in lab.reports()}


def test_a_fresh_clone_is_in_sync(checkouts: Any) -> None:
    """Both verifiers say so, and the commit is named."""
    reports = by_name(checkouts)
    assert {report.verdict for report in reports.values()} == {SyncVerdict.IN_SYNC}
    assert git(checkouts.project, "rev-parse", "HEAD")[:10] in reports["git"].detail


def test_another_commit_differs(checkouts: Any) -> None:
    """Even with the same files: programs record the commit that they run from. The remedy is git's."""
    git(checkouts.project, "commit", "-q", "--allow-empty", "-m", "two")
    commit = git(checkouts.project, "rev-parse", "HEAD")
    reports = by_name(checkouts)
    assert reports["content"].verdict is SyncVerdict.IN_SYNC
    assert reports["git"].verdict is SyncVerdict.DIFFERS
    assert f"commit {commit[:10]} here" in reports["git"].detail
    assert f"git -C {checkouts.there} checkout {commit}" in reports["git"].remedy
    plan = checkouts.plan()
    assert "commit" in plan.refusal
    assert "git -C" in plan.remedy


def test_another_branch_warns(checkouts: Any) -> None:
    """The same commit by another name."""
    git(checkouts.there, "checkout", "-q", "-b", "dev")
    report = by_name(checkouts)["git"]
    assert (report.verdict, "branch main here, dev there" in report.detail) == (SyncVerdict.WARNING, True)


def test_changes_that_are_not_committed_warn_and_the_files_decide(checkouts: Any) -> None:
    """Uncommitted here and sent there: the files are the same, git only says that no commit has them."""
    checkouts.write({"train.py": "not committed"})
    reports = by_name(checkouts)
    assert reports["content"].verdict is SyncVerdict.DIFFERS
    assert reports["git"].verdict is SyncVerdict.WARNING
    plan = checkouts.plan()
    assert (plan.send, plan.edited, plan.refusal) == (("train.py",), (), "")
    checkouts.push()
    reports = by_name(checkouts)
    assert reports["content"].verdict is SyncVerdict.IN_SYNC
    assert "not committed here and there" in reports["git"].detail
    assert git(checkouts.there, "status", "--porcelain") == "M train.py"


def test_an_edit_in_a_checkout_is_an_edit(checkouts: Any) -> None:
    """What git there does not have, nobody has: not overwritten without force."""
    (checkouts.there / "train.py").write_text("edited there")
    assert checkouts.plan().edited == ("train.py",)
    checkouts.write({"lib/model.py": "x = 2\n"})
    plan = checkouts.plan()
    assert (plan.send, plan.edited) == (("lib/model.py", "train.py"), ("train.py",))


def test_a_checkout_that_git_cannot_read_is_not_in_sync(checkouts: Any) -> None:
    """The files are the same, so that it may run; but it is said that commits were not compared."""
    (checkouts.there / ".git" / "HEAD").write_text("garbage")
    report = by_name(checkouts)["git"]
    assert report.verdict is SyncVerdict.WARNING
    assert "could not compare commits" in report.detail


def test_git_says_nothing_of_what_is_no_checkout(lab: Any) -> None:
    """Files alone decide for snapshots, and where only one side has git."""
    git(lab.project, "init", "-q")
    lab.push()
    assert list(by_name(lab)) == ["content"]
    lab.options["project"] = "plain"
    lab.push()
    assert list(by_name(lab)) == ["content"]
    assert not (lab.home / "plain" / ".git").exists()
