"""Copies compared and pushed: a project here, and a machine whose files are elsewhere."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest
from hsm_sync.there import copies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsm_core.contract import SyncVerdict
from hsm_core.errors import HsmError, NotFoundError


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


def test_a_project_without_files_has_its_copy_too(lab: Any) -> None:
    """A sweep of `sleep` and nothing else: the folder that its tasks run in is made."""
    (lab.project / "train.py").unlink()
    (lab.project / "lib" / "model.py").unlink()
    assert lab.content().verdict is SyncVerdict.DIFFERS
    plan = lab.plan()
    assert (plan.send, plan.is_empty) == ((), False)
    lab.push()
    assert lab.content().verdict is SyncVerdict.IN_SYNC
    assert lab.plan().is_empty


def test_copies_are_for_their_owners_eyes(lab: Any) -> None:
    """Machines in labs have many users; who wants to share may, and it stays so."""
    place = lab.push()
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    place.parent.chmod(0o750)
    lab.write({"train.py": "2"})
    lab.push()
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o750


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


def test_a_folder_of_the_users_own_is_where_tasks_run(lab: Any) -> None:
    """With `project` configured there are no snapshots: that folder is compared, a tilde in it being the home there."""
    lab.options["project"] = "~/code/mine"
    assert lab.locate() == lab.home / "code" / "mine"
    assert lab.content().verdict is SyncVerdict.DIFFERS
    assert lab.push() == lab.home / "code" / "mine"
    assert lab.content().verdict is SyncVerdict.IN_SYNC
    assert sorted(tree(lab.home / "code" / "mine")) == ["lib", "lib/model.py", "train.py"]


def test_a_folder_of_the_users_own_is_brought_up_to_date(lab: Any) -> None:
    """What changed here changes there, what went here goes there, what is only there stays."""
    lab.options["project"] = "mine"
    lab.write({"old/deep/one.py": "1", "kept.py": "2"})
    place = lab.push()
    (place / "data").mkdir()
    (place / "data" / "big.bin").write_bytes(b"0" * 100)
    (place / "old" / "notes.txt").write_text("mine")
    (lab.project / "old" / "deep" / "one.py").unlink()
    (lab.project / "old" / "deep").rmdir()
    (lab.project / "old").rmdir()
    lab.write({"train.py": "2"})
    report = lab.content()
    assert (report.verdict, report.modified) == (SyncVerdict.DIFFERS, ("train.py",))
    assert report.extra == ("data/", "old/deep/one.py", "old/notes.txt")
    plan = lab.plan()
    assert (plan.send, plan.remove, plan.edited) == (("train.py",), ("old/deep/one.py",), ())
    lab.push()
    assert set(tree(place)) == {
        *("train.py", "kept.py", "lib", "lib/model.py"),
        *("data", "data/big.bin", "old", "old/notes.txt"),
    }
    assert lab.content().verdict is SyncVerdict.WARNING


def test_a_deleted_file_that_came_from_here_refuses(lab: Any) -> None:
    """A module that is gone here must not be imported there; one that was never here is somebody's own."""
    lab.options["project"] = "mine"
    lab.write({"old.py": "1"})
    place = lab.push()
    (place / "other.py").write_text("theirs")
    (lab.project / "old.py").unlink()
    report = lab.content()
    assert report.verdict is SyncVerdict.DIFFERS
    assert "1 gone here (old.py); 1 only there (other.py)" in report.detail


def test_a_folder_that_was_never_pushed_to_is_all_edits(lab: Any) -> None:
    """Nobody knows whose a file is that differs in a folder that was filled by hand."""
    lab.options["project"] = "mine"
    place = lab.home / "mine"
    place.mkdir()
    (place / "train.py").write_text("somebody's")
    assert lab.plan().edited == ("train.py",)
    with pytest.raises(HsmError, match="edited"):
        lab.push()
    assert (place / "train.py").read_text() == "somebody's"
    assert not (place / "lib").exists()
    lab.push(force=True)
    assert (place / "train.py").read_text() == "print('hello')\n"


