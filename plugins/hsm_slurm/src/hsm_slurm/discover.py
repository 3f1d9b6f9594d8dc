"""Is there a Slurm here? Only one whose controller answers counts."""

from __future__ import annotations

import shutil
import subprocess
from typing import List

from hsm_core.contract import SourceSpec
from hsm_core.errors import NoSourceError
from hsm_core.toolkit.dialect import Output

from .dialect import SlurmDialect

__all__ = ["discover"]

_PATIENCE_S = 2.5
"""Whoever looks for sources waits no more than three seconds for all of them."""
_COMMANDS = ("sbatch", "squeue", "scancel", "scontrol")


def discover() -> List[SourceSpec]:
    """The cluster that this machine's commands talk to, if they talk.

    :raises NoSourceError: there are commands, but no controller answers.
    """
    if any(shutil.which(command) is None for command in _COMMANDS):
        return []
    dialect = SlurmDialect()
    try:
        done = subprocess.run(
            list(dialect.ping()), stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired as expired:
        raise NoSourceError("the Slurm controller does not answer") from expired
    words = [text.decode("utf-8", "replace") for text in (done.stdout, done.stderr)]
    problem = dialect.read_ping(Output(done.returncode, *words))
    if problem:
        raise NoSourceError(f"there is Slurm here, but: {problem}")
    return [SourceSpec("slurm", "slurm")]
