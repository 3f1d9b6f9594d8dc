"""The views: made from events, the same whoever makes them, cheap to keep, and never in the sweep's way."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_core.engine.events import make
from hsm_core.engine.reduce import replay
from hsm_core.store import summary
from hsm_core.store.journal import Follower, JournalWriter, read
from hsm_core.store.layout import SweepLayout
from hsm_core.store.views import Views, describe, logfiles, views
from hsm_core.testing.recorded import RecordedSweep


def texts(layout: SweepLayout) -> Dict[str, str]:
    """Every view that can be made from the journal alone, by its path."""
    paths = [*layout.logs.rglob("*.*"), layout.mapping]
    return {str(path.relative_to(layout.root)): path.read_text() for path in paths}


def make_again(layout: SweepLayout) -> None:
    """Remove the views and make them from the journal, as the controller after a crash does."""
    for path in [*views.log_paths(layout), *layout.errors.iterdir(), layout.mapping, layout.summary]:
        path.unlink()
    follower = Follower(layout.journal)
    state = replay(follower.new_events())
    with JournalWriter.open(layout.journal, layout.sweep_id, 99, follower.position) as journal:
        Views(layout, state, follower.position, journal).flush(0.0, force=True)


def eventful(project: Path) -> RecordedSweep:
    """A sweep to which everything happens."""
    sweep = RecordedSweep(project, total=12, sources=("local:local", "ssh:big"))
    sweep.play(0)
    sweep.play(1, source="ssh:big")
    sweep.play(2, state="failed", exit_code=1, signature="ValueError: <n>")
    sweep.assign(3, 4, 5)
    sweep.start(3)
    sweep.wait(11)
    again = {"charged": True, "reason": "exit code 2"}
    sweep.end(3, state="failed", exit_code=2, again=again)
    sweep.play(3)
    sweep.commit(
        make("withdrawn", sweep.now, task=(4, 1), reason="its runner died"),
        make("observed", sweep.now, task=(5, 1), kind="held", reason="JobHeldAdmin"),
        make("source", sweep.now, source="ssh:big", health="degraded", reason="slow\nanswers"),
        make("note", sweep.now, text="the disk is nearly full", source="ssh:big"),
        make("measured", sweep.now, source="ssh:big", facts={"load_1m": 0.5}),
        make("barred", sweep.now, source="ssh:big", reason="all fail there", until=sweep.now + 60.0),
        make("held", sweep.now, reason="all fail"),
        make("released", sweep.now, reason="a person"),
        make("paused", sweep.now, reason="a person"),
        make("resumed", sweep.now, reason="a person"),
    )
    sweep.start(5)
    sweep.commit(make("lost", sweep.now, task=(5, 1), reason="NODE_FAIL"))
    tasks = [(6, 1), (7, 1)]
    sweep.commit(
        make("assigned", sweep.now, source="ssh:big", token="t", tasks=tasks),
        make("refused", sweep.now, source="ssh:big", tasks=tasks, acceptance="rejected", reason="no GPU"),
        make("unplaceable", sweep.now, task=(6, 0), reason="no GPU"),
        make("cancelling", sweep.now, tasks=[7, 9]),
    )
    return sweep


def test_views_made_again_equal_those_kept_live(tmp_path: Path) -> None:
    """After a crash at the end, every log and table is made from the journal exactly as the controller wrote it."""
    sweep = eventful(tmp_path)
    sweep.close("interrupted", "SIGTERM")
    live = texts(sweep.layout)
    assert len(live) == 10
    make_again(sweep.layout)
    assert texts(sweep.layout) == live


def test_a_controller_after_a_crash_makes_the_logs_again_and_goes_on(tmp_path: Path) -> None:
    """Lines that a killed controller had not written are there when the next one has let go."""
    sweep = eventful(tmp_path)
    sweep.crash()  # the last lines were not due yet
    assert "cancel" not in sweep.layout.sweep_log.read_text()
    sweep.wait(60)
    (sweep.layout.logs / "controller.log").write_text("not ours")
    sweep.reopen()
    sweep.play(8)
    sweep.close("interrupted", "SIGTERM")
    live = texts(sweep.layout)
    assert live["logs/controller.log"] == "not ours"
    assert "asked to cancel task_008" in live["logs/sweep.log"]
    assert "opened by controller 2" in live["logs/sweep.log"]
    assert "task_008" not in live["logs/errors/failed_tasks.yaml"]
    make_again(sweep.layout)
    assert texts(sweep.layout) == live


def test_a_controller_after_a_good_end_only_appends(tmp_path: Path) -> None:
    """A sweep that is taken up again keeps its logs, byte for byte, and its failures."""
    sweep = eventful(tmp_path)
    sweep.close("interrupted", "SIGTERM")
    before = texts(sweep.layout)
    inode = sweep.layout.sweep_log.stat().st_ino
    sweep.reopen()
    sweep.close("interrupted", "SIGTERM")
    assert sweep.layout.sweep_log.stat().st_ino == inode
    after = texts(sweep.layout)
    assert after["logs/sweep.log"].startswith(before["logs/sweep.log"])
    assert after["logs/errors/failed_tasks.yaml"] == before["logs/errors/failed_tasks.yaml"]
    make_again(sweep.layout)
    assert texts(sweep.layout) == after


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(1, 7), max_size=20))
def test_grouping_of_events_changes_no_line(tmp_path_factory: pytest.TempPathFactory, cuts: List[int]) -> None:
    """The same events in other groups, as the loop happens to commit them, give the same logs."""
    sweep = eventful(tmp_path_factory.mktemp("p"))
    sweep.close("interrupted", "SIGTERM")
    events = list(read(sweep.layout.journal))
    lines: List[List[str]] = []
    for sizes in ([1] * len(events), [*cuts, len(events)]):
        told: List[str] = []
        from hsm_core.engine.state import SweepState
        from hsm_core.store.views.narrator import Narrator

        narrator = Narrator(sweep.layout, SweepState(), lambda line, logs, told=told: told.append(line))  # type: ignore[misc]
        rest = list(events)
        for size in sizes:
            for event in rest[:size]:
                narrator.tell(event)
            del rest[:size]
        lines.append(told)
    assert lines[0] == lines[1]


def test_the_mapping_lists_touched_tasks_and_counts_the_others(tmp_path: Path) -> None:
    """task_mapping.yaml is valid YAML with a line for every task that was given out, and a number for the rest."""
    sweep = eventful(tmp_path)
    sweep.close("interrupted", "SIGTERM")
    mapping = yaml.safe_load(sweep.layout.mapping.read_text())
    assert mapping["total"] == 12
    assert mapping["not_listed"] == {"status": "pending", "tasks": 12 - len(mapping["tasks"])}
    assert mapping["tasks"]["task_001"] == {"source": "local", "status": "completed", "attempt": 1, "exit_code": 0}
    assert mapping["tasks"]["task_002"]["source"] == "big"
    assert mapping["tasks"]["task_006"] == {"source": "local", "status": "lost", "attempt": 1, "exit_code": None}
    assert mapping["tasks"]["task_010"] == {"source": None, "status": "cancelled", "attempt": 0, "exit_code": None}
    for index in range(12):
        name = f"task_{index + 1:03d}"
        listed = mapping["tasks"].get(name, {"status": "pending"})["status"]
        assert listed == sweep.state.state_of(index).value


def test_the_mapping_of_a_fresh_sweep_is_valid(tmp_path: Path) -> None:
    """Nothing given out yet is an empty mapping, not a null."""
    sweep = RecordedSweep(tmp_path)
    sweep.close("interrupted", "SIGTERM")
    assert yaml.safe_load(sweep.layout.mapping.read_text())["tasks"] == {}


@pytest.mark.parametrize("name", ["no", "1", "a b", "[::1]", "ü", "x: y"])
def test_odd_source_names_survive_the_mapping(tmp_path: Path, name: str) -> None:
    """A source's name is the same text after YAML has read it, whatever it looks like."""
    sweep = RecordedSweep(tmp_path, sources=(f"ssh:{name}",))
    sweep.play(0)
    sweep.close("interrupted", "SIGTERM")
    assert yaml.safe_load(sweep.layout.mapping.read_text())["tasks"]["task_001"]["source"] == name


