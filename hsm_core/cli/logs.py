"""`hsm logs`: what a task printed, whole, or as it comes."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import BinaryIO, Dict, Optional, Tuple

import click

from ..errors import NotFoundError
from ..report.reading import open_sweep
from ..runner.runner import read_status
from ..store.layout import SweepLayout, task_id, task_index
from ..store.lease import holder
from .choose import sweep_and_task, task_arguments

__all__ = ["logs"]

_FOLLOW_EVERY_S = 0.2
_BLOCK = 1 << 16
_FILES = ("stdout", "stderr")


@click.command()
@task_arguments
@click.option("--follow", "-f", is_flag=True, help="Go on printing until the task has ended.")
@click.option("--stdout", "streams", flag_value="stdout", help="Only its standard output.")
@click.option("--stderr", "streams", flag_value="stderr", help="Only its standard error.")
@click.option("--attempt", type=click.IntRange(1), help="An earlier attempt of a task that ran more than once.")
def logs(words: Tuple[str, ...], follow: bool, streams: Optional[str], attempt: Optional[int]) -> None:
    """Show what a task printed. TASK is task_007, or 7; without an ID, of the latest sweep."""
    layout, task = sweep_and_task(words)
    name = _task_name(layout, task)
    printer = _Printer(layout, name, _FILES if streams is None else (streams,), attempt)
    if not follow:
        printer.print_new()
        printer.complain_if_nothing()
        return
    while True:
        over = printer.is_over()  # asked before reading, so that nothing written before the end is missed
        printer.print_new()
        if over:
            printer.complain_if_nothing()
            return
        time.sleep(_FOLLOW_EVERY_S)


def _task_name(layout: SweepLayout, task: str) -> str:
    """The task's id. Its folder tells the number of digits without reading the sweep."""
    if re.fullmatch("task_[0-9]+", task) and layout.task_dir(task).is_dir():
        return task
    total = open_sweep(layout).total
    return task_id(task_index(task, total), total)


class _Printer:
    """Copies a task's output files to ours, from where it stopped the last time."""

    def __init__(self, layout: SweepLayout, name: str, streams: Tuple[str, ...], attempt: Optional[int]) -> None:
        self._layout = layout
        self._name = name
        self._streams = streams
        self._attempt = attempt
        self._offsets: Dict[Path, int] = {}
        self._headed = ""
        self._folder = self._find_folder()

    def _find_folder(self) -> Path:
        """Where the attempt's files are: in the task's folder those of the newest, the others in attempts/N."""
        folder = self._layout.task_dir(self._name)
        if self._attempt is None:
            return folder
        archived = folder / "attempts" / str(self._attempt)
        if archived.is_dir():
            return archived
        newest = read_status(str(folder / "status.yaml")).get("attempt", 1)
        if self._attempt == newest:
            return folder
        raise NotFoundError(
            f"{self._name} has no attempt {self._attempt}; the newest is {newest}",
            f"see: hsm explain {self._layout.sweep_id} {self._name}",
        )

    def print_new(self) -> None:
        """Print what has been added."""
        for stream in self._streams:
            path = self._folder / f"{stream}.log"
            try:
                with open(path, "rb") as file:
                    offset = self._offsets.get(path, 0)
                    # A file that has shrunk is the next attempt's.
                    file.seek(offset if offset <= os.fstat(file.fileno()).st_size else 0)
                    self._copy(file, stream)
                    self._offsets[path] = file.tell()
            except FileNotFoundError:
                continue
        sys.stdout.flush()

    def _copy(self, file: BinaryIO, stream: str) -> None:
        block = file.read(_BLOCK)
        if block and len(self._streams) > 1 and self._headed != stream:
            click.echo(f"==> {stream} <==")
            sys.stdout.flush()
            self._headed = stream
        while block:
            # Bytes as they are: what a program prints need not be text.
            sys.stdout.buffer.write(block)
            block = file.read(_BLOCK)

    def is_over(self) -> bool:
        """Whether nothing more can come: the attempt has ended, or nobody is left to run it."""
        status = read_status(str(self._folder / "status.yaml"))
        if status.get("state") not in (None, "running"):
            return True
        return not status and holder(self._layout) is None

    def complain_if_nothing(self) -> None:
        """An empty answer needs a word: it printed nothing, or it never ran. :raises NotFoundError: it never ran."""
        if not self._offsets:
            raise NotFoundError(
                f"{self._name} has printed nothing: it has not started",
                f"see: hsm explain {self._layout.sweep_id} {self._name}",
            )
        if not any(self._offsets.values()):
            click.echo(f"{self._name} has printed nothing so far.", err=True)
