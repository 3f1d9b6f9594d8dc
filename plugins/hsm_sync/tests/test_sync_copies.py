"""Copies compared and pushed: a project here, and a machine whose files are elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict

import pytest

from hsm_core.contract import SyncVerdict
from hsm_core.errors import HsmError


def tree(folder: Path) -> Dict[str, Any]:
    """Everything in a folder: text, targets of links, None for folders."""
    found: Dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = "-> " + os.readlink(path)
        elif path.is_dir():
            found[name] = None
        else:
            found[name] = path.read_bytes()
    return found


def test_a_copy_that_is_not_there_differs(lab: Any) -> None:
    """Before anything was pushed the report says where the copy would be, and the command that makes it."""
    report = lab.content()
    assert report.verdict is SyncVerdict.DIFFERS
    assert "there is no copy of the project in" in report.detail
    assert report.remedy == "hsm sync --target ssh:server1"


def test_what_was_pushed_is_in_sync(lab: Any) -> None:
    """A push makes a snapshot of exactly the project, tasks run in it, and the check says so."""
    place = lab.push()
    assert tree(place) == {"lib": None, "lib/model.py": b"x = 1\n", "train.py": b"print('hello')\n"}
    assert lab.locate() == place
    report = lab.content()
    assert report.verdict is SyncVerdict.IN_SYNC
    assert "2 files" in report.detail
    assert lab.plan().is_empty


def test_missing_modified_and_deleted_files_are_named(lab: Any) -> None:
    """The report has each file that differs from the last snapshot there, and is bounded."""
    lab.write({"old.py": "1", "same.py": "2"})
    lab.push()
    (lab.project / "old.py").unlink()
    lab.write({"train.py": "changed", "new.py": "3"})
    report = lab.content()
    assert report.verdict is SyncVerdict.DIFFERS
    assert (report.missing, report.modified, report.extra) == (("new.py",), ("train.py",), ("old.py",))
    assert "1 missing there (new.py); 1 different (train.py); 1 gone here (old.py)" in report.detail
    lab.write({f"many/{number}.py": "" for number in range(1200)})
    report = lab.content()
    assert len(report.missing) == 1000
    assert "1,201 missing there" in report.detail


def test_a_file_that_is_only_there_warns(lab: Any) -> None:
    """What programs leave where they run refuses no run, and is named; what is ignored here is not."""
    lab.write({".gitignore": "*.log\nwandb/\n"})
    place = lab.push()
    (place / "checkpoint.pt").write_text("weights")
    (place / "run.log").write_text("ignored")
    (place / "wandb").mkdir()
    (place / "lib" / "__pycache__").mkdir()
    (place / "plots").mkdir()
    report = lab.content()
    assert report.verdict is SyncVerdict.WARNING
    assert report.extra == ("checkpoint.pt", "plots/")
    assert "the rest is the same" in report.detail


def test_a_running_sweep_keeps_the_code_it_began_with(lab: Any) -> None:
    """A changed project goes to a folder of its own; nothing in the earlier one is shared with it or touched."""
    first = lab.push()
    before = tree(first)
    lab.write({"train.py": "print('later')\n"})
    plan = lab.plan()
    assert (plan.send, plan.reuse) == (("train.py",), 1)
    second = lab.push()
    assert second != first
    assert tree(first) == before
    inodes = {os.stat(path).st_ino for folder in (first, second) for path in folder.rglob("*.py")}
    assert len(inodes) == 4


def test_what_is_there_under_another_name_is_not_sent_again(lab: Any) -> None:
    """A moved folder costs nothing."""
    lab.write({"lib/weights.bin": os.urandom(100_000)})
    lab.push()
    (lab.project / "lib").rename(lab.project / "package")
    plan = lab.plan()
    assert (plan.send, plan.send_bytes, plan.reuse) == ((), 0, 3)
    assert (lab.push() / "package" / "weights.bin").stat().st_size == 100_000


def test_an_edited_snapshot_refuses_and_force_keeps_a_backup(lab: Any) -> None:
    """What somebody changed there is named; only force goes over it, and what was there is kept."""
    place = lab.push()
    (place / "train.py").write_text("edited there")
    assert lab.content().modified == ("train.py",)
    assert lab.plan().edited == ("train.py",)
    with pytest.raises(HsmError, match=r"edited: train\.py") as caught:
        lab.push()
    assert "hsm sync --force --target ssh:server1" in str(caught.value.hint)
    assert (place / "train.py").read_text() == "edited there"
    (line,) = lab.plan().apply(True, lambda sent: None)
    backup = Path(line.rpartition(" ")[2])
    assert (backup / "train.py").read_text() == "edited there"
    assert lab.content().verdict is SyncVerdict.IN_SYNC


def test_edits_in_the_snapshot_before_are_not_passed_over(lab: Any) -> None:
    """Whoever edited the last snapshot would miss it in the next: that refuses too, and force keeps a copy."""
    first = lab.push()
    (first / "train.py").write_text("edited there")
    lab.write({"train.py": "new here"})
    assert lab.plan().edited == (f"{first.name}/train.py",)
    with pytest.raises(HsmError, match="edited"):
        lab.push()
    lines = lab.plan().apply(True, lambda sent: None)
    backup = Path(lines[0].rpartition(" ")[2])
    assert (backup / first.name / "train.py").read_text() == "edited there"
    assert (first / "train.py").read_text() == "edited there"