def test_failures_are_listed_and_grouped(tmp_path: Path) -> None:
    """failed_tasks.yaml names the tasks that failed for good; error_patterns.yaml counts every failed attempt."""
    sweep = eventful(tmp_path)
    sweep.close("interrupted", "SIGTERM")
    tasks = yaml.safe_load(sweep.layout.failed_tasks.read_text())["tasks"]
    assert sorted(tasks) == ["task_003", "task_006", "task_007"]
    patterns = yaml.safe_load(sweep.layout.error_patterns.read_text())["patterns"]
    assert {pattern["signature"]: pattern["count"] for pattern in patterns} == {
        "ValueError: <n>": 1,
        "exit code 2": 1,
        "NODE_FAIL": 1,
        "no GPU": 1,
    }


def test_restored_tasks_have_failed_no_longer(tmp_path: Path) -> None:
    """Tasks that are run again leave failed_tasks.yaml."""
    sweep = RecordedSweep(tmp_path)
    sweep.play(0, state="failed", exit_code=1)
    sweep.commit(make("restored", sweep.now, states=["failed"], reason="--retry-failed"))
    sweep.close("interrupted", "SIGTERM")
    assert yaml.safe_load(sweep.layout.failed_tasks.read_text())["tasks"] == {}


def test_metadata_keeps_its_origin_and_gains_an_outcome(tmp_path: Path) -> None:
    """What was written at the start stands, however often the outcome below it is replaced."""
    from hsm_core.store.views import write_metadata

    sweep = RecordedSweep(tmp_path, total=1)
    origin = {"command_line": "hsm run", "note": "quotes ' and \" and\nlines"}
    write_metadata(sweep.layout, origin)
    sweep.close("interrupted", "SIGTERM")
    sweep.reopen()
    sweep.play(0)
    sweep.close()
    metadata = yaml.safe_load(sweep.layout.metadata.read_text())
    outcome = metadata.pop("outcome")
    assert metadata == origin
    assert (outcome["state"], outcome["counts"]) == ("completed", {"completed": 1})


