"""Two git checkouts compared: the commit, the branch, and whether something is not committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional

from hsm_core.contract import Host, SyncReport, SyncVerdict
from hsm_core.project.fingerprint import GIT_STATUS, git_state, parse_status

__all__ = ["compare_git"]

_TIMEOUT_S = 30.0


def compare_git(root: Path, host: Host, path: str, source_id: str, same_content: bool) -> Optional[SyncReport]:
    """How the checkout there stands to the one here; None where there are not two of the same project.

    :param root: the project's folder here.
    :param path: its folder on the host.
    :param same_content: whether the files were found to be the same, which weighs more than what git cannot tell.
    """
    here = git_state(root, _TIMEOUT_S, max_diff_bytes=0) if (root / ".git").exists() else None
    if here is None:
        return None  # of a folder within a checkout, or of none, git says nothing that its files do not
    try:
        there = _state_there(host, path)
    except OSError as error:
        # Files that are the same are enough to run; that the commit was not compared is said all the same.
        verdict = SyncVerdict.WARNING if same_content else SyncVerdict.UNVERIFIED
        return SyncReport("git", verdict, f"could not compare commits: {error}")
    if there is None:
        return None
    if here["commit"] != there["commit"]:
        return SyncReport(
            "git",
            SyncVerdict.DIFFERS,
            f"commit {_short(here)} here, {_short(there)} in {path}",
            f"there: git -C {path} fetch && git -C {path} checkout {here['commit'] or here['branch']}",
        )
    if here["branch"] != there["branch"]:
        words = f"branch {here['branch'] or '(none)'} here, {there['branch'] or '(none)'} there, both at {_short(here)}"
        return SyncReport("git", SyncVerdict.WARNING, words)
    dirty = [where for where, state in (("here", here), ("there", there)) if state["dirty"]]
    if dirty:
        words = f"both at {_short(here)}, with changes that are not committed {' and '.join(dirty)}"
        return SyncReport("git", SyncVerdict.WARNING, words)
    return SyncReport("git", SyncVerdict.IN_SYNC, f"both at {_short(here)}")


def _state_there(host: Host, path: str) -> Optional[Dict[str, Any]]:
    """:raises OSError: there is a checkout, and git cannot tell of it."""
    if host.run(["test", "-e", f"{path}/.git"], timeout_s=_TIMEOUT_S).returncode != 0:
        return None
    git = ["env", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C", "git", "-C", path, "-c", "core.fsmonitor=false"]
    done = host.run([*git, *GIT_STATUS], timeout_s=_TIMEOUT_S)
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise OSError(f"git there: {words[0][:200]}")
    return parse_status(done.stdout)


def _short(state: Dict[str, Any]) -> str:
    return str(state["commit"] or "(no commit)")[:10]
