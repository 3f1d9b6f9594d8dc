"""Every error that a person may meet, and the exit code each one becomes.

    HsmError                     1
    ├── UsageError               2   a command line that cannot be meant
    │   └── ConfigError          2   a configuration file that cannot be used
    ├── NotFoundError            3   a sweep, task, file or folder that is not there (or not writable)
    ├── NoSourceError            4   no usable source, or the sync check refused
    ├── SweepBusyError           5   another controller holds the sweep
    └── StoreError               1   a journal or a disk that cannot be used

A message names the thing, where it is, and what to do; it is one line. Anything that is not an HsmError is a
bug, and shows its traceback.
"""

from __future__ import annotations

import enum
from typing import Optional

__all__ = [
    "ConfigError",
    "ExitCode",
    "HsmError",
    "NoSourceError",
    "NotFoundError",
    "StoreError",
    "SweepBusyError",
    "UsageError",
]


class ExitCode(enum.IntEnum):
    """What the exit code of every `hsm` command means (DESIGN section 9)."""

    OK = 0
    TASKS_FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_SOURCE = 4
    BUSY = 5
    INTERRUPTED = 130


class HsmError(Exception):
    """Base of all handled errors: one line for a person, and an exit code.

    :param message: what is wrong, naming the thing and the place.
    :param hint: what to do about it; printed on a line of its own after the message.
    """

    exit_code = ExitCode.TASKS_FAILED

    def __init__(self, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HsmError):
    """The command line cannot be meant as it stands."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A configuration file cannot be read, or says something impossible; the message has line and column."""


class NotFoundError(HsmError):
    """A sweep, task, file or folder is not there, or cannot be written."""

    exit_code = ExitCode.NOT_FOUND


class NoSourceError(HsmError):
    """No source that was asked for can be used, or the sync check refused the run."""

    exit_code = ExitCode.NO_SOURCE


class SweepBusyError(HsmError):
    """Another live controller holds the sweep."""

    exit_code = ExitCode.BUSY


class StoreError(HsmError):
    """The journal or the disk below it cannot be used."""
