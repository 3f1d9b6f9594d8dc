"""The end of the line on the host: one request in JSON on a line, one answer on a line that begins with `MARK`."""

import json
import sys
import zlib
from typing import Any, Dict, Iterator

from .copies import locate, prune, verify
from .receive import Refused, plan, receive
from .tree import CHUNK

MARK = "hsm-sync-1 "
"""Begins the line of the answer: whatever else a shell's start-up files print is not one."""


def inflate(file: Any) -> Iterator[bytes]:
    """The pieces of a compressed stream."""
    unpack = zlib.decompressobj()
    while not unpack.eof:
        data = unpack.unconsumed_tail or file.read1(CHUNK)
        if not data:
            return
        piece = unpack.decompress(data, CHUNK)
        if piece:
            yield piece


def main() -> None:
    """Do what the request says."""
    answer: Dict[str, Any] = {}
    try:
        request = json.loads(sys.stdin.buffer.readline().decode("ascii"))
        if request["op"] == "receive":
            answer = receive(request, inflate(sys.stdin.buffer))
        else:
            answer = {"locate": locate, "verify": verify, "plan": plan, "prune": prune}[request["op"]](request)
    except Refused as refused:
        answer = dict(refused.answer, error=str(refused))
    except OSError as error:
        where = "" if error.filename is None else f": {error.filename!a}"
        answer = {"error": f"{error.strerror or error}{where}"}
    sys.stdout.write("\n" + MARK + json.dumps(answer, separators=(",", ":")) + "\n")
    sys.stdout.flush()
