"""The last words of a failed program, with what differs from run to run masked: failures alike have one signature.

Two tasks that fail for one reason, on different learning rates, in different folders, should say the same. So numbers,
addresses, paths, quoted values and ids become placeholders; words stay.
"""

from __future__ import annotations

import os
import re
from typing import Any, Mapping

from ..engine.reduce import signature_of

__all__ = ["read_tail", "signature"]

_TAIL = 4096
_MAX_LINE = 1000
"""Characters of a line that are looked at; a progress bar without line ends can be megabytes."""
_MAX_SIGNATURE = 160

_ANSI = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffd]+")
_TRACEBACK = "Traceback (most recent call last)"
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]{0,200}(?=: |:?$)")
"""The first word of a traceback's last line, which is never indented: `torch.cuda.OutOfMemoryError: …`."""

_MASKS = (
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'|`[^`]*`"), "<value>"),
    (re.compile(r"(?<![\w<])(?:~|\.{1,2}|[A-Za-z]:)?(?:[\\/][^\s:,;()\[\]<>\\/]+)+[\\/]?"), "<path>"),
    (re.compile(r"\b0[xX][0-9a-fA-F]+\b"), "<address>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b"), "<id>"),
    (re.compile(r"(?<![A-Za-z\d])[-+]?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?"), "<n>"),
)
"""In this order: a quoted path is a value, the digits of an id are no number."""


def signature(stderr_tail: bytes, record: Mapping[str, Any]) -> str:
    """What a failure has in common with others like it.

    :param stderr_tail: the end of what the program wrote to standard error, any bytes; see `read_tail`.
    :param record: its exit record, for a program that said nothing, or was ended rather than failed.
    :returns: one line of at most 160 characters, never empty. Nothing is ever raised.
    """
    if record.get("oom_killed"):
        return "killed for memory"
    if record.get("state") == "timeout":
        return "stopped at its time limit"
    line = _last_words(stderr_tail[-_TAIL:].decode("utf-8", "replace"))
    return _mask(line) or _how_it_ended(record)


def read_tail(path: str, limit: int = _TAIL) -> bytes:
    """The last `limit` bytes of a file; empty when it is not there or cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - limit))
            return file.read(limit)
    except OSError:
        return b""


def _last_words(text: str) -> str:
    """The exception of the last traceback, or else the last line that says anything."""
    lines = [_UNSEEN.sub(" ", _ANSI.sub("", line)).rstrip() for line in re.split(r"[\r\n]+", text)]
    spoken = [line for line in lines if line.strip()]
    start = next((at for at in reversed(range(len(spoken))) if _TRACEBACK in spoken[at]), None)
    if start is not None:
        for line in spoken[start + 1 :]:
            if _EXCEPTION.match(line):
                return line
    return spoken[-1].strip() if spoken else ""


def _mask(line: str) -> str:
    line = line[:_MAX_LINE]
    for pattern, placeholder in _MASKS:
        line = pattern.sub(placeholder, line)
    return _short(line)


def _short(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _MAX_SIGNATURE else line[: _MAX_SIGNATURE - 1] + "…"


def _how_it_ended(record: Mapping[str, Any]) -> str:
    reason = _UNSEEN.sub(" ", str(record.get("reason") or "")[:_MAX_LINE])
    return _mask(reason) or _short(signature_of({key: record.get(key) for key in ("signal", "exit_code")}))
