"""Commands for a login shell that nobody knows, and whose start-up files may say anything. Pure.

What a server runs is read by the user's login shell first: sh, bash, zsh, fish, csh. So it is a line that all of
them read alike: `exec sh -c '...'`, where the script for `sh` holds none of the four signs that one of them reads
within such quotes. A script that needs them is sent as `eval "$(printf "...")"`, in which every byte but letters,
digits and a few signs is an octal number. Before its command a script prints a mark that nobody could guess; whatever
came before it is noise.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple, Optional, Sequence, Tuple, Union

__all__ = [
    "LONGEST",
    "Opening",
    "command_line",
    "kill_script",
    "put_script",
    "read_script",
    "run_script",
    "start_script",
]

LONGEST = 120_000
"""The longest command line: Linux takes no single argument of 128 KiB or more, and the line is one."""

_SPECIAL = re.compile(r"['\\!\n]|[^\x20-\x7e]")
"""What some shell reads between single quotes, and what is not plain text."""
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _./:=,+@-")
_OPENING = re.compile(rb"([0-9a-f]{32}) ([a-z]+) ([0-9]+)\n")
_ENCODED = {byte: chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in range(256)}


class Opening(NamedTuple):
    """What a script says before its command.

    :param word: `ok`; or why there is nothing to come: `nofolder`, `noprogram`, `nofile`, `nolog`.
    :param pid: the process whose group is to be killed when the command has to end.
    :param end: where, in what was received, the command's own output begins.
    """

    word: str
    pid: int
    end: int

    @staticmethod
    def find(received: Union[bytes, bytearray], mark: str) -> Optional[Opening]:
        """The opening among noise, None when it has not come yet."""
        for match in _OPENING.finditer(received):
            if match[1] == mark.encode():
                return Opening(match[2].decode(), int(match[3]), match.end())
        return None


def command_line(script: str) -> str:
    """A line that every login shell understands, and that runs a script in `sh`.

    :raises ValueError: the script holds a NUL, which no argument can.
    :raises OSError: it is longer than a command line may be.
    """
    raw = script.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise ValueError("a command cannot hold a NUL")
    if _SPECIAL.search(script):
        # The subshell of $( ) is a third of what a command costs: only where it is needed.
        script = f"""eval "$(printf "{"".join(map(_ENCODED.__getitem__, raw))}")\""""
    line = f"exec sh -c '{script}'"
    if len(line) > LONGEST:
        raise OSError(7, f"a command of {len(raw)} bytes is too long for SSH; send what is long as input")
    return line


def run_script(argv: Sequence[str], cwd: Optional[str], mark: str) -> str:
    """Run a command to its end; a shell waits for it, because a signal's exit code is lost on its way by SSH."""
    return f"{_preamble(argv, cwd, mark)}; (exec {_words(argv)}); exit $?"


def start_script(argv: Sequence[str], cwd: Optional[str], stderr: Optional[str], mark: str) -> str:
    """Become a program."""
    check = ""
    if stderr is not None:
        check = f"( : >> {shlex.quote(stderr)} ) 2>/dev/null || {_say(mark, 'nolog', 73)}; "
    return f"{check}{_preamble(argv, cwd, mark)}; exec {_words(argv)} 2>> {shlex.quote(stderr or '/dev/null')}"


def put_script(path: str, folder: str, temporary: str, size: int, mode: int, mark: str) -> str:
    """Write standard input to a file, whole or not at all: an input that ends early is a connection that was cut."""
    there, under, there_dir = shlex.quote(path), shlex.quote(temporary), shlex.quote(folder)
    return (
        f"{_opened(mark)}; "
        f"mkdir -p -- {there_dir} || exit 73; "
        f'if [ -d {there} ]; then echo "is a folder" >&2; exit 73; fi; '
        f"umask 077; "
        f'if cat > {under} && [ "$(wc -c < {under})" -eq {size} ] && chmod {mode:o} {under} && mv -f {under} {there}; '
        f"then exit 0; fi; "
        f"rm -f {under}; "
        f"exit 73"
    )


def read_script(path: str, mark: str) -> str:
    """Print a file."""
    there = shlex.quote(path)
    return f"[ -e {there} ] || {_say(mark, 'nofile', 66)}; {_opened(mark)}; exec cat -- {there}"


def kill_script(pid: int, mark: str) -> str:
    """End a command at once, and whatever is in its process group."""
    return f"{_opened(mark)}; kill -KILL -{pid} 2>/dev/null || kill -KILL {pid}"


def without_noise(received: bytes, mark: str) -> bytes:
    """Standard error from its own mark on."""
    _, found, rest = received.partition(f"{mark}\n".encode())
    return rest if found else received


def _words(argv: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, argv))


def _preamble(argv: Sequence[str], cwd: Optional[str], mark: str) -> str:
    lines: Tuple[str, ...] = ()
    if cwd is not None:
        lines += (f"CDPATH= cd -- {shlex.quote(cwd)} >/dev/null 2>&1 || {_say(mark, 'nofolder', 66)}",)
    lines += (f"command -v {shlex.quote(argv[0])} >/dev/null 2>&1 || {_say(mark, 'noprogram', 127)}", _opened(mark))
    return "; ".join(lines)


def _opened(mark: str) -> str:
    return f"echo; echo {mark} ok $$; echo {mark} >&2"


def _say(mark: str, word: str, code: int) -> str:
    return f"{{ echo; echo {mark} {word} $$; exit {code}; }}"
