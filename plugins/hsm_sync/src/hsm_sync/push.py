"""Bringing the project to a source's host: planned first, then done in one stream.

rsync is not used: it would need a connection of its own, with its own idea of keys and hosts, and gains only within
large files of which a part changed, which code has not. What is there already, under any name, is not sent again.
"""

from __future__ import annotations

import hashlib
import os
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

from hsm_core.contract import PushPlan, PushRequest, Source, SyncVerdict
from hsm_core.errors import HsmError, NoSourceError, NotFoundError
from hsm_core.project.paths import shown_path

from .copy import Copy, copy_of
from .courier import RefusedThereError
from .git import compare_git
from .here import Here, look_here
from .there.tree import CHUNK, to_bytes

__all__ = ["plan_push"]


def plan_push(source: Source, request: PushRequest) -> Optional[PushPlan]:
    """What has to be sent, and what stands against it; None where there is only one copy.

    :raises OSError, RefusedThereError: the host cannot be asked.
    """
    copy = copy_of(source, request.project_dir, request.spec)
    if copy is None:
        return None
    here = look_here(request.project_dir)
    answer = copy.courier.ask("plan", digest=here.digest, manifest=here.manifest)
    # Several files may have one content: the one that changed is the one to name.
    changed = {*answer.get("missing", ()), *answer.get("modified", ())}
    files = sorted(here.manifest["files"].items(), key=lambda item: (item[0] not in changed, item[0]), reverse=True)
    paths = {entry[0]: path for path, entry in files}
    lacks = answer.get("lacks", [])
    if "path" not in answer or not set(lacks) <= set(paths):
        raise OSError(f"{copy.id}: its answer makes no sense: files that were not asked for")
    refusal = remedy = ""
    if copy.own is not None and answer.get("exists"):
        git = compare_git(here.root, copy.host, answer["path"], copy.id, same_content=True)
        if git is not None and git.verdict is SyncVerdict.DIFFERS:
            refusal, remedy = f"{git.detail}; hsm sync leaves .git alone", git.remedy
    sent = sorted(lacks, key=lambda checksum: paths[checksum])
    sizes = {entry[0]: entry[1] for entry in here.manifest["files"].values()}
    if answer.get("exists"):
        counts = answer["counts"]
        wanted = counts["missing"] + counts["modified"]
    else:
        wanted = here.files
    return PushPlan(
        place=answer["path"],
        send=tuple(paths[checksum] for checksum in sent),
        send_bytes=sum(sizes[checksum] for checksum in sent),
        creates=not answer.get("exists"),
        reuse=max(0, wanted - len(sent)),
        remove=tuple(answer.get("stale", ())),
        edited=tuple(answer.get("edited", ())),
        refusal=refusal,
        remedy=remedy,
        notes=_notes(copy, here, request.unfinished),
        apply=lambda force, progress: _apply(copy, here, sent, request.unfinished, force, progress),
    )


def _notes(copy: Copy, here: Here, unfinished: Sequence[str]) -> Tuple[str, ...]:
    notes = [f"{shown_path(link)} is a link out of the project, and goes as a link" for link in here.outward]
    notes += [f"{shown_path(path)} is neither file nor folder, and is left out" for path in here.skipped]
    if copy.own is not None and unfinished:
        notes.append(f"not over: {', '.join(unfinished)}; what they start in this folder from now on runs the new code")
    return tuple(notes)


def _apply(
    copy: Copy,
    here: Here,
    sent: Sequence[str],
    unfinished: Sequence[str],
    force: bool,
    progress: Callable[[int], None],
) -> Tuple[str, ...]:
    """Send, have it put in its place, and let go of snapshots that nobody needs."""
    try:
        answer = copy.courier.send(
            _contents(here, sent, progress), digest=here.digest, manifest=here.manifest, sent=list(sent), force=force
        )
    except RefusedThereError as refused:
        if not refused.edited:
            raise
        raise NoSourceError(
            f"{refused}: {', '.join(map(shown_path, refused.edited[:5]))}",
            f"look at it there; to go on, keeping a backup: hsm sync --force --target {copy.id}",
        ) from refused
    lines: List[str] = []
    if answer.get("backup"):
        lines.append(f"what was changed there is kept in {answer['backup']}")
    if copy.own is None:
        removed = copy.courier.ask("prune", digest=here.digest, users=list(unfinished)).get("removed", [])
        lines += [f"removed the old snapshot {name}" for name in removed]
    return tuple(lines)


def _contents(here: Here, sent: Sequence[str], progress: Callable[[int], None]) -> Iterator[bytes]:
    """The files, one after the other. :raises NotFoundError: one is not what it was."""
    files = {entry[0]: (path, entry[1]) for path, entry in here.manifest["files"].items()}
    done = 0
    for checksum in sent:
        path, size = files[checksum]
        total = hashlib.sha256()
        try:
            with open(os.path.join(os.fsencode(here.root), to_bytes(path)), "rb") as file:
                left = size
                while left:
                    data = file.read(min(left, CHUNK))
                    if not data:
                        break
                    total.update(data)
                    left -= len(data)
                    done += len(data)
                    yield data
                    progress(done)
        except OSError as error:
            raise NotFoundError(
                f"cannot read {shown_path(path)}: {error.strerror}", "nothing was changed there"
            ) from error
        if total.hexdigest() != checksum:
            raise HsmError(f"{shown_path(path)} changed while it was sent; nothing was changed there", "try again")