def test_the_summary_stands_for_the_end_of_the_journal(tmp_path: Path) -> None:
    """After a good end the summary says what a replay would, and which position it stands for."""
    sweep = eventful(tmp_path)
    sweep.close("interrupted", "SIGTERM")
    found = summary.read(sweep.layout)
    follower = Follower(sweep.layout.journal)
    facts = describe(replay(follower.new_events()))
    assert found == (facts, follower.position)


def test_no_file_is_rewritten_for_every_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand events within a second cost a handful of writes."""
    sweep = RecordedSweep(tmp_path, total=1000)
    writes: List[Any] = []
    for module, name in ((logfiles, "_append"), (views, "write_atomic"), (summary, "write_atomic")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda path, data, real=real: (writes.append(path), real(path, data)))
    for index in range(500):
        sweep.assign(index)
        sweep.wait(0.002)
    assert len(writes) <= 6 * 5 + 3


class Disk:
    """A disk that can be full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        for module, name in ((logfiles, "_append"), (views, "write_atomic"), (summary, "write_atomic")):
            monkeypatch.setattr(module, name, self._wrap(getattr(module, name)))

    def _wrap(self, real: Any) -> Any:
        def write(*args: Any, **kwargs: Any) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(*args, **kwargs)

        return write


@pytest.mark.parametrize("bound", [10, 50_000], ids=["beyond what is kept", "within what is kept"])
def test_a_full_disk_stops_nobody_and_loses_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    """Lines that the disk did not take are written later, or made again from the journal; nothing is raised."""
    monkeypatch.setattr(logfiles, "_MAX_WAITING", bound)
    disk = Disk(monkeypatch)
    sweep = RecordedSweep(tmp_path, total=30)
    sweep.play(0)
    disk.full = True
    for index in range(1, 20):
        sweep.play(index)
        sweep.wait(6)
    disk.full = False
    for index in range(20, 30):
        sweep.play(index)
    sweep.close()
    live = texts(sweep.layout)
    make_again(sweep.layout)
    assert texts(sweep.layout) == live
    assert live["logs/task_assignments.log"].count("\n") == 30


def test_a_disk_full_at_the_end_leaves_a_summary_that_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the last views could not be written, the summary's position says so, and the next controller mends them."""
    disk = Disk(monkeypatch)
    sweep = RecordedSweep(tmp_path)
    sweep.play(0)
    disk.full = True
    sweep.close("interrupted", "disk full")
    disk.full = False
    found = summary.read(sweep.layout)
    follower = Follower(sweep.layout.journal)
    list(follower.new_events())
    assert found is None or found[1] != follower.position
    sweep.reopen()
    sweep.close("interrupted", "SIGTERM")
    live = texts(sweep.layout)
    assert live["logs/sweep.log"].count("closed") == 2
    make_again(sweep.layout)
    assert texts(sweep.layout) == live


def test_a_short_write_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes a part of a write, then nothing, has that part cut off again."""
    log = tmp_path / "a.log"
    files = logfiles.LogFiles()
    files.add("first\n", (str(log),))
    files.flush()
    real, calls = logfiles.os.write, []

    def write(fd: int, data: Sequence[int]) -> int:
        calls.append(fd)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, bytes(data[:3]))

    files.add("second\n", (str(log),))
    with monkeypatch.context() as patch:
        patch.setattr(logfiles.os, "write", write)
        with pytest.raises(OSError, match="No space"):
            files.flush()
    assert log.read_text() == "first\n"
    files.flush()
    assert log.read_text() == "first\nsecond\n"


def test_words_of_others_cannot_break_a_line(tmp_path: Path) -> None:
    """Newlines and control characters in reasons and notes do not make lines, or colours, of their own."""
    sweep = RecordedSweep(tmp_path)
    sweep.commit(make("note", sweep.now, text="one\ntwo\x1b[31m three" + "x" * 1000))
    sweep.close("interrupted", "SIGTERM")
    log = sweep.layout.sweep_log.read_text()
    assert "\x1b" not in log
    assert all("[" in line and len(line) < 400 for line in log.splitlines())


def test_two_sources_of_one_name_have_two_logs(tmp_path: Path) -> None:
    """The second source of a name gets its log under its whole id."""
    sweep = RecordedSweep(tmp_path, sources=("ssh:big", "slurm:big"))
    sweep.close("interrupted", "SIGTERM")
    assert sorted(path.name for path in sweep.layout.source_logs.iterdir()) == ["big.log", "slurm_big.log"]
