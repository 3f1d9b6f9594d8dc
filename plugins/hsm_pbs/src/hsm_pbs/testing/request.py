"""What a `qsub` asks for: its options, those in the script, and what is wrong with them, in OpenPBS's own words."""

from __future__ import annotations

import getopt
import re
import shlex
from dataclasses import dataclass, field
from typing import Container, Dict, List, Optional, Sequence, Tuple

__all__ = ["ArrayRange", "Refused", "Request", "parse_request", "seconds_of"]

_OPTIONS = "a:A:c:C:d:e:fhIj:J:k:l:m:M:N:o:p:P:q:r:R:S:t:u:v:VW:Xz"
_USAGE = """\
usage: qsub [-a date_time] [-A account_string] [-c interval]
\t[-C directive_prefix] [-e path] [-f ] [-h ] [-I [-X]] [-j oe|eo] [-J X-Y[:Z]]
\t[-k keep] [-l resource_list] [-m mail_options] [-M user_list]
\t[-N jobname] [-o path] [-p priority] [-P project] [-q queue] [-r y|n]
\t[-R o|e|oe] [-S path] [-u user_list] [-W otherattributes=value...]
\t[-v variable_list] [-V ] [-z] [script | -- command [arg1 ...]]
       qsub --version"""
_ARRAY = re.compile(r"([0-9]+)-([0-9]+)(?::([0-9]+))?(?:%([0-9]+))?")
_TORQUE_ARRAY = re.compile(r"([0-9]+)(?:-([0-9]+))?()(?:%([0-9]+))?")
_NAME = re.compile(r"[A-Za-z0-9_+.-]+")
_NAME_LENGTH = 230
_TIME = re.compile(r"(?:(?:([0-9]+):)?([0-9]+):)?([0-9]+)")
_SIZE = re.compile(r"[0-9]+(?:[kmgtp]?[bw])?", re.I)
_KNOWN = ("ncpus", "mem", "vmem", "walltime", "cput", "nodes", "nodect", "select", "place", "host", "mpiprocs")
_SIZES = ("mem", "vmem")
_NUMBERS = ("ncpus", "ngpus", "mpiprocs")
_DEPENDENCIES = ("after", "afterok", "afternotok", "afterany", "afteranyarray", "before", "beforeany")


class Refused(Exception):
    """A submission is turned down. :param code: what qsub exits with."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code
        self.said = said


@dataclass(frozen=True)
class ArrayRange:
    """The elements of an array, as `0-9:2%4` says them."""

    indices: Sequence[int]
    text: str
    at_once: Optional[int] = None


@dataclass
class Request:
    """A submission that makes sense by itself.

    :param after: `(word, ids)` of each dependency.
    """

    script: str
    name: str
    options: Dict[str, str] = field(default_factory=dict)
    resources: Dict[str, str] = field(default_factory=dict)
    chunk: Dict[str, str] = field(default_factory=dict)
    array: Optional[ArrayRange] = None
    after: List[Tuple[str, List[str]]] = field(default_factory=list)
    umask: int = 0o077
    variables: Dict[str, str] = field(default_factory=dict)


def parse_request(argv: Sequence[str], script: Optional[str], torque: bool, own: Sequence[str] = ()) -> Request:
    """Take a command line and the script apart. :raises Refused: in the words of the real one.

    :param script: what the file holds, or standard input; None for a file that is not there.
    :param own: resources that the site has made: a fresh OpenPBS does not even know GPUs.
    """
    options, rest = _options(argv, "")
    if "--" in argv:
        script = "exec " + " ".join(shlex.quote(word) for word in argv[list(argv).index("--") + 1 :]) + "\n"
    if script is None:
        raise Refused(1, "qsub: script file:: No such file or directory")
    if "\r\n" in script:
        raise Refused(1, "qsub: script contains cr, lf")
    collected: Dict[str, str] = {}
    resources: Dict[str, str] = {}
    attributes: Dict[str, str] = {}
    for words, said in [*_directives(script), (options, "")]:
        for letter, value in words:
            try:
                _take(letter, value, collected, resources, attributes)
            except Refused as refused:
                _usage_of_directive(refused, said)
    named = rest[0].rpartition("/")[2] if rest and "--" not in argv else "STDIN"
    request = Request(script, collected.get("-N", named), collected, resources)
    request.variables = _variables(collected.get("-v", ""))
    range_text = collected.get("-t" if torque else "-J")
    if range_text is not None:
        request.array = _array(range_text, torque)
        if collected.get("-r") == "n" and not torque:
            raise Refused(1, "qsub:  cannot submit non-rerunable Array Job")
    if "umask" in attributes:
        request.umask = int(attributes["umask"], 8)
    if "depend" in attributes:
        for part in attributes["depend"].split(","):
            word, *ids = part.split(":")
            request.after.append((word, ids))
    _check_resources(request, {*_KNOWN, *own})
    return request


def seconds_of(text: str) -> float:
    """Of `01:02:03`, `90` … :raises ValueError: it is no time."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def _options(words: Sequence[str], said: str) -> Tuple[List[Tuple[str, str]], List[str]]:
    try:
        return getopt.getopt(list(words), _OPTIONS)
    except getopt.GetoptError as error:
        if said:
            raise Refused(1, f"qsub: invalid option -- '{error.opt}'\nqsub: directive error: {said} ") from error
        raise Refused(2, f"qsub: invalid option -- '{error.opt}'\n{_USAGE}") from error


