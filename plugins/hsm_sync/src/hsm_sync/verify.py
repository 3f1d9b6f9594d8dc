"""Is the copy there the project here? Files decide; git adds what files cannot show."""

from __future__ import annotations

from typing import List, Optional, Tuple

from hsm_core.contract import Source, SyncReport, SyncRequest, SyncVerdict
from hsm_core.project.paths import shown_path

from .copy import Copy, copy_of, latest_look, look_for
from .courier import Answer, RefusedThereError
from .git import compare_git
from .here import Here

__all__ = ["locate", "verify"]

_NAMED = 3
"""How many files a line names; the report has more."""


def locate(source: Source, request: SyncRequest) -> Optional[str]:
    """Where the copy is that tasks should run in: the configured folder, or a snapshot of what is here, or the last.

    None where tasks run in the project's folder here. :raises OSError, RefusedThereError: the host cannot be asked.
    """
    copy = copy_of(source, request.project_dir, request.spec)
    if copy is None:
        return None
    here = look_for(source, request.project_dir)
    answer = copy.courier.ask("locate", digest=here.digest, user=request.sweep_id)
    return str(answer["path"]) if "path" in answer else None


def verify(source: Source, request: SyncRequest) -> Optional[List[SyncReport]]:
    """What the files say, and git; None where there is only one copy."""
    copy = copy_of(source, request.project_dir, request.spec)
    if copy is None:
        return None
    here = latest_look(source, request.project_dir)
    try:
        answer = _ask(copy, here)
        located = request.remote_project_dir or request.project_dir
        if answer.get("path") != located:  # by somebody else, who knows better: what counts is where tasks will run
            copy = copy_of(source, request.project_dir, request.spec, located) or copy
            answer = _ask(copy, here)
        content = _content(copy, here, answer)
    except (OSError, RefusedThereError) as error:
        words = f"could not compare files: {error}"
        return [SyncReport("content", SyncVerdict.UNVERIFIED, words, f"hsm test {copy.id}")]
    reports = [content]
    if copy.own is not None and answer["exists"]:
        same = content.verdict in (SyncVerdict.IN_SYNC, SyncVerdict.WARNING)
        git = compare_git(here.root, copy.host, answer["path"], copy.id, same)
        reports += [git] if git is not None else []
    return reports


def _ask(copy: Copy, here: Here) -> Answer:
    answer = copy.courier.ask("verify", digest=here.digest)
    if answer.get("unknown"):
        answer = copy.courier.ask("verify", digest=here.digest, manifest=here.manifest)
    return answer


def _content(copy: Copy, here: Here, answer: Answer) -> SyncReport:
    """The report on the files. :raises OSError: the answer cannot be one to what was asked."""
    remedy = f"hsm sync --target {copy.id}"
    try:
        path, exists = answer["path"], answer["exists"]
        if not exists:
            return SyncReport("content", SyncVerdict.DIFFERS, f"there is no copy of the project in {path}", remedy)
        counts = {kind: answer["counts"][kind] for kind in ("missing", "modified", "stale", "extra")}
        names = {kind: tuple(answer[kind]) for kind in counts}
    except KeyError as error:
        raise OSError(f"its answer has no {error.args[0]}") from error
    # What is in folders that it was not asked about, and what is ignored here, is no concern of ours.
    extra = tuple(name for name in names["extra"] if not here.rules.leaves_out(name.rstrip("/"), name.endswith("/")))
    parts = [
        _sum(counts["missing"], "missing there", names["missing"]),
        _sum(counts["modified"], "different", names["modified"]),
        _sum(counts["stale"], "gone here", names["stale"]),
        _sum(len(extra), "only there", extra),
    ]
    words = "; ".join(part for part in parts if part)
    if counts["missing"] or counts["modified"] or counts["stale"]:
        verdict, words = SyncVerdict.DIFFERS, f"{words}, in {path}"
    elif extra:
        verdict, words, remedy = SyncVerdict.WARNING, f"{words}, in {path}; the rest is the same", ""
    else:
        count = f"{here.files:,} file{'s' if here.files != 1 else ''}"
        verdict, words, remedy = SyncVerdict.IN_SYNC, f"{count} here and in {path} are the same", ""
    return SyncReport(
        "content", verdict, words, remedy, names["missing"], names["modified"], tuple(sorted({*extra, *names["stale"]}))
    )


def _sum(count: int, what: str, names: Tuple[str, ...]) -> str:
    """`3 different (a.py, b.py, c.py)`, or nothing."""
    if not count:
        return ""
    shown = ", ".join(shown_path(name) for name in names[:_NAMED])
    return f"{count:,} {what} ({shown}{', …' if count > _NAMED else ''})"
