"""Is there a scheduler here? Only one that answers counts."""

from __future__ import annotations

import shutil
import subprocess
from typing import List, Sequence

from ..contract import SourceSpec
from ..errors import NoSourceError
from .dialect import Dialect, Output

__all__ = ["ask", "discover_cluster"]

_PATIENCE_S = 2.5
"""Whoever looks for sources waits no more than three seconds for all of them."""
_VERSION_PATIENCE_S = 0.5
"""A version is told without asking anybody."""


def discover_cluster(kind: str, dialect: Dialect, commands: Sequence[str]) -> List[SourceSpec]:
    """The cluster that this machine's commands talk to, if they are this scheduler's, and it answers.

    :param commands: those without which nothing can be done.
    :raises NoSourceError: it is the scheduler, but it does not answer.
    """
    if any(shutil.which(command) is None for command in commands):
        return []
    version = dialect.version()
    patience = _PATIENCE_S - (_VERSION_PATIENCE_S if version else 0.0)
    if version and dialect.for_version(ask(version, _VERSION_PATIENCE_S)) is None:
        return []  # another's commands, which have the same names
    output = ask(dialect.ping(), patience)
    problem = dialect.read_ping(output)
    if problem:
        raise NoSourceError(f"there is {dialect.name} here, but: {problem}")
    return [SourceSpec(kind, kind)]


def ask(command: Sequence[str], patience_s: float) -> Output:
    """What a command of this machine prints; one that is not there or takes too long has failed."""
    try:
        done = subprocess.run(
            list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=patience_s, check=False
        )
    except OSError as error:
        return Output(-1, "", f"{command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Output(-1, "", f"{command[0]} does not answer within {patience_s:g} s")
    return Output(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
