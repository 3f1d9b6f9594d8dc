# ruff: noqa: SIM105 -- contextlib is not worth its import here
"""The login node's side of jobs: their files before they are submitted, and what they left since one last looked.

Lies beside `job.py` and keeps the same rules: standard library only, Python 3.6 and newer. `start_job.py news` answers
a request on standard input. See `docs/design/batch.md`.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING or __package__:
    from . import runner as base
    from .job import KINDS, OFFSET_WIDTH
else:  # beside us, on a machine where nothing else of ours is
    import runner as base
    from job import KINDS, OFFSET_WIDTH

if TYPE_CHECKING:
    import json
    from typing import Any, List, Mapping, Sequence
else:
    json = base.json

__all__ = ["job_text", "news"]


def job_text(head: "Mapping[str, Any]", shares: "Sequence[Any]") -> bytes:
    """A job's file: its head, where each element's tasks are, and the tasks, a line each: none has to read them all."""
    first = json.dumps(dict(head, elements=len(shares))).encode("ascii") + b"\n"
    lines = [json.dumps(share).encode("ascii") + b"\n" for share in shares]
    position = len(first) + len(lines) * (OFFSET_WIDTH + 1)
    offsets = []
    for line in lines:
        offsets.append(b"%*d\n" % (OFFSET_WIDTH, position))
        position += len(line)
    return b"".join([first, *offsets, *lines])


def news(request: "Mapping[str, Any]") -> "Any":
    """What jobs have left beside their files since it was last taken away, and what the tasks' own folders say.

    Answers with `[file, index, attempt, kind, detail]` in `news`; kinds are `s` (started), `e` (ended), `w` (withdrawn)
    and `r` (refused). The file is empty for what was read in a task's folder.

    :param request: `sweep_dir`; `jobs`: folders of jobs; `taken`: files that were read, as the last answer named them,
        to delete; `look`: attempts `[index, attempt, task id]` whose own folders are to be looked at; `withdraw`: those
        which shall never start if they have not.
    :raises ValueError: when the request cannot be meant.
    """
    for path in request.get("taken") or ():
        try:
            os.unlink(base.raw(path))
        except OSError:
            pass
    found = []
    for folder in request.get("jobs") or ():
        found += left_by_job(os.path.join(base.raw(folder), b"news"))
    sweep_dir, looks = base.read_request(dict(request, tasks=request.get("look") or ()))
    _, withdrawals = base.read_request(dict(request, tasks=request.get("withdraw") or ()))
    affairs = base.Affairs(sweep_dir, False)
    if withdrawals and os.path.isdir(sweep_dir):
        os.makedirs(affairs.tasks_dir, exist_ok=True)  # no runner may ever have come here; claims need it
    for _, attempt, name in withdrawals:
        try:
            if not base.is_claimed(os.path.join(affairs.tasks_dir, base.raw(name)), attempt):
                affairs.verdict(attempt, name, True)
        except OSError:
            continue
    for index, attempt, name in looks + withdrawals:
        try:
            status = base.attempt_status(os.path.join(affairs.tasks_dir, base.raw(name)), attempt)
        except OSError:
            continue
        if status.get("state") == "running":
            facts: "base.Status" = {key: status[key] for key in ("pid", "slot", "host", "runner") if key in status}
            facts["at"] = status.get("started_at")
            found.append(["", index, attempt, "s", facts])
        elif status.get("state") == "withdrawn":
            found.append(["", index, attempt, "w", status.get("reason")])
        elif status:
            found.append(["", index, attempt, "e", dict(base.record_of(status), runner=status.get("runner"))])
    return {"news": found}


def left_by_job(place: bytes) -> "List[List[Any]]":
    """The news in one job's folder of news."""
    found = []
    try:
        names = sorted(os.listdir(place), reverse=True)  # `started` before `ended`
    except OSError:
        return []
    for name in names:
        index, _, rest = name.partition(b".")
        attempt, _, kind = rest.partition(b".")
        if not index or kind not in KINDS.values():
            continue  # not whole yet, or not ours
        path = os.path.join(place, name)
        try:
            with open(path, "rb") as file:
                detail = json.loads(file.read().decode("utf-8"))
            found.append([os.fsdecode(path), int(index), int(attempt), kind.decode(), detail])
        except (OSError, ValueError):
            continue
    return found


def main() -> int:
    """One request on standard input, one answer on standard output; the exit code."""
    return base.answer(news)
