"""`hsm simulate`, typed: what it says, what it assumes, and what it answers to what cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from hsm_core.testing.recorded import RecordedSweep

Type = Callable[..., Any]

CONFIG = """\
project: {script: train.py}
sources:
  lab: {kind: local, slots: 8, forecast: {speed: 4, queue_wait: 30}}
  other: {kind: local, slots: 2}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of sixty tasks, with two sources in its configuration."""
    (tmp_path / "hsm_config.yaml").write_text(CONFIG)
    (tmp_path / "train.py").write_text("")
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "sweep_config.yaml").write_text(f"grid: {{x: {list(range(60))}}}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def facts(type_hsm: Type, *words: str) -> Any:
    """The answer as JSON."""
    answer = type_hsm("simulate", "--json", *words)
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_every_strategy_is_compared(type_hsm: Type, project: Path) -> None:
    """The fastest first, none faster than the bound, every task done; nothing is written and nothing is run."""
    before = sorted(project.rglob("*"))
    found = facts(type_hsm, "--sources", "lab,other", "--duration", "10m", "--strategy", "round_robin")
    names = [one["strategy"] for one in facts(type_hsm, "--sources", "lab,other", "--duration", "10m")["strategies"]]
    assert {"fastest", "least_loaded", "random", "round_robin"} <= set(names)
    (only,) = found["strategies"]
    assert only["completed"] == found["total"] == 60
    assert only["makespan_s"] >= found["at_best_s"]
    assert sum(source["attempts"] for source in only["sources"]) == 60
    assert sorted(project.rglob("*")) == before


def test_the_configuration_is_assumed(type_hsm: Type, project: Path) -> None:
    """Slots, speed and queue wait of a source; an option comes first."""
    assumed = facts(type_hsm, "--sources", "lab,other:3", "--duration", "10m")["assumed"]
    assert assumed["run_time_s"] == 600.0
    lab, other = assumed["sources"]
    assert (lab["slots"], lab["speed"], lab["queue_wait_s"]) == (8, 4.0, pytest.approx(30.0))
    assert (other["slots"], other["speed"], other["queue_wait_s"]) == (3, 1.0, 0.0)
    words = ["--speed", "lab=2", "--queue-wait", "local:lab=1m", "--failure-rate", "5%", "--failure-rate", "other=0.5"]
    lab, other = facts(type_hsm, "--sources", "lab,other", "--duration", "10m", *words)["assumed"]["sources"]
    assert (lab["speed"], lab["queue_wait_s"], lab["failure_rate"]) == (2.0, pytest.approx(60.0), 0.05)
    assert other["failure_rate"] == 0.5


def test_a_person_reads_a_table(type_hsm: Type, project: Path) -> None:
    """How long, how near to the best, what ran where, and what to type if another strategy is faster."""
    answer = type_hsm("simulate", "--sources", "lab,other", "--duration", "5m..20m", "--strategy", "round_robin")
    assert answer.code == 0
    for words in (
        "60 tasks, each 5m 00s to 20m 00s",
        "round_robin *",
        "At best",
        "With round_robin:",
        "lab",
        "Begun now",
    ):
        assert words in answer.out
    answer = type_hsm("simulate", "--sources", "other:4,lab", "--duration", "10m", "--max-tasks", "40")
    assert "hsm run --strategy fastest" in answer.out


def test_the_same_seed_gives_the_same_answer(type_hsm: Type, project: Path) -> None:
    """And another seed another world."""
    words = ["--sources", "lab", "--duration", "5m..20m"]
    assert facts(type_hsm, *words) == facts(type_hsm, *words)
    assert facts(type_hsm, *words, "--seed", "1") != facts(type_hsm, *words)


def test_what_nobody_said_is_said_to_be_assumed(type_hsm: Type, project: Path) -> None:
    """The number of slots that a source chose itself."""
    answer = type_hsm("simulate", "--duration", "10m")
    assert "assumed: local:local runs 4 at once: say how many with local:N" in answer.err


def test_of_a_large_sweep_the_first_tasks_are_simulated(
    type_hsm: Type, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it says so."""
    monkeypatch.setattr("hsm_core.report.forecast.SIMULATED", 20)
    answer = type_hsm("simulate", "--sources", "local:1", "--duration", "10m", "--strategy", "round_robin")
    assert "The first 20 were simulated" in answer.out
    assert "10h 00m" in answer.out


def test_run_times_of_an_earlier_sweep(type_hsm: Type, project: Path) -> None:
    """The latest that has any is taken, and named; the dry run has its short form."""
    assert "Forecast" not in type_hsm("run", "--dry-run").out
    sweep = RecordedSweep(project, total=4)
    for index in range(4):
        sweep.play(index)
    sweep.close()
    answer = type_hsm("simulate")
    assert answer.code == 0
    assert "as in sweep_1" in answer.err
    assert "Forecast: about" in type_hsm("run", "--dry-run").out
    assert type_hsm("simulate", "--like", "sweep_1").code == 0
    assert type_hsm("simulate", "--like", "nothing").code == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing is known of how long a task runs"),
        (["--duration", "10m", "--like", "x"], "leave one of them out"),
        (["--duration", "soon"], "not a duration"),
        (["--duration", "0"], "not a positive time"),
        (["--duration", "20m..10m"], "the shorter first"),
        (["--duration", "10m", "--speed", "lab"], "is not SOURCE=FACTOR"),
        (["--duration", "10m", "--speed", "lab=-1"], "above 0"),
        (["--duration", "10m", "--speed", "lab=2"], "no source 'lab'"),
        (["--duration", "10m", "--failure-rate", "150%"], "from 0 to 1"),
        (["--duration", "10m", "--queue-wait", "10m"], "is not SOURCE=TIME"),
        (["--duration", "10m", "--strategy", "quickest"], "no strategy 'quickest'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(type_hsm: Type, project: Path, words: list[str], said: str) -> None:
    """With what to do about it, and exit code 2."""
    answer = type_hsm("simulate", *words)
    assert answer.code == 2
    assert said in answer.err
    assert answer.out == ""
    assert "Traceback" not in answer.err