def _directives(script: str) -> List[Tuple[List[Tuple[str, str]], str]]:
    found = []
    for line in script.splitlines():
        if line.startswith("#PBS"):
            said = line[len("#PBS") :].strip()
            found.append((_options(shlex.split(said), said)[0], said))
        elif line.strip() and not line.startswith(("#", ":")):
            break
    return found


def _usage_of_directive(refused: Refused, said: str) -> None:
    if said and refused.code == 1:
        raise Refused(1, f"{refused.said}\nqsub: directive error: {said} ") from refused
    raise refused


def _take(
    letter: str, value: str, options: Dict[str, str], resources: Dict[str, str], attributes: Dict[str, str]
) -> None:
    if letter == "-l":
        for part in _parts(value):
            name, _, asked = part.partition("=")
            resources[name] = asked
    elif letter == "-W":
        name, _, asked = value.partition("=")
        if name == "depend" and asked.split(":")[0] not in _DEPENDENCIES:
            raise Refused(2, f"qsub: illegal -W value\n{_USAGE}")
        attributes[name] = asked
    elif letter == "-N" and not _NAME.fullmatch(value):
        raise Refused(2, f"qsub: illegal -N value\n{_USAGE}")
    elif letter == "-N" and len(value) > _NAME_LENGTH:
        raise Refused(2, "qsub: Job name is too long ")
    elif letter == "-p" and not -1024 <= int(value) <= 1023:
        raise Refused(2, f"qsub: illegal -p value\n{_USAGE}")
    else:
        options[letter] = value


def _parts(value: str) -> List[str]:
    """`a=1,b=2`; a selection has commas of its own after `=` only within quotes, which nobody here uses."""
    return [part for part in value.split(",") if part]


def _array(text: str, torque: bool) -> ArrayRange:
    match = (_TORQUE_ARRAY if torque else _ARRAY).fullmatch(text)
    if match is not None:
        first, last = int(match.group(1)), int(match.group(2) or match.group(1))
        step = int(match.group(3) or 1)
        if step and (first < last or torque):
            indices = range(first, last + 1, step)
            return ArrayRange(indices, text.partition("%")[0], int(match.group(4)) if match.group(4) else None)
    raise Refused(2, f"qsub: illegal -J value\n{_USAGE}")


def _variables(text: str) -> Dict[str, str]:
    found: Dict[str, str] = {}
    for part in re.split(r"(?<!\\),", text):
        name, given, value = part.partition("=")
        if name and not given:
            raise Refused(1, "qsub: cannot send environment with the job")
        if name:
            found[name] = value.replace("\\,", ",").strip('"')
    return found


def _check_resources(request: Request, known: Container[str]) -> None:
    asked = request.resources
    for name in asked:
        if name not in known:
            raise Refused(187, f"qsub: Unknown resource Resource_List.{name}")
    if "select" in asked:
        for name in asked:
            if name in ("ncpus", "mem", "ngpus", "nodes"):
                said = f'"-lresource=" cannot be used with "select" or "place", resource is: {name}'
                raise Refused(5, f"qsub: {said}")
        _check_select(request, known)
    elif "place" in asked:
        raise Refused(1, 'qsub: Cannot have "place" without "select"')
    if "walltime" in asked:
        try:
            seconds_of(asked["walltime"])
        except ValueError:
            raise Refused(166, "qsub: Illegal attribute or resource value Resource_List.walltime") from None
    if "nodes" in asked:
        for part in asked["nodes"].split(":")[1:]:
            name, _, value = part.partition("=")
            request.chunk["ncpus" if name == "ppn" else name] = value


def _check_select(request: Request, known: Container[str]) -> None:
    count, *parts = request.resources["select"].split(":")
    if not count:
        raise Refused(166, "qsub: Illegal attribute or resource value Resource_List.select")
    if count == "0":
        raise Refused(166, "qsub: Illegal attribute or resource value")
    for part in parts:
        name, _, value = part.partition("=")
        if name not in known:
            raise Refused(187, f"qsub: Unknown resource: {name}")
        if (name in _NUMBERS and not value.isdecimal()) or (name in _SIZES and not _SIZE.fullmatch(value)):
            raise Refused(166, f"qsub: Illegal attribute or resource value select.{name}")
        request.chunk[name] = value
    request.chunk["chunks"] = count
