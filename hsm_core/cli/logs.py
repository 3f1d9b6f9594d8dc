"""`hsm logs`: what a task printed, whole, or as it comes."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Callable, Dict, Mapping, Optional, Tuple

import click

from ..errors import NoSourceError, NotFoundError
from ..report.reading import open_sweep
from ..runner.runner import read_status
from ..store.layout import SweepLayout, task_id, task_index
from ..store.lease import holder
from .choose import sweep_and_task, task_arguments

if TYPE_CHECKING:
    from ..run.lookout import Lookout

__all__ = ["logs"]

_FOLLOW_EVERY_S = 0.2
_FAR_EVERY_S = 1.0
_PATIENCE_S = 5.0
_RARELY = 10.0
"""Looking for a task that has not begun takes a tenth of the time at the most, for it reads the journal."""
_PIECE = 1 << 20
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
    printer = _Printer(layout, name, _FILES if streams is None else (streams,))
    while True:
        began = time.monotonic()
        far = _look_out(layout, name) if attempt is None else None
        pause_s = max(_FAR_EVERY_S, _RARELY * (time.monotonic() - began))
        if far is not None and not _print_from_afar(far, printer, follow, layout):
            break
        printer.read_here(attempt)
        if not follow or not _follow_here(printer, pause_s):
            break
    printer.print_new()
    printer.complain_if_nothing()


def _follow_here(printer: _Printer, patience_s: float) -> bool:
    """Print what is added here until the task has ended; True when it has not begun here by then, and may elsewhere."""
    look_again = time.monotonic() + patience_s
    while not printer.is_over():  # asked before what is left is read, so that nothing written before the end is missed
        printer.print_new()
        if time.monotonic() > look_again and not printer.has_begun():
            return True
        time.sleep(_FOLLOW_EVERY_S)
    return False


def _look_out(layout: SweepLayout, name: str) -> Optional[Lookout]:
    """Where the task is, if that is another machine. A task that has ended well and is here needs no journal read."""
    if layout.task_dir(name).is_dir() and holder(layout) is None:
        return None
    from ..plugins import load
    from ..run.lookout import Lookout

    state = open_sweep(layout).state()
    try:
        return Lookout.find(layout, state, task_index(name, state.total), load())
    except OSError as error:
        raise NoSourceError(f"{name} is on a machine that cannot be reached: {error}") from error


def _print_from_afar(far: Lookout, printer: _Printer, follow: bool, layout: SweepLayout) -> bool:
    """Print what is there; whether the rest is here: the task has ended, and its files have left that machine."""
    with contextlib.closing(far):
        return _copy_from_afar(far, printer, follow, lambda: _is_home(layout, printer.name, far.attempt))


def _copy_from_afar(far: Lookout, printer: _Printer, follow: bool, is_home: Callable[[], bool]) -> bool:
    while True:
        try:
            seen = far.read_on(printer.offsets(), _PIECE)
        except OSError as error:
            if is_home():
                return True
            if not follow:
                raise NoSourceError(f"its output is on a machine that cannot be reached: {error}") from error
            click.echo(f"waiting: {error}", err=True)
            time.sleep(_PATIENCE_S)
            continue
        printer.print_data(seen.files)
        if any(seen.files.values()):
            continue
        if is_home():
            return True
        if not follow or (seen.over and len(seen.files) == len(printer.offsets())):
            return False
        time.sleep(_FAR_EVERY_S)


def _is_home(layout: SweepLayout, name: str, attempt: int) -> bool:
    status = read_status(str(layout.task_dir(name) / "status.yaml"))
    number = status.get("attempt", 0)
    return isinstance(number, int) and number >= attempt


def _task_name(layout: SweepLayout, task: str) -> str:
    """The task's id. Its folder tells the number of digits without reading the sweep."""
    if re.fullmatch("task_[0-9]+", task) and layout.task_dir(task).is_dir():
        return task
    total = open_sweep(layout).total
    return task_id(task_index(task, total), total)


class _Printer:
    """Copies a task's output to ours, from where it stopped the last time, wherever it is read."""

    def __init__(self, layout: SweepLayout, name: str, streams: Tuple[str, ...]) -> None:
        self._layout = layout
        self.name = name
        self._streams = streams
        self._offsets: Dict[str, int] = {}
        self._headed = ""
        self._folder = layout.task_dir(name)

    def read_here(self, attempt: Optional[int]) -> None:
        """From now on read the attempt's files here. :raises NotFoundError: there is no such attempt."""
        self._folder = self._find_folder(attempt)

    def _find_folder(self, attempt: Optional[int]) -> Path:
        """Where the attempt's files are: in the task's folder those of the newest, the others in attempts/N."""
        folder = self._layout.task_dir(self.name)
        if attempt is None:
            return folder
        archived = folder / "attempts" / str(attempt)
        if archived.is_dir():
            return archived
        newest = read_status(str(folder / "status.yaml")).get("attempt", 1)
        if attempt == newest:
            return folder
        raise NotFoundError(
            f"{self.name} has no attempt {attempt}; the newest is {newest}",
            f"see: hsm explain {self._layout.sweep_id} {self.name}",
        )

    def offsets(self) -> Dict[str, int]:
        """File -> how much of it was printed."""
        return {f"{stream}.log": self._offsets.get(stream, 0) for stream in self._streams}

    def print_data(self, files: Mapping[str, bytes]) -> None:
        """Print what was read elsewhere, from these offsets on."""
        for stream in self._streams:
            data = files.get(f"{stream}.log")
            if data is not None:
                self._print(data, stream)
                self._offsets[stream] = self._offsets.get(stream, 0) + len(data)
        sys.stdout.flush()

    def print_new(self) -> None:
        """Print what has been added here."""
        for stream in self._streams:
            try:
                with open(self._folder / f"{stream}.log", "rb") as file:
                    offset = self._offsets.get(stream, 0)
                    # A file that has shrunk is the next attempt's.
                    file.seek(offset if offset <= os.fstat(file.fileno()).st_size else 0)
                    self._copy(file, stream)
                    self._offsets[stream] = file.tell()
            except FileNotFoundError:
                continue
        sys.stdout.flush()

    def _copy(self, file: BinaryIO, stream: str) -> None:
        block = file.read(_BLOCK)
        while block:
            self._print(block, stream)
            block = file.read(_BLOCK)

    def _print(self, data: bytes, stream: str) -> None:
        if data and len(self._streams) > 1 and self._headed != stream:
            click.echo(f"==> {stream} <==")
            sys.stdout.flush()
            self._headed = stream
        # Bytes as they are: what a program prints need not be text.
        sys.stdout.buffer.write(data)

    def has_begun(self) -> bool:
        """Whether the attempt runs, or ran, here."""
        return bool(self._status())

    def is_over(self) -> bool:
        """Whether nothing more can come: the attempt has ended, or nobody is left to run it."""
        status = self._status()
        if status.get("state") not in (None, "running"):
            return True
        return not status and holder(self._layout) is None

    def _status(self) -> Mapping[str, object]:
        return read_status(str(self._folder / "status.yaml"))

    def complain_if_nothing(self) -> None:
        """An empty answer needs a word: it printed nothing, or it never ran. :raises NotFoundError: it never ran."""
        if not self._offsets:
            raise NotFoundError(
                f"{self.name} has printed nothing: it has not started",
                f"see: hsm explain {self._layout.sweep_id} {self.name}",
            )
        if not any(self._offsets.values()):
            click.echo(f"{self.name} has printed nothing so far.", err=True)
