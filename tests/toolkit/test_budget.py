"""The budget of calls that all hsm of a user share."""

from __future__ import annotations

import os
from pathlib import Path

from hsm_core.toolkit.budget import CallBudget, budget_dir


def test_shared_by_all(tmp_path: Path) -> None:
    """Two that ask have no more calls together than one alone."""
    now = [1000.0]
    two = [CallBudget(tmp_path / "calls", 30, lambda: now[0]) for _ in range(2)]
    assert [one.take() for _ in range(4) for one in two] == [True] * 5 + [False] * 3
    now[0] += 10.0
    assert two[0].take()


def test_urgent_calls_are_made_and_count(tmp_path: Path) -> None:
    """A submission is made in any case; questions then wait."""
    budget = CallBudget(tmp_path, 12, lambda: 0.0)
    assert [budget.take(urgent=True) for _ in range(3)] == [True] * 3
    assert not budget.take()


def test_old_windows_are_removed(tmp_path: Path) -> None:
    """What is kept does not grow, and files of others are left alone."""
    now = [0.0]
    budget = CallBudget(tmp_path, 60, lambda: now[0])
    (tmp_path / "notes").touch()
    for _ in range(50):
        budget.take()
        now[0] += 10.0
    assert len(os.listdir(tmp_path)) == 2


def test_without_a_place_to_count(tmp_path: Path) -> None:
    """Where nothing can be written, calls are made all the same."""
    (tmp_path / "file").touch()
    assert CallBudget(tmp_path / "file" / "calls", 1).take()


def test_the_folder_is_this_users(tmp_path: Path) -> None:
    """The runtime folder where there is one, else a temporary one that names the user."""
    assert budget_dir("Slurm", {"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "hsm" / "calls-slurm"
    assert f"hsm-{os.getuid()}" in str(budget_dir("Slurm", {}))
