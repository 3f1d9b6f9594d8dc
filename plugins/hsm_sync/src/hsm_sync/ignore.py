"""Lines of an ignore file, as git reads them: each means paths by themselves, folders on the way were met before.

Libraries for this judge a path alone and guess what a walk would have met; where a later line takes a folder back in,
they differ from git, and so from what its users see. The tests hold this against git itself.
"""

from __future__ import annotations

import re
from typing import Iterable, List, NamedTuple, Optional, Pattern

__all__ = ["Line", "last_word", "read_lines"]

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "\\x21-\\x7e",
    "lower": "a-z",
    "print": "\\x20-\\x7e",
    "punct": "\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e",
    "space": "\\s",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}
_TOKEN = re.compile(
    r"(?P<into>(?:^|(?<=/))\*\*/)"  # any folders, or none
    r"|(?P<inside>(?:^|(?<=/))\*\*\Z)"  # everything in a folder
    r"|(?P<stars>\*+)"
    r"|(?P<any>\?)"
    r"|\[(?P<not>[!^]?)(?P<set>\]?(?:\[:[a-z]+:\]|\\.|[^\]\\])*)\]"
    r"|\\(?P<escaped>.)"
    r"|(?P<broken>[\[\\])"  # a set that has no end, a backslash before nothing: git matches nothing then
    r"|(?P<plain>.)",
    re.DOTALL,
)
_SET_TOKEN = re.compile(r"\[:(?P<name>[a-z]+):\]|\\(?P<escaped>.)|(?P<plain>.)", re.DOTALL)


class Line(NamedTuple):
    """What one line means.

    :param leaves_out: False when it takes back in what an earlier line left out.
    :param folders_only: it means folders, not files.
    """

    expression: Pattern[str]
    leaves_out: bool
    folders_only: bool


def read_lines(lines: Iterable[str]) -> List[Line]:
    """Those that mean anything, the last first: it has the last word."""
    return [line for line in map(_read, lines) if line is not None][::-1]


def last_word(lines: Iterable[Line], path: str, is_folder: bool) -> Optional[bool]:
    """Whether the path is left out by the last line that means it; None when none does."""
    for expression, leaves_out, folders_only in lines:
        if (is_folder or not folders_only) and expression.match(path):
            return leaves_out
    return None


def _read(line: str) -> Optional[Line]:
    text = re.sub(r"(?<!\\) +\Z", "", line[:-1] if line.endswith("\r") else line)
    if not text or text.startswith("#"):
        return None
    leaves_out = not text.startswith("!")
    text = text if leaves_out else text[1:]
    folders_only = text.endswith("/")
    text = text[:-1] if folders_only else text
    if not text:
        return None
    # A slash in front or within ties a line to its folder; without one it means a name anywhere below.
    prefix = "" if "/" in text else "(?:.*/)?"
    body = _translate(text[1:] if text.startswith("/") else text)
    return None if body is None else Line(re.compile(f"{prefix}{body}\\Z", re.DOTALL), leaves_out, folders_only)


def _translate(glob: str) -> Optional[str]:
    """The same as a regular expression; None when it cannot match anything."""
    parts: List[str] = []
    for token in _TOKEN.finditer(glob):
        kind = token.lastgroup
        if kind == "broken":
            return None
        if kind == "set":
            members = _members(token.group("set"))
            if members is None:
                return None
            parts.append(f"(?!/)[{'^' if token.group('not') else ''}{members}]")
        else:
            fixed = {"into": "(?:.*/)?", "inside": ".+", "stars": "[^/]*", "any": "[^/]"}
            parts.append(fixed.get(str(kind)) or re.escape(token.group(str(kind))))
    return "".join(parts)


def _members(text: str) -> Optional[str]:
    """What stands between the brackets of a set."""
    if not text:
        return None
    parts: List[str] = []
    for token in _SET_TOKEN.finditer(text):
        name, escaped, plain = token.groups()
        if name is not None:
            if name not in _CLASSES:
                return None
            parts.append(_CLASSES[name])
        else:
            parts.append("-" if plain == "-" else re.escape(plain or escaped))
    try:
        re.compile(f"[{''.join(parts)}]")
    except re.error:  # a range that runs backwards
        return None
    return "".join(parts)
