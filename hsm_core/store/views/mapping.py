"""task_mapping.yaml: one line for every task that was ever given out, written piece by piece.

A hundred thousand lines take a third of a second, in which tasks would wait; so a rewrite is spread over many calls.
Each line is true at the moment when it is written, the header at the moment when the rewrite began.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import Dict, Iterator, Optional

from ...engine.state import SweepState
from ...flatyaml import plain_text, value_text
from ..files import unique
from ..layout import SweepLayout, task_id
from .names import short_names

__all__ = ["MappingWrite", "mapping_lines"]

_LINES_A_STEP = 1500


class MappingWrite:
    """One rewrite of the file, under way."""

    def __init__(self, layout: SweepLayout, state: SweepState) -> None:
        self._path = layout.mapping
        self._temporary = layout.mapping.with_name(f".task_mapping.{unique()}.tmp")
        self._lines = mapping_lines(state)
        self._file = open(self._temporary, "x", encoding="utf-8")  # noqa: SIM115

    def step(self, to_the_end: bool = False) -> bool:
        """Write some lines, or all the rest; True when the file is in place. :raises OSError: give it up then."""
        if to_the_end:
            self._file.writelines(self._lines)
        else:
            lines = list(itertools.islice(self._lines, _LINES_A_STEP))
            self._file.writelines(lines)
            if len(lines) == _LINES_A_STEP:
                return False
        self._file.close()
        os.replace(self._temporary, self._path)
        return True

    def give_up(self) -> None:
        """Leave the old file as it is."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink()


def mapping_lines(state: SweepState) -> Iterator[str]:
    """The lines of the file. Tasks that were never touched are counted, not listed."""
    touched = state.cursor + state.outcomes.count_from(state.cursor)
    untouched = "cancelled" if state.rest_cancelled else "pending"
    yield "# Where every task that was given out stands. A view of the journal: edits are lost.\n"
    yield f"sweep_id: {value_text(state.sweep_id)}\n"
    yield f"state: {state.sweep_state()}\n"
    yield f"total: {state.total}\n"
    yield f"not_listed: {{status: {untouched}, tasks: {state.total - touched}}}\n"
    yield "tasks:\n" if touched else "tasks: {}\n"
    yield from _task_lines(state)


def _task_lines(state: SweepState) -> Iterator[str]:
    sources: Dict[int, str] = {-1: "null"}
    by_id: Dict[str, str] = {"": "null"}
    short = short_names(state.sources)
    for known in state.sources.values():
        by_id[known.id] = sources[known.number] = plain_text(short[known.id])
    total, cursor, outcomes, live = state.total, state.cursor, state.outcomes, state.live
    beyond = (index for index in outcomes.indices() if index >= cursor) if outcomes.count_from(cursor) else ()
    for index in itertools.chain(range(cursor), beyond):
        outcome = outcomes.get(index)
        if outcome is not None:
            code = _code(outcome.exit)
            # A source that was met after the rewrite began has no name here yet.
            source = sources.get(outcome.source, "null")
            status = outcome.state.value
            attempt = outcome.attempt
        else:
            task = live.get(index)
            if task is None:
                continue
            code = "null"
            source = by_id.get(task.source, "null")
            status = task.state.value
            attempt = task.attempt
        row = f"source: {source}, status: {status}, attempt: {attempt}, exit_code: {code}"
        yield f"  {task_id(index, total)}: {{{row}}}\n"


def _code(exit: Optional[int]) -> str:
    return "null" if exit is None else str(exit)
