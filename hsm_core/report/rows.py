"""The rows of an export: one a task in index order, made one at a time, so that any number of tasks fits in memory."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ..contract import TaskState
from ..engine.state import SweepState
from ..space import Space
from ..store.layout import SweepLayout, task_id

__all__ = ["FIXED", "Row", "metric_names", "read_metrics", "rows"]

Row = Dict[str, Any]

FIXED = (
    "task_id",
    "state",
    "attempt",
    "source",
    "exit_code",
    "started_at",
    "finished_at",
    "duration_s",
    "max_rss_mb",
)
"""The columns that every export has, in this order, before `param.NAME` and `metric.NAME`."""

_MAX_METRICS = 16 << 20
_TAIL = 1 << 16


def rows(layout: SweepLayout, state: SweepState, space: Space) -> Iterator[Row]:
    """Every task's row; metrics only for tasks that ran. Times are Unix seconds by the clock of the task's host."""
    sources = {source.number: source.id for source in state.sources.values()}
    for index in range(state.total):
        name = task_id(index, state.total)
        row, ran = _facts(state, index, name, sources)
        for key, value in space.params(index).items():
            row[f"param.{key}"] = value
        if ran:
            for key, value in read_metrics(layout, name).items():
                row[f"metric.{key}"] = value
        yield row


def metric_names(layout: SweepLayout, state: SweepState) -> List[str]:
    """The names of all metrics of all tasks, in the order in which tasks first have them: reads every metrics file."""
    names: Dict[str, None] = {}
    for index in range(state.total):
        if _may_have_run(state, index):
            names.update(dict.fromkeys(read_metrics(layout, task_id(index, state.total))))
    return list(names)


def _may_have_run(state: SweepState, index: int) -> bool:
    return index in state.outcomes or index in state.live


def _facts(state: SweepState, index: int, name: str, sources: Mapping[int, str]) -> Tuple[Row, bool]:
    row: Row = dict.fromkeys(FIXED)
    row["task_id"] = name
    outcome = state.outcomes.get(index)
    if outcome is None:
        task = state.live.get(index)
        row["state"] = state.state_of(index).value
        row["attempt"] = task.attempt if task is not None else 0
        if task is not None:
            row["source"] = task.source or None
            if task.state is TaskState.RUNNING:
                row["started_at"] = task.facts.get("at")
        return row, task is not None and task.attempt > 0
    row["state"] = outcome.state.value
    row["attempt"] = outcome.attempt
    row["source"] = sources.get(outcome.source)
    row["exit_code"] = outcome.exit
    if outcome.started_at:
        row["started_at"] = outcome.started_at
        row["finished_at"] = outcome.started_at + outcome.duration_s
        row["duration_s"] = outcome.duration_s
        row["max_rss_mb"] = round(outcome.max_rss_mb, 3) or None
    return row, outcome.attempt > 0


def read_metrics(layout: SweepLayout, name: str) -> Dict[str, Any]:
    """What a task left in metrics.json, or in the last whole line of metrics.jsonl; nested names joined by dots.

    A file that is not there, not yet whole, or no JSON object gives nothing: a program may write what it likes.
    """
    folder = os.path.join(layout.tasks, name)
    found = _load(_whole(os.path.join(folder, "metrics.json")))
    if found is None:
        for line in reversed(_last_lines(os.path.join(folder, "metrics.jsonl"))):
            found = _load(line)
            if found is not None:
                break
    flat: Dict[str, Any] = {}
    if found is not None:
        _flatten(found, "", flat)
    return flat


def _load(text: Optional[bytes]) -> Optional[Dict[str, Any]]:
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _whole(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_METRICS)
    except OSError:
        return None


def _last_lines(path: str) -> List[bytes]:
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            return file.read().splitlines()
    except OSError:
        return []


def _flatten(value: Mapping[str, Any], prefix: str, into: Dict[str, Any]) -> None:
    for key, item in value.items():
        if isinstance(item, dict) and item:
            _flatten(item, f"{prefix}{key}.", into)
        else:
            into[f"{prefix}{key}"] = item