def test_a_file_where_a_folder_should_be_and_the_other_way_round(lab: Any) -> None:
    """Things change their kind: what came from here gives way, what did not is an edit, and is kept."""
    lab.options["project"] = "mine"
    lab.write({"a/x.py": "1", "b": "2", "c/y.py": "3"})
    (lab.project / "a" / "empty").mkdir()
    place = lab.push()
    (lab.project / "a" / "empty").rmdir()
    for name in ("a/x.py", "b", "c/y.py"):
        (lab.project / name).unlink()
    (lab.project / "a").rmdir()
    (lab.project / "c").rmdir()
    lab.write({"a": "now a file", "b/z.py": "now in a folder", "c": "now a file"})
    (place / "c" / "notes.txt").write_text("mine")
    assert lab.plan().edited == ("c",)
    (line,) = lab.plan().apply(True, lambda sent: None)
    assert tree(place)["a"] == b"now a file"
    assert tree(place)["b/z.py"] == b"now in a folder"
    assert tree(place)["c"] == b"now a file"
    assert (Path(line.rpartition(" ")[2]) / "c" / "notes.txt").read_text() == "mine"
    assert lab.content().verdict is SyncVerdict.IN_SYNC


def test_a_folder_replaced_by_a_link_is_not_written_through(lab: Any, tmp_path: Path) -> None:
    """A link there that leads elsewhere is an edit; nothing outside the copy is touched."""
    lab.options["project"] = "mine"
    place = lab.push()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "model.py").write_text("not ours")
    (place / "lib" / "model.py").unlink()
    (place / "lib").rmdir()
    (place / "lib").symlink_to(outside)
    assert lab.content().verdict is SyncVerdict.DIFFERS
    assert lab.plan().edited == ("lib",)
    lab.push(force=True)
    assert (outside / "model.py").read_text() == "not ours"
    assert not (place / "lib").is_symlink()
    assert lab.content().verdict is SyncVerdict.IN_SYNC


def test_links_modes_and_empty_folders_arrive(lab: Any) -> None:
    """Links as they are, the executable bit, folders with nothing in them."""
    lab.write({"run.sh": "#!/bin/sh\n"})
    (lab.project / "run.sh").chmod(0o755)
    (lab.project / "latest").symlink_to("lib/model.py")
    (lab.project / "data").symlink_to("/scratch/data")
    (lab.project / "empty" / "deep").mkdir(parents=True)
    os.mkfifo(lab.project / "pipe")
    plan = lab.plan()
    assert plan.notes == (
        "data is a link out of the project, and goes as a link",
        "pipe is neither file nor folder, and is left out",
    )
    place = lab.push()
    assert (place / "run.sh").stat().st_mode & stat.S_IXUSR
    assert not (place / "train.py").stat().st_mode & stat.S_IXUSR
    assert os.readlink(place / "latest") == "lib/model.py"
    assert os.readlink(place / "data") == "/scratch/data"
    assert (place / "empty" / "deep").is_dir()
    assert not (place / "pipe").exists()
    assert lab.content().verdict is SyncVerdict.IN_SYNC
    (place / "train.py").chmod(0o755)
    assert lab.content().modified == ("train.py",)
    (place / "train.py").chmod(0o600)
    assert lab.content().verdict is SyncVerdict.IN_SYNC
    (place / "latest").unlink()
    (place / "latest").symlink_to("train.py")
    assert lab.content().modified == ("latest",)


def test_a_new_empty_folder_refuses_nothing_and_is_made_with_the_next_push(lab: Any) -> None:
    """git does not keep empty folders either."""
    place = lab.push()
    (lab.project / "checkpoints").mkdir()
    assert lab.locate() == place
    assert lab.content().verdict is SyncVerdict.IN_SYNC


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=40).filter(
            lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..", b".git", b".hsm")
        ),
        st.binary(max_size=200),
        max_size=20,
    )
)
def test_any_name_and_any_content_arrive(lab: Any, files: Dict[bytes, bytes]) -> None:
    """Newlines, leading dashes, bytes that are no text: every name that a file can have, whatever the locale there."""
    folder = os.fsencode(lab.project / "names")
    subprocess.run(["rm", "-rf", "--", folder], check=True)
    os.mkdir(folder)
    (lab.project / ".hsmignore").write_text("!*\n")
    for name, content in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    place = lab.push(force=True)
    there = os.fsencode(place / "names")
    assert {name: Path(os.fsdecode(os.path.join(there, name))).read_bytes() for name in os.listdir(there)} == files
    assert lab.content().verdict is SyncVerdict.IN_SYNC


