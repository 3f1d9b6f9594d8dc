"""Provenance: which code, by whom, where and how; written into every sweep's metadata.

It costs two git commands at most, and none of it can fail a sweep: what cannot be found out is left out.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from .. import __version__

__all__ = ["GIT_STATUS", "fingerprint", "git_state", "parse_status"]

MAX_DIFF_BYTES = 1_000_000
MAX_UNTRACKED = 100
_MAX_STATUS_BYTES = 1_000_000
_TIMEOUT_S = 3.0

GIT_STATUS = ("status", "--porcelain=v2", "--branch", "-z")
"""What to ask git for `parse_status`."""


def fingerprint(
    project_dir: Path,
    argv: Optional[Sequence[str]] = None,
    versions: Optional[Mapping[str, str]] = None,
    git_timeout_s: float = _TIMEOUT_S,
) -> Dict[str, Any]:
    """The provenance of a sweep as plain data: `command_line, cwd, host, user, platform, python, versions, git`.

    :param argv: the command line, by default that of this process.
    :param versions: versions of plugins to record beside hsm's own.
    :param git_timeout_s: how long one git command may take.
    """
    return {
        "command_line": list(sys.argv if argv is None else argv),
        "cwd": _or_none(os.getcwd),
        "host": platform.node(),
        "user": _user(),
        "platform": sys.platform,
        "python": platform.python_version(),
        "versions": {"hsm-core": __version__, **(versions or {})},
        "git": git_state(project_dir, git_timeout_s),
    }


def git_state(
    folder: Path, timeout_s: float = _TIMEOUT_S, max_diff_bytes: int = MAX_DIFF_BYTES
) -> Optional[Dict[str, Any]]:
    """The state of the git checkout that holds `folder`; None where there is none, or git does not answer in time.

    `commit` and `branch` (None where there is none), `dirty` (tracked files differ from the commit), `untracked` (the
    first hundred), `diff` (against the commit, up to `max_diff_bytes` of it) and `diff_truncated`.
    """
    status = _git(folder, GIT_STATUS, _MAX_STATUS_BYTES, timeout_s)
    if status is None:
        return None
    state = parse_status(status)
    if state["dirty"] and state["commit"]:
        diff = _git(
            folder, ["diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv"], max_diff_bytes + 1, timeout_s
        )
        if diff is not None:
            state["diff"] = _text(diff[:max_diff_bytes])
            state["diff_truncated"] = len(diff) > max_diff_bytes
    return state


def parse_status(output: bytes) -> Dict[str, Any]:
    """`commit`, `branch`, `dirty` and `untracked` from what git printed for `GIT_STATUS`, here or elsewhere."""
    state: Dict[str, Any] = {"commit": None, "branch": None, "dirty": False, "untracked": []}
    untracked: List[str] = []
    for record in _text(output).split("\0"):
        kind, _, rest = record.partition(" ")
        if record.startswith("# branch.oid ") and not record.endswith("(initial)"):
            state["commit"] = record.rpartition(" ")[2]
        elif record.startswith("# branch.head ") and not record.endswith("(detached)"):
            state["branch"] = record[len("# branch.head ") :]
        elif kind == "?":
            untracked.append(rest)
        elif kind in ("1", "2", "u"):
            state["dirty"] = True
    state["untracked"] = untracked[:MAX_UNTRACKED]
    return state


def _git(folder: Path, words: Sequence[str], limit: int, timeout_s: float) -> Optional[bytes]:
    """The first `limit` bytes that a git command prints; None when it fails or takes too long."""
    import subprocess
    import threading

    # No optional locks: a sweep must not get into the way of the person's own git. No pager, no prompt.
    environ = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *words]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ
        )
    except OSError:
        return None
    with process:
        alarm = threading.Timer(timeout_s, process.kill)
        alarm.daemon = True
        alarm.start()
        try:
            assert process.stdout is not None
            output = process.stdout.read(limit)
            if len(output) == limit:
                process.kill()  # enough; the rest is not wanted
                return output
            return output if process.wait() == 0 else None
        finally:
            alarm.cancel()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _user() -> str:
    import getpass

    return _or_none(getpass.getuser) or str(os.getuid())


def _or_none(ask: Any) -> Optional[str]:
    try:
        return str(ask())
    except (OSError, KeyError, ImportError):
        return None
