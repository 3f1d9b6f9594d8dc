"""Paths and names."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.errors import NotFoundError, UsageError
from hsm_core.store.layout import ProjectLayout, SweepLayout, check_sweep_id, new_sweep_id, task_id, task_index


@pytest.mark.parametrize(
    ("index", "total", "name"),
    [
        (0, 1, "task_001"),
        (26, 27, "task_027"),
        (998, 999, "task_999"),
        (0, 1000, "task_0001"),
        (0, 10**12, "task_0000000000001"),
    ],
)
def test_task_ids_have_as_many_digits_as_the_count(index: int, total: int, name: str) -> None:
    """Ids count from 1 with three digits, or as many as the number of tasks has."""
    assert task_id(index, total) == name


@given(st.integers(1, 10**15).flatmap(lambda total: st.tuples(st.integers(0, total - 1), st.just(total))))
def test_a_task_is_found_by_its_id_and_by_its_number(case: Tuple[int, int]) -> None:
    """The index comes back from the id, and from the bare number."""
    index, total = case
    assert task_index(task_id(index, total), total) == index
    assert task_index(str(index + 1), total) == index
    assert task_index(f"task_{index + 1}", total) == index


@pytest.mark.parametrize("text", ["", "task_", "task", "-1", "1.0", "١", "../task_001", "task_001\n", "7 ", "9" * 30])
def test_what_names_no_task_is_refused(text: str) -> None:
    """Anything but a number, with or without `task_`, is a usage error."""
    with pytest.raises(UsageError, match="not a task"):
        task_index(text, 10)


@pytest.mark.parametrize("text", ["0", "task_000", "28"])
def test_a_task_beyond_the_sweep_is_not_found(text: str) -> None:
    """The error says which tasks there are."""
    with pytest.raises(NotFoundError, match="task_001 to task_027"):
        task_index(text, 27)


def test_a_new_id_is_the_local_time() -> None:
    """The id is made of the date and the time, as the guide shows it."""
    now = time.mktime((2023, 12, 1, 14, 30, 22, 0, 0, -1))
    assert new_sweep_id(now) == "sweep_20231201_143022"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "../x",
        "a/b",
        "a\\b",
        "/etc",
        "-x",
        "--all",
        ".",
        "..",
        ".hidden",
        "a\nb",
        "a\0b",
        "a\x1b[2J",
        "x ",
        "a" * 101,
        "a\u202eb",
    ],
)
def test_what_cannot_be_an_id_is_refused_in_one_line(text: str) -> None:
    """Ids that would leave the folder, look like an option or play with the terminal are refused."""
    with pytest.raises(UsageError) as caught:
        check_sweep_id(text)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


@given(st.text(max_size=120))
def test_an_accepted_id_stays_in_its_folder(text: str) -> None:
    """Whatever is accepted names a direct child of the outputs folder."""
    project = ProjectLayout("/p")
    try:
        sweep = project.sweep(text)
    except UsageError:
        return
    assert sweep.root.parent == project.outputs
    assert sweep.sweep_id == text


def test_the_tree_is_the_guides(tmp_path: Path) -> None:
    """The folders and files are where the guide draws them."""
    project = ProjectLayout(tmp_path)
    assert project.outputs == tmp_path / "sweeps" / "outputs"
    sweep = project.sweep("s")
    drawn = """
        sweep_config.yaml sweep_metadata.yaml task_mapping.yaml tasks
        logs logs/sweep.log logs/sweep_aggregated.log logs/task_assignments.log logs/source_utilization.log
        logs/health_status.log logs/sources logs/errors logs/errors/failed_tasks.yaml logs/errors/error_patterns.yaml
        scripts/job_scripts scripts/setup_scripts
        reports/completion_report.html reports/performance_analysis.yaml reports/error_analysis.html
    """
    paths = {str(path.relative_to(sweep.root)) for path in vars(sweep).values()}
    assert set(drawn.split()) <= paths
    assert sweep.task_dir("task_001") == sweep.root / "tasks" / "task_001"


@pytest.mark.parametrize("name", ["server1", "user@host", "[::1]", "../../etc/passwd", "a b", ".hidden", "größe"])
def test_every_source_has_a_log_of_its_own_folder(name: str) -> None:
    """A source's name, whatever it is, gives a plain file in logs/sources."""
    log = SweepLayout("/s").source_log(name)
    assert log.parent == SweepLayout("/s").source_logs
    assert not log.name.startswith(".")


def test_roots_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder is taken from where the command runs, once."""
    monkeypatch.chdir(tmp_path)
    assert ProjectLayout(".").root == Path(os.getcwd())
