"""Making, listing and finding sweeps."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from hsm_core.errors import NotFoundError, StoreError, UsageError
from hsm_core.store.journal import JournalWriter
from hsm_core.store.layout import ProjectLayout, SweepLayout
from hsm_core.store.sweeps import create, create_new, discard, find_sweep, list_sweeps


def made(project: ProjectLayout, name: str, at: float) -> SweepLayout:
    """A sweep whose journal began at that time."""
    layout = project.sweep(name)
    create(layout)
    JournalWriter.open(layout.journal, name, 1, now=lambda: at).close()
    return layout


def test_a_new_sweep_has_its_folders(sweep: SweepLayout) -> None:
    """All folders of the guide's tree are there at once, and no file."""
    for folder in (sweep.tasks, sweep.source_logs, sweep.errors, sweep.job_scripts, sweep.setup_scripts, sweep.reports):
        assert folder.is_dir()
    assert not [name for _, _, names in os.walk(sweep.root) for name in names]


def test_a_sweep_is_made_once(sweep: SweepLayout) -> None:
    """A second one of the same id is refused, and the first stays whole."""
    with pytest.raises(UsageError, match="already"):
        create(sweep)
    assert sweep.tasks.is_dir()


def test_sweeps_of_one_second_get_ids_of_their_own(project: ProjectLayout) -> None:
    """Two sweeps started within a second do not meet."""
    names = [create_new(project, 1.7e9).sweep_id for _ in range(3)]
    assert names == [names[0], names[0] + "_2", names[0] + "_3"]


def test_a_failure_leaves_nothing(project: ProjectLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a folder cannot be made, none of those made before stays, the outputs folder included."""
    mkdir = Path.mkdir

    def denied(self: Path, *args: Any, **options: Any) -> None:
        if self.name == "reports":
            raise PermissionError(13, "Permission denied")
        mkdir(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(NotFoundError, match="Permission denied"):
        create(project.sweep("s"))
    assert not project.root.exists()


def test_a_file_in_the_way_is_named(project: ProjectLayout) -> None:
    """Where the outputs folder should be there is a file: one line, not a traceback."""
    project.sweeps.mkdir(parents=True)
    project.outputs.write_text("not a folder")
    with pytest.raises(NotFoundError, match="cannot make the sweep's folder"):
        create(project.sweep("s"))


def test_discarding_removes_the_whole_sweep(sweep: SweepLayout) -> None:
    """A sweep that could not be begun is gone without a trace."""
    discard(sweep)
    assert not sweep.root.exists()


def test_sweeps_are_listed_newest_first(project: ProjectLayout) -> None:
    """The order is that of their beginning, by the journal, even after their folder was copied or touched."""
    made(project, "b", 200.0)
    made(project, "a", 300.0)
    old = made(project, "c", 100.0)
    os.utime(old.root)
    (project.outputs / "notes").mkdir()
    assert [sweep.sweep_id for sweep in list_sweeps(project)] == ["a", "b", "c"]


def test_no_id_means_the_newest(project: ProjectLayout) -> None:
    """Without an id the newest sweep is meant."""
    made(project, "b", 200.0)
    made(project, "a", 300.0)
    assert find_sweep(project).sweep_id == "a"


def test_a_unique_beginning_is_enough(project: ProjectLayout) -> None:
    """The beginning of an id names a sweep when no other begins so; a whole id always does."""
    made(project, "sweep_1", 1.0)
    made(project, "sweep_12", 2.0)
    made(project, "other", 3.0)
    assert find_sweep(project, "o").sweep_id == "other"
    assert find_sweep(project, "sweep_1").sweep_id == "sweep_1"
    with pytest.raises(UsageError, match=r"2 sweeps begin with sweep: sweep_12, sweep_1$"):
        find_sweep(project, "sweep")


def test_a_missing_sweep_is_not_found(project: ProjectLayout) -> None:
    """The error says where was looked; before the first sweep it says how to start one."""
    with pytest.raises(NotFoundError, match="there are no sweeps") as caught:
        find_sweep(project)
    assert caught.value.hint == "Start one: hsm run"
    made(project, "a", 1.0)
    with pytest.raises(NotFoundError, match="there is no sweep x in"):
        find_sweep(project, "x")
    with pytest.raises(UsageError):
        find_sweep(project, "../outputs/a")


def test_a_moved_sweep_is_found_under_its_new_name(project: ProjectLayout) -> None:
    """A person may rename a sweep's folder; the folder's name is the id."""
    moved = made(project, "a", 1.0)
    shutil.move(str(moved.root), str(moved.root.parent / "best"))
    assert find_sweep(project).sweep_id == "best"


def test_a_sweep_is_there_whole_or_not_at_all(project: ProjectLayout) -> None:
    """While its first files are written it has no name yet, and where that fails nothing of it stays."""
    seen = []

    def fill(draft: SweepLayout) -> None:
        seen.append(list_sweeps(project))
        draft.config.write_text("grid: {}")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        create(project.sweep("s"), fill)
    assert seen == [[]]
    assert not project.root.exists()
