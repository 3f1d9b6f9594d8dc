"""Running commands as a user would, away from the environment of the tests."""

from __future__ import annotations

import os
import subprocess

import pytest


@pytest.fixture(scope="session")
def call():
    """A function that runs a command, checks its exit code, and gives back what it said."""

    def run(*argv, cwd, code=0, **env):
        theirs = ("PYTHON", "VIRTUAL_ENV", "HSM_")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            env={**clean, **env},
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == code, f"{argv}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run
