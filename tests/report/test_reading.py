"""Reading a sweep: quick where the summary is good, right where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_core.errors import NotFoundError
from hsm_core.report import reading
from hsm_core.report.reading import open_sweep
from hsm_core.store.sweeps import create
from hsm_core.testing.recorded import RecordedSweep


@pytest.fixture
def no_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that reads the journal."""

    def replay(layout: object) -> None:
        raise AssertionError("the summary would have done")

    monkeypatch.setattr(reading, "_replay", replay)


@pytest.mark.usefixtures("no_replay")
def test_a_finished_sweep_is_read_from_its_summary(tmp_path: Path) -> None:
    """A sweep that was let go in order costs one small file."""
    sweep = RecordedSweep(tmp_path)
    sweep.play(0)
    sweep.close("interrupted")
    assert open_sweep(sweep.layout).facts["counts"]["completed"] == 1


@pytest.mark.usefixtures("no_replay")
def test_a_living_controllers_summary_is_believed(tmp_path: Path) -> None:
    """While a controller is at work, its summary of a second ago will do."""
    sweep = RecordedSweep(tmp_path)
    sweep.wait(2)
    sweep.assign(0)
    sweep.start(0)  # not in the summary yet
    found = open_sweep(sweep.layout, now=sweep.now + 5)
    assert (found.facts["state"], found.is_active) == ("running", True)
    sweep.crash()


def test_a_dead_controllers_late_summary_is_not(tmp_path: Path) -> None:
    """After a crash the journal decides: what the summary had not seen is there."""
    sweep = RecordedSweep(tmp_path)
    sweep.play(0)
    sweep.crash()
    found = open_sweep(sweep.layout)
    assert found.facts["counts"]["completed"] == 1
    assert (found.facts["state"], found.is_active) == ("interrupted", False)


def test_an_earlier_controllers_summary_is_not(tmp_path: Path) -> None:
    """A controller that has just taken the sweep up is seen before it has written a summary of its own."""
    sweep = RecordedSweep(tmp_path)
    sweep.close("interrupted")
    old = sweep.layout.summary.read_bytes()
    sweep.reopen()
    sweep.layout.summary.write_bytes(old)
    assert open_sweep(sweep.layout).facts["state"] == "running"
    sweep.crash()


def test_a_summary_far_behind_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller that cannot write its summary, for a full disk, does not make the readers tell old news."""
    monkeypatch.setattr(reading, "_MAX_LAG", 50)
    sweep = RecordedSweep(tmp_path)
    sweep.play(0)
    assert open_sweep(sweep.layout).facts["counts"]["completed"] == 1
    sweep.crash()


def test_summary_and_journal_agree(tmp_path: Path) -> None:
    """Both ways to read a sweep give the same facts."""
    sweep = RecordedSweep(tmp_path)
    sweep.play(0, state="failed", exit_code=3)
    sweep.close("interrupted", "SIGTERM")
    from_summary = open_sweep(sweep.layout).facts
    sweep.layout.summary.unlink()
    assert open_sweep(sweep.layout).facts == from_summary


def test_a_sweep_that_never_began_is_not_found(tmp_path: Path) -> None:
    """A folder without a journal, left by a crash at the very start, is one clear line."""
    sweep = RecordedSweep(tmp_path)
    empty = type(sweep.layout)(sweep.layout.root.parent / "empty")
    create(empty)
    with pytest.raises(NotFoundError, match="never begun"):
        open_sweep(empty)
    sweep.crash()
