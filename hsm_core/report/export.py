"""Writing rows as csv, JSON, JSON lines or Parquet, one after the other."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Sequence

from ..engine.state import SweepState
from ..errors import HsmError, NotFoundError, StoreError
from ..space import Space
from ..store.files import unique
from ..store.layout import SweepLayout
from .rows import FIXED, Row, metric_names, rows

__all__ = ["FORMATS", "export"]

_BATCH = 4096


def export(layout: SweepLayout, state: SweepState, space: Space, format: str, output: BinaryIO) -> None:
    """Write one row a task.

    :param format: one of `FORMATS`.
    :raises HsmError: the format needs a package that is not installed.
    """
    _WRITERS[format](layout, state, space, output)


def columns(layout: SweepLayout, state: SweepState, space: Space) -> List[str]:
    """All columns of a table, for the formats that say them first: every metrics file is read for this."""
    names = [f"param.{name}" for name in space.names]
    return [*FIXED, *names, *(f"metric.{name}" for name in metric_names(layout, state))]


def _csv(layout: SweepLayout, state: SweepState, space: Space, output: BinaryIO) -> None:
    import csv
    import io

    text = io.TextIOWrapper(output, encoding="utf-8", errors="backslashreplace", newline="")
    names = columns(layout, state, space)
    # A metric that turns up between the two passes of an export mid-run has no column yet.
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows(layout, state, space):
        writer.writerow({name: _cell(value) for name, value in row.items()})
    text.flush()
    text.detach()


def _cell(value: Any) -> Any:
    """A value for a csv cell: text as it is, nothing for null, lists and the like as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, list, dict, tuple)):
        return json.dumps(value, ensure_ascii=False)
    return value


def _jsonl(layout: SweepLayout, state: SweepState, space: Space, output: BinaryIO) -> None:
    for row in rows(layout, state, space):
        output.write(_json(row) + b"\n")


def _json_list(layout: SweepLayout, state: SweepState, space: Space, output: BinaryIO) -> None:
    separator = b"[\n"
    for row in rows(layout, state, space):
        output.write(separator + _json(row))
        separator = b",\n"
    output.write(b"\n]\n")


def _json(row: Row) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, UnicodeEncodeError):
        # A program's own metrics may hold NaN, which is no JSON, or half a character.
        return json.dumps({key: _tame(value) for key, value in row.items()}).encode()


def _tame(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0:
        return None
    if isinstance(value, (list, tuple)):
        return [_tame(item) for item in value]
    if isinstance(value, dict):
        return {key: _tame(item) for key, item in value.items()}
    return value


def _parquet(layout: SweepLayout, state: SweepState, space: Space, output: BinaryIO) -> None:
    from importlib import import_module

    try:
        pyarrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError:
        raise HsmError("parquet needs a package that is not installed: pyarrow", "pip install pyarrow") from None
    names = columns(layout, state, space)
    schema = pyarrow.schema([(name, _arrow_type(pyarrow, kind)) for name, kind in _kinds(layout, state, space, names)])
    with parquet.ParquetWriter(output, schema) as writer:
        for batch in _batches(rows(layout, state, space)):
            table = {
                field.name: pyarrow.array([_as(row.get(field.name), field.type, pyarrow) for row in batch], field.type)
                for field in schema
            }
            writer.write_table(pyarrow.table(table, schema=schema))


def _batches(all_rows: Iterator[Row]) -> Iterator[List[Row]]:
    batch: List[Row] = []
    for row in all_rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _kinds(layout: SweepLayout, state: SweepState, space: Space, names: Sequence[str]) -> Iterator[Any]:
    """(column, kind) with the narrowest kind that holds all of its values: a column has one type."""
    kinds: Dict[str, Optional[str]] = dict.fromkeys(names)
    for row in rows(layout, state, space):
        for name, value in row.items():
            if value is not None and name in kinds:
                kinds[name] = _wider(kinds[name], _kind(value))
    return iter([(name, kind or "text") for name, kind in kinds.items()])


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "float"
    return "float" if isinstance(value, float) else "text"


def _wider(one: Optional[str], other: str) -> str:
    if one is None or one == other:
        return other
    return "float" if {one, other} == {"int", "float"} else "text"


def _arrow_type(pyarrow: Any, kind: str) -> Any:
    return {"bool": pyarrow.bool_, "int": pyarrow.int64, "float": pyarrow.float64, "text": pyarrow.string}[kind]()


def _as(value: Any, type: Any, pyarrow: Any) -> Any:
    if value is None:
        return None
    if type == pyarrow.string():
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return float(value) if type == pyarrow.float64() else value


_WRITERS: Dict[str, Callable[[SweepLayout, SweepState, Space, BinaryIO], None]] = {
    "csv": _csv,
    "json": _json_list,
    "jsonl": _jsonl,
    "parquet": _parquet,
}

FORMATS = tuple(_WRITERS)
"""What an export can be written as."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when it is whole.

    :raises NotFoundError: its folder is not there or cannot be written.
    :raises StoreError: the disk does not take it; an old file stands.
    """
    temporary = path.with_name(f".{path.name}.{unique()}.tmp")
    try:
        file = open(temporary, "xb")  # noqa: SIM115
    except OSError as error:
        raise NotFoundError(f"cannot write {path}: {error.strerror}", "name another file with --output") from error
    try:
        with file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}", "make room, or name another file") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
