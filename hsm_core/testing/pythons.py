"""Finds other Pythons by name, for tests of what has to run on those that hosts have."""

from __future__ import annotations

import shutil
import subprocess
from typing import Optional

__all__ = ["OLDEST", "interpreter"]

OLDEST = "python3.6"
"""The oldest that a host may have."""


def interpreter(name: str = OLDEST) -> Optional[str]:
    """The path of a Python that works, or None: a name on PATH may be a shim for one that is not installed."""
    path = shutil.which(name)
    if path is None:
        return None
    done = subprocess.run(
        [path, "-c", "import sys; print(sys.executable)"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return done.stdout.decode().strip() if done.returncode == 0 else None