def test_a_big_file_crosses_in_pieces(lab: Any) -> None:
    """More than one piece, well and badly compressible, with progress to the last byte."""
    lab.write({"zeros.bin": bytes(5_000_000), "noise.bin": os.urandom(3_000_000)})
    seen: List[int] = []
    plan = lab.plan()
    plan.apply(False, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == plan.send_bytes
    assert lab.content().verdict is SyncVerdict.IN_SYNC


def test_a_file_that_cannot_be_read_here_is_an_error_that_names_it(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read cannot be proven equal."""
    import hsm_sync.there.tree as tree_there

    def refuse(path: bytes) -> str:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(tree_there, "hash_file", refuse)
    with pytest.raises(NotFoundError, match=r"lib/model\.py.*Permission denied") as caught:
        lab.plan()
    assert ".hsmignore" in str(caught.value.hint)


def test_a_file_that_changes_while_it_is_sent_changes_nothing_there(lab: Any) -> None:
    """Contents are checked as they go; what is half sent is thrown away there."""
    plan = lab.plan()
    lab.write({"train.py": "print('HELLO')\n"})
    with pytest.raises(HsmError, match=r"train\.py changed while it was sent"):
        plan.apply(False, lambda sent: None)
    assert not Path(plan.place).exists()
    state = Path(plan.place).parent / ".hsm"
    assert [path.name for path in state.iterdir() if path.name.startswith("incoming")] == []


def test_two_projects_of_one_name_have_their_own_places(lab: Any, tmp_path: Path) -> None:
    """A copy's folder is named by the project's path and this machine, not by the name alone."""
    first = lab.push()
    lab.project = tmp_path / "other" / "my project"
    lab.write({"train.py": "another"})
    second = lab.push()
    assert first.parent != second.parent
    assert first.parent.name.startswith("my_project-")
    assert second.parent.name.startswith("my_project-")


def _age(place: Path, days: float, use: str = "*") -> None:
    """Let a snapshot have been used so long ago."""
    then = time.time() - days * 86400
    for path in (place.parent / ".hsm" / f"{place.name}.uses").glob(use):
        os.utime(path, (then, then))


def test_old_snapshots_go_and_those_in_use_stay(lab: Any) -> None:
    """The last three stay, and those of sweeps that are not over, used lately, changed by somebody, or worked in."""
    places = []
    for number in range(8):
        lab.write({"train.py": f"print({number})\n"})
        places.append(lab.push())
        lab.locate(f"sweep_{number}")
    for number, place in enumerate(places):
        _age(place, 100 - number)
    _age(places[1], 13.9, "sweep.*")
    (places[2] / "train.py").write_text("changed there")
    sleeper = subprocess.Popen(["sleep", "60"], cwd=places[3])
    try:
        lab.write({"train.py": "print('last')\n"})
        places.append(lab.push(unfinished=["sweep_0"]))
    finally:
        sleeper.kill()
        sleeper.wait()
    there = [place.exists() for place in places]
    assert there == [True, True, True, True, False, False, True, True, True]
    left = {path.name.split(".")[0] for path in (places[0].parent / ".hsm").iterdir()} - {"backup"}
    assert left == {place.name for place in places if place.exists()}


def test_without_a_check_the_last_snapshot_is_used(lab: Any) -> None:
    """`--no-verify-sync` runs what is there: the copy that was pushed last."""
    lab.push()
    lab.write({"train.py": "2"})
    second = lab.push()
    lab.write({"train.py": "3"})
    assert lab.locate() == second


def test_the_check_is_of_the_folder_where_tasks_will_run(lab: Any, tmp_path: Path) -> None:
    """Where another plugin located the project, that folder is compared."""
    from hsm_sync.verify import verify

    from hsm_core.contract import SyncRequest

    lab.push()
    other = tmp_path / "other copy"
    other.mkdir()
    (other / "train.py").write_text("old")
    request = SyncRequest(str(lab.project), lab.spec, str(other))
    (report,) = verify(lab.source, request) or []
    assert (report.verdict, report.missing, report.modified) == (
        SyncVerdict.DIFFERS,
        ("lib/model.py",),
        ("train.py",),
    )


def test_the_folder_prune_rule_is_what_the_guide_says() -> None:
    """Three snapshots, fourteen days."""
    assert (copies.KEEP_SNAPSHOTS, copies.KEEP_S) == (3, 14 * 86400)
