"""How another command asks something of the live controller: by files, since files are all that hosts share.

A request is `.hsm/requests/ID.json`. The controller removes it when it takes it, and may answer in `ID.done`, which
the asker removes when it has read it. An asker that waits no longer withdraws its request, so that it does not hit a
later controller.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, cast

from ..errors import StoreError
from .files import unique, write_atomic
from .layout import SweepLayout

__all__ = ["Request", "answer", "ask", "read_answer", "take", "withdraw"]


@dataclass(frozen=True)
class Request:
    """What somebody asks.

    :param op: what for: `cancel`, `pause`, `resume` …
    :param at: when, Unix seconds by the asker's clock.
    :param fields: the rest of what was written, such as `tasks`.
    """

    id: str
    op: str
    at: float
    fields: Mapping[str, Any]


def ask(layout: SweepLayout, op: str, *, now: Callable[[], float] = time.time, **fields: Any) -> str:
    """Leave a request for the controller; its id, to wait for the answer. :raises StoreError: it cannot be written."""
    request = unique()
    folder = layout.requests
    try:
        os.makedirs(folder, exist_ok=True)
        write_atomic(folder / f"{request}.json", _encode({**fields, "op": op, "at": now()}))
    except OSError as error:
        raise StoreError(
            f"cannot leave a request in {folder}: {error.strerror}",
            hint=f"Make room or give write access there (df -h {folder}).",
        ) from error
    return request


def withdraw(layout: SweepLayout, request: str) -> bool:
    """Take a request back; False when the controller has taken it already."""
    try:
        os.unlink(layout.requests / f"{request}.json")
    except OSError:
        return False
    return True


def take(layout: SweepLayout) -> Tuple[List[Request], List[str]]:
    """The controller's side: the requests that wait, oldest first, and the names of files that are none.

    Both are out of the way afterwards. Costs one directory listing (microseconds) when there is nothing.
    """
    try:
        names = os.listdir(layout.requests)
    except OSError:
        return [], []
    requests: List[Request] = []
    garbage: List[str] = []
    for name in names:
        if not name.endswith(".json") or name.startswith("."):
            continue
        path = layout.requests / name
        try:
            fields = json.loads(path.read_bytes())
            op, at = fields.pop("op"), fields.pop("at")
            if not isinstance(op, str):
                raise TypeError("op is no text")
            request = Request(name[: -len(".json")], op, float(at), fields)
            os.unlink(path)
        except FileNotFoundError:
            continue  # withdrawn at this moment
        except OSError:
            continue  # it stays, and is tried again
        except (ValueError, TypeError, KeyError, AttributeError):
            garbage.append(name)
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(".bad"))
        else:
            requests.append(request)
    requests.sort(key=lambda request: request.at)
    return requests, garbage


def answer(layout: SweepLayout, request: Request, **fields: Any) -> None:
    """The controller's side: say what became of a request. Nobody may be waiting, so a full disk is no error here."""
    with contextlib.suppress(OSError):
        write_atomic(layout.requests / f"{request.id}.done", _encode(fields))


def read_answer(layout: SweepLayout, request: str) -> Optional[Dict[str, Any]]:
    """The answer, once; None while there is none."""
    path = layout.requests / f"{request}.done"
    try:
        fields = json.loads(path.read_bytes())
        os.unlink(path)
    except (OSError, ValueError):
        return None
    return cast("Dict[str, Any]", fields)


def _encode(fields: Mapping[str, Any]) -> bytes:
    return (json.dumps(fields) + "\n").encode("ascii")
