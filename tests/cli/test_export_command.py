"""`hsm export`: one row a task, in every format, whatever programs leave behind."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from hsm_core.report.rows import FIXED
from hsm_core.testing.recorded import RecordedSweep

Type = Callable[..., Any]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordedSweep:
    """Four tasks, mid-run: one good, one failed, one running, one that waits."""
    monkeypatch.chdir(tmp_path)
    sweep = RecordedSweep(tmp_path, total=4)
    sweep.play(0)
    sweep.write(0, "metrics.json", '{"loss": 0.5, "by": {"class": {"a": 1}}, "tags": ["x", "y"]}')
    sweep.play(1, state="failed", exit_code=None, signal=9)
    sweep.write(1, "metrics.jsonl", '{"loss": 2}\n{"loss": 1, "epoch": 2}\n{"loss": tor')
    sweep.assign(2)
    sweep.start(2)
    return sweep


def jsonl(type_hsm: Type) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in type_hsm("export", "sweep_1", "--format", "jsonl").out.splitlines()]


def test_rows_are_in_index_order_with_the_promised_columns(type_hsm: Type, sweep: RecordedSweep) -> None:
    """Every task has a row, finished or not, and the fixed columns come first, in their order."""
    rows = jsonl(type_hsm)
    assert [row["task_id"] for row in rows] == ["task_001", "task_002", "task_003", "task_004"]
    assert [row["state"] for row in rows] == ["completed", "failed", "running", "pending"]
    assert all(list(row)[: len(FIXED)] == list(FIXED) for row in rows)
    assert rows[0] == {
        "task_id": "task_001",
        "state": "completed",
        "attempt": 1,
        "source": "local:local",
        "exit_code": 0,
        "started_at": 1_700_000_000.0,
        "finished_at": 1_700_000_001.0,
        "duration_s": 1.0,
        "max_rss_mb": 20.0,
        "param.x": 0,
        "metric.loss": 0.5,
        "metric.by.class.a": 1,
        "metric.tags": ["x", "y"],
    }
    assert rows[1]["exit_code"] == -9
    assert rows[3]["attempt"] == 0


def test_the_last_whole_line_of_metrics_jsonl_counts(type_hsm: Type, sweep: RecordedSweep) -> None:
    """A torn last line, of a program that was killed while it wrote, is passed over."""
    row = jsonl(type_hsm)[1]
    assert (row["metric.loss"], row["metric.epoch"]) == (1, 2)


def test_csv_has_the_union_of_all_metrics(type_hsm: Type, sweep: RecordedSweep) -> None:
    """Columns are the fixed ones, parameters, and every metric of any task; what a task lacks is empty."""
    rows = list(csv.DictReader(io.StringIO(type_hsm("export", "sweep_1", "--format", "csv").out)))
    assert list(rows[0]) == [
        *FIXED,
        "param.x",
        "metric.loss",
        "metric.by.class.a",
        "metric.tags",
        "metric.epoch",
    ]
    assert json.loads(rows[0]["metric.tags"]) == ["x", "y"]
    assert (rows[0]["metric.epoch"], rows[3]["source"]) == ("", "")


def test_json_is_a_list_of_the_same_rows(type_hsm: Type, sweep: RecordedSweep) -> None:
    """The formats differ in form alone."""
    assert json.loads(type_hsm("export", "sweep_1", "--format", "json").out) == jsonl(type_hsm)


@pytest.mark.parametrize(
    "text",
    ["", "garbage", "[1, 2]", "null", "\x00", '{"a":' * 3000, "ÿ", '{"a": 1}x'],
    ids=["empty", "garbage", "list", "null", "nul", "deep", "not utf-8", "trailing"],
)
def test_metrics_that_are_no_object_are_no_metrics(type_hsm: Type, sweep: RecordedSweep, text: str) -> None:
    """Whatever a program leaves in metrics.json, the export goes on without it."""
    (sweep.layout.task_dir("task_001") / "metrics.json").write_bytes(text.encode("latin-1"))
    assert not any(key.startswith("metric.") for key in jsonl(type_hsm)[0])


def test_odd_metrics_stay_json_and_csv(type_hsm: Type, sweep: RecordedSweep) -> None:
    """NaN becomes null in JSON, half a character does not break the table, a formula stays text."""
    sweep.write(0, "metrics.json", '{"n": NaN, "half": "\\ud800", "deep": [{"n": Infinity}], "text": "a,\\"b\\"\\nc"}')
    row = jsonl(type_hsm)[0]
    assert (row["metric.n"], row["metric.deep"], row["metric.text"]) == (None, [{"n": None}], 'a,"b"\nc')
    answer = type_hsm("export", "sweep_1")
    assert answer.code == 0
    cells = next(csv.DictReader(io.StringIO(answer.out)))
    assert math.isnan(float(cells["metric.n"]))
    assert cells["metric.text"] == 'a,"b"\nc'


def test_output_is_replaced_as_a_whole(type_hsm: Type, sweep: RecordedSweep, tmp_path: Path) -> None:
    """The format follows the file's ending; nothing is printed; no temporary file stays."""
    (tmp_path / "out.jsonl").write_text("old")
    answer = type_hsm("export", "sweep_1", "--output", "out.jsonl")
    assert (answer.code, answer.out) == (0, "")
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_an_impossible_output_is_one_clear_line(type_hsm: Type, sweep: RecordedSweep) -> None:
    """A folder that is not there: exit 3 and the remedy."""
    answer = type_hsm("export", "sweep_1", "-o", "nowhere/out.csv")
    assert (answer.code, answer.err.count("\n")) == (3, 2)
    assert "--output" in answer.err


def test_parquet_needs_a_file_and_its_package(type_hsm: Type, sweep: RecordedSweep) -> None:
    """Without pyarrow the pip command is named; without a file it is a usage error; nothing is left behind."""
    assert type_hsm("export", "sweep_1", "--format", "parquet").code == 2
    answer = type_hsm("export", "sweep_1", "-o", "out.parquet")
    if importlib.util.find_spec("pyarrow") is None:
        assert "pip install pyarrow" in answer.err
        assert not Path("out.parquet").exists()
    else:
        import pyarrow.parquet

        table = pyarrow.parquet.read_table("out.parquet")
        assert table.column("metric.loss").to_pylist() == [0.5, 1.0, None, None]
        assert table.column("param.x").to_pylist() == [0, 1, 2, 3]


def test_memory_stays_flat(type_hsm: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand tasks that were never touched stream by: rows are made and forgotten one at a time."""
    monkeypatch.chdir(tmp_path)
    sweep = RecordedSweep(tmp_path, total=10_000)
    sweep.close("interrupted")
    type_hsm("export", "sweep_1", "-o", "warm.jsonl")
    tracemalloc.start()
    type_hsm("export", "sweep_1", "-o", "out.jsonl")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert Path("out.jsonl").stat().st_size > 1_500_000
    # The sweep file of this test lists its 10,000 values, so most of this is the YAML reader's.
    assert peak < 40e6
