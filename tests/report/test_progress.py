"""Progress: lines where nobody looks, a picture where somebody does, and the last word."""

from __future__ import annotations

import io
from pathlib import Path
from typing import List

import pytest

from hsm_core.engine.events import make
from hsm_core.engine.instructions import Finish
from hsm_core.report.progress import Progress
from hsm_core.testing.recorded import RecordedSweep


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Watched:
    """A recorded sweep with its progress on a stream."""

    def __init__(self, project: Path, stream: io.StringIO, total: int = 30) -> None:
        self.sweep = RecordedSweep(project, total=total)
        self.stream = stream
        self.progress = Progress(self.sweep.layout, stream, clock=lambda: self.sweep.now)

    def play(self, index: int, **record: object) -> None:
        self.sweep.play(index, **record)  # type: ignore[arg-type]
        index_and_attempt = (index, 1)
        full = {"state": "completed", "exit_code": 0, **record}
        self.progress.take([make("ended", self.sweep.now, task=index_and_attempt, record=full)])
        self.progress.update(self.sweep.state, self.sweep.now)

    @property
    def lines(self) -> List[str]:
        return self.stream.getvalue().splitlines()


def test_lines_come_when_something_changed_and_not_too_often(tmp_path: Path) -> None:
    """At most a line a second, none without a change, and every ten seconds after the first minute."""
    watched = Watched(tmp_path, io.StringIO())
    watched.play(0)
    for _ in range(5):
        watched.progress.update(watched.sweep.state, watched.sweep.now)
    assert watched.lines == ["1/30 finished: 1 completed, 29 waiting"]
    watched.sweep.wait(60)
    before = len(watched.lines)
    for index in range(1, 21):
        watched.play(index)
    assert len(watched.lines) - before == 2
    watched.sweep.crash()


def test_what_made_way_is_said(tmp_path: Path) -> None:
    """A task that was preempted has a line: it did not fail, and a person wonders why it runs again."""
    watched = Watched(tmp_path, io.StringIO())
    watched.progress.take(
        [make("ended", 1.0, task=(0, 1), again=True, record={"state": "preempted", "reason": "PREEMPTED on n1"})]
    )
    watched.progress.update(watched.sweep.state, watched.sweep.now)
    assert "task_001 preempted: PREEMPTED on n1 (attempt 1; it will run again)" in watched.lines
    watched.sweep.crash()


def test_failures_are_named_then_counted(tmp_path: Path) -> None:
    """The first ten failures have a line with their reason, then one line says that there are more."""
    watched = Watched(tmp_path, io.StringIO())
    for index in range(15):
        watched.play(index, state="failed", exit_code=1, signature="ValueError: <n>")
    named = [line for line in watched.lines if "ValueError" in line]
    assert len(named) == 10
    assert named[0] == "task_001 failed, exit code 1: ValueError: <n>"
    assert sum("further failures" in line for line in watched.lines) == 1
    watched.sweep.crash()


def test_a_source_that_takes_nothing_is_said_once(tmp_path: Path) -> None:
    """However often it is asked again, a person reads each reason once; a task that it rejects is another matter."""
    watched = Watched(tmp_path, io.StringIO())
    for acceptance, reason in [
        ("retry", "sbatch: odd"),
        ("retry", "sbatch: odd"),
        ("limit", "full"),
        ("rejected", "no"),
    ]:
        event = make("refused", 0.0, source="k:a", tasks=[(0, 1)], acceptance=acceptance, reason=reason)
        watched.progress.take([event])
        watched.progress.update(watched.sweep.state, watched.sweep.now)
    assert watched.lines == [
        "k:a takes no tasks now, and is asked again: sbatch: odd",
        "k:a takes no tasks now, and is asked again: full",
    ]
    watched.sweep.crash()


def test_a_burst_of_failures_is_bounded(tmp_path: Path) -> None:
    """A thousand failures in one group print eleven lines."""
    watched = Watched(tmp_path, io.StringIO())
    record = {"state": "failed", "exit_code": 1}
    watched.progress.take([make("ended", 0.0, task=(index, 1), record=record) for index in range(1000)])
    watched.progress.update(watched.sweep.state, 0.0)
    assert len(watched.lines) == 11
    watched.sweep.crash()


def test_a_terminal_gets_a_picture_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 80 columns: bar, counts, pace, sources; lines said meanwhile stand above; the cursor is given back."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    watched = Watched(tmp_path, Terminal())
    for index in range(4):
        watched.play(index)
    watched.progress.say("local: a word")
    watched.progress.stop()
    watched.progress.stop()
    text = watched.stream.getvalue()
    for words in ("4/30 (13%)", "4 completed", "26 waiting", "local 0/2", "local: a word", "ETA 26s"):
        assert words in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    watched.sweep.crash()


def test_a_closed_stream_stops_nothing(tmp_path: Path) -> None:
    """When the terminal is gone the sweep goes on."""
    watched = Watched(tmp_path, io.StringIO())
    watched.stream.close()
    watched.play(0, state="failed", exit_code=1)
    watched.progress.say("a word")
    watched.sweep.crash()


@pytest.mark.parametrize(
    ("records", "finish", "said", "unsaid"),
    [
        ([{}, {}, {}], Finish("completed", "finished"), ["completed: all 3 tasks", "hsm export"], ["failed"]),
        (
            [{}, {"state": "failed", "exit_code": 1}, {}],
            Finish("completed_with_failures", "finished"),
            ["ended with failures: of 3 tasks 2 completed, 1 failed", "hsm logs", "--retry-failed"],
            ["all 3"],
        ),
        (
            [{}],
            Finish("interrupted", "interrupted by SIGINT"),
            ["has stopped early: interrupted by SIGINT.", "1/3", "hsm complete sweep_1"],
            ["all"],
        ),
        ([{}], Finish("held", "10 tasks failed alike"), ["is held: 10 tasks failed alike.", "hsm complete"], ["all"]),
    ],
    ids=["good", "failures", "interrupted", "held"],
)
def test_the_last_word_is_true_and_says_what_to_type(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    records: List[dict],  # type: ignore[type-arg]
    finish: Finish,
    said: List[str],
    unsaid: List[str],
) -> None:
    """What happened, where the results are, the next command; never `all` when something failed or is missing."""
    watched = Watched(tmp_path, io.StringIO(), total=3)
    for index, record in enumerate(records):
        watched.play(index, **record)
    watched.progress.close(watched.sweep.state, finish)
    out = capsys.readouterr().out
    assert all(words in out for words in (*said, "Results: "))
    assert not any(words in out for words in unsaid)
    watched.sweep.crash()
