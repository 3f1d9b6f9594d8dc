"""What every command of the emulator is: asks the server, and prints the answer. Copied, not imported."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any, Dict, List, Optional

FOLDER = ""
VERSION = ""
SERVER = ""
TORQUE = False

_DOWN = {"qstat": 255, "qselect": 255}


def main(argv: List[str]) -> int:
    """Run a command; its exit code."""
    name, words = os.path.basename(argv[0]), argv[1:]
    if words == ["--version"]:
        if TORQUE:
            sys.stderr.write(f"Version: {VERSION}\nCommit: 0000000\n")
        else:
            sys.stdout.write(f"pbs_version = {VERSION}\n")
        return 0
    asked: Dict[str, Any] = {"argv": [name, *words], "cwd": os.getcwd(), "env": dict(os.environ)}
    if name == "qsub":
        asked["script"] = script_of(words)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(FOLDER + "/socket")
        connection.sendall(json.dumps(asked).encode("ascii") + b"\n")
        with connection.makefile("rb") as stream:
            code, out, err = json.loads(stream.readline().decode("ascii"))
    except (OSError, ValueError):
        return down(name, words)
    sys.stdout.write(out)
    sys.stderr.write(err)
    return int(code)


def script_of(words: List[str]) -> Optional[str]:
    """What the named script holds, or standard input; None when it is not there."""
    if "--" in words:
        return ""
    takes_value = "aAcCdeJjklmMNopPqrRStuvW"
    position = 0
    while position < len(words) and words[position].startswith("-"):
        alone = len(words[position]) > 2 or words[position][1:] not in takes_value
        position += 1 if alone else 2
    if position >= len(words):
        return sys.stdin.read()
    try:
        with open(words[position], encoding="utf-8", newline="") as file:
            return file.read()
    except OSError:
        return None


def down(name: str, words: List[str]) -> int:
    """There is no server."""
    if name == "qstat" and "json" in words:
        sys.stdout.write(f'{{\n\t"timestamp":\t0,\n\t"pbs_version":\t"{VERSION}",\n\t"pbs_server":\t"{SERVER}"\n}}\n')
    said = f"{name}: cannot connect to server {SERVER} (errno=15010)"
    if name == "qdel":
        said = f"Couldn't connect to cluster: {SERVER}"
    sys.stderr.write(f"Connection refused\n{said}\n")
    return _DOWN.get(name, 162)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
