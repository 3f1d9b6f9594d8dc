"""Reading YAML: libyaml's events become plain data and places in one pass, without recursion.

Working on events rather than on PyYAML's nodes gives places for free, and leaves no way for a deeply nested or
self-multiplying file to exhaust the stack or the memory.
"""

from __future__ import annotations

import os
import pathlib
import re
from typing import Any, Dict, Iterator, List, NoReturn, Optional, Tuple, Union

from ..errors import NotFoundError
from .document import Document, Mark, Place, Problem, ProblemsError
from .scalars import ScalarError, read_plain, suspicion

__all__ = ["load", "loads"]

MAX_DEPTH = 100
MAX_ALIASED = 1_000_000
"""The most values that aliases may stand for in all."""

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG = "tag:yaml.org,2002:"
_WORDS = {
    "mapping values are not allowed in this context": "a ':' where none can be",
    "could not find expected ':'": "a ':' is missing",
    "did not find expected key": "this does not fit the lines above it",
    "did not find expected '-' indicator": "this does not fit the list above it",
    "found unexpected end of stream": "the file ends inside a quoted string",
    "found character that cannot start any token": "a value cannot begin with this character",
    "found character '\\t' that cannot start any token": "a value cannot begin with a tab",
}
"""The parser's words, for people; libyaml's and PyYAML's own parser share most of them."""


def load(path: Union[str, pathlib.Path]) -> Document:
    """Read a YAML file.

    :raises NotFoundError: when the file is not there or cannot be read.
    :raises ProblemsError: when it is not a YAML mapping; the message has line and column.
    """
    name = _name(path)
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise NotFoundError(f"{name}: cannot be read: {error.strerror or error}") from None
    except ValueError:  # a NUL in the path
        raise NotFoundError(f"{name!r}: not a possible file name") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        mark = Mark(line, column, name)
        raise ProblemsError([Problem("not UTF-8 text", mark, "save the file as UTF-8")]) from None
    return loads(text, name)


def loads(text: str, name: str) -> Document:
    """Read YAML from a string; `name` is what messages call it.

    :raises ProblemsError: when it is not a YAML mapping; the message has line and column.
    """
    odd = _UNPRINTABLE.search(text)
    if odd is not None:
        line = text.count("\n", 0, odd.start()) + 1
        column = odd.start() - text.rfind("\n", 0, odd.start())
        mark = Mark(line, column, name)
        code = f"U+{ord(odd.group()):04X}"
        raise ProblemsError([Problem(f"the character {code} cannot be in a YAML file", mark, "delete it")])
    return _Builder(text, name).build()


def _name(path: Union[str, pathlib.Path]) -> str:
    """A file's name for messages: relative where it lies below the working folder."""
    name = str(path)
    try:
        relative = os.path.relpath(name)
    except (OSError, ValueError):  # the working folder is gone; a NUL in the name
        return name
    return name if relative.startswith(os.pardir + os.sep) else relative


class _Frame:
    """A mapping or list that is being read."""

    __slots__ = ("anchor", "key", "key_place", "merges", "place", "places", "size", "value")

    def __init__(self, value: Union[Dict[str, Any], List[Any]], place: Tuple[int, int], anchor: Optional[str]) -> None:
        self.value = value
        self.place = place
        self.anchor = anchor
        self.places: Dict[Union[str, int], Place] = {}
        self.key: Optional[str] = None
        self.key_place = place
        self.merges: List[Dict[str, Any]] = []
        self.size = 1


class _Builder:
    """One pass over the events of one text."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.warnings: List[Problem] = []
        self.places: Dict[int, Dict[Union[str, int], Place]] = {}
        self.anchors: Dict[str, Tuple[Any, int]] = {}
        self.stack: List[_Frame] = []
        self.top: Any = None
        self.aliased = 0

    def build(self) -> Document:
        import yaml

        documents = 0
        try:
            for event in _events(self.text):
                place = (event.start_mark.line, event.start_mark.column)
                if isinstance(event, yaml.ScalarEvent):
                    self._scalar(event, place)
                elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                    self._open(event, isinstance(event, yaml.MappingStartEvent), place)
                elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                    self._close()
                elif isinstance(event, yaml.AliasEvent):
                    self._alias(str(event.anchor), place)
                elif isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._fail(place, "a second document begins here", "keep one document in a file")
        except yaml.YAMLError as error:
            self._fail_syntax(error)
        if self.top is None:
            self._fail((0, 0), "the file is empty", "it needs at least one `key: value` line")
        if not isinstance(self.top, dict):
            kind = "a list" if isinstance(self.top, list) else "a single value"
            self._fail((0, 0), f"the file is {kind}", "its top must be `key: value` lines")
        return Document(self.name, self.top, self.text, tuple(self.warnings), self.places)

    def _scalar(self, event: Any, place: Tuple[int, int]) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self._key(frame, event, place)
            return
        text: str = event.value
        value: Any = text
        tag = event.tag or ""
        try:
            if event.implicit[0]:
                value = read_plain(text)
                doubt = suspicion(text, value)
                if doubt is not None:
                    self.warnings.append(Problem(doubt.message, self._mark(place), doubt.hint))
            elif tag not in ("", "!", _TAG + "str"):
                value = read_plain(text)
                kinds = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
                kind = kinds.get(tag[len(_TAG) :] if tag.startswith(_TAG) else "")
                if kind is None or not isinstance(value, kind):  # type: ignore[arg-type]  # values are types
                    self._fail(place, f"the tag {tag} does not fit here", "leave the tag out")
                value = float(value) if tag == _TAG + "float" else value
        except ScalarError as error:
            self._fail(place, error.message, error.hint)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)
        self._add(value, place, 1)

    def _key(self, frame: _Frame, event: Any, place: Tuple[int, int]) -> None:
        assert isinstance(frame.value, dict)
        key: str = event.value
        if not key:
            self._fail(place, "a key is missing before ':'")
        if key in frame.value:
            first_line = frame.places[key].key_line + 1
            self._fail(place, f"the key {key!r} is here twice (first on line {first_line})", "delete one of them")
        if event.anchor is not None:
            self.anchors[event.anchor] = (key, 1)
        frame.key, frame.key_place = key, place
        if key == "<<" and not event.implicit[0]:
            self._fail(place, "'<<' cannot be a key")

    def _open(self, event: Any, mapping: bool, place: Tuple[int, int]) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self._fail(place, "a list or mapping cannot be a key", "is a value like {x} or [x] missing its quotes?")
        if len(self.stack) >= MAX_DEPTH:
            self._fail(place, f"nested deeper than {MAX_DEPTH} levels")
        if event.tag not in (None, "!", _TAG + "map", _TAG + "seq"):
            self._fail(place, f"the tag {event.tag} does not fit here", "leave the tag out")
        self.stack.append(_Frame({} if mapping else [], place, event.anchor))

    def _close(self) -> None:
        frame = self.stack.pop()
        if frame.merges:
            self._merge(frame)
        self.places[id(frame.value)] = frame.places
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (frame.value, frame.size)
        self._add(frame.value, frame.place, frame.size)

    def _alias(self, anchor: str, place: Tuple[int, int]) -> None:
        if anchor not in self.anchors:
            self._fail(place, f"*{anchor} refers to nothing before it", f"put &{anchor} at the value it stands for")
        value, size = self.anchors[anchor]
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            self._fail(place, f"aliases make more than {MAX_ALIASED:,} values")
        frame = self.stack[-1]
        if isinstance(frame.value, dict) and frame.key is None:
            self._fail(place, f"*{anchor} cannot be a key")
        self._add(value, place, size)

    def _add(self, value: Any, place: Tuple[int, int], size: int) -> None:
        """Put a finished value where it belongs."""
        if not self.stack:
            self.top = value
            return
        frame = self.stack[-1]
        frame.size += size
        if isinstance(frame.value, list):
            frame.places[len(frame.value)] = Place(*place, *place)
            frame.value.append(value)
            return
        assert frame.key is not None
        key, frame.key = frame.key, None
        if key == "<<":
            maps = value if isinstance(value, list) else [value]
            if not all(isinstance(item, dict) for item in maps):
                self._fail(place, "'<<' takes a mapping, or a list of mappings")
            frame.merges.extend(maps)
            return
        frame.value[key] = value
        frame.places[key] = Place(*frame.key_place, *place)

    def _merge(self, frame: _Frame) -> None:
        """Put what `<<` brings in front of the mapping's own keys, which win; among merged ones the first wins."""
        assert isinstance(frame.value, dict)
        own, own_places = dict(frame.value), dict(frame.places)
        frame.value.clear()
        frame.places.clear()
        for other in reversed(frame.merges):
            frame.value.update(other)
            frame.places.update(self.places[id(other)])
        frame.value.update(own)
        frame.places.update(own_places)

    def _mark(self, place: Tuple[int, int]) -> Mark:
        return Mark(place[0] + 1, place[1] + 1, self.name)

    def _fail(self, place: Tuple[int, int], message: str, hint: Optional[str] = None) -> NoReturn:
        raise ProblemsError([Problem(message, self._mark(place), hint)]) from None

    def _fail_syntax(self, error: Exception) -> NoReturn:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        if mark is None:
            self._fail((0, 0), f"not YAML: {str(error).splitlines()[0]}")
        lines = self.text.splitlines()
        line = lines[mark.line] if mark.line < len(lines) else ""
        if "\t" in line[: len(line) - len(line.lstrip())]:
            self._fail((mark.line, line.index("\t")), "a tab indents this line", "indent with spaces")
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        hint = "check the indentation of this line and the one above, and that quotes and brackets are closed"
        self._fail((mark.line, mark.column), _WORDS.get(problem, problem), hint)


def _events(text: str) -> Iterator[Any]:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return iter(yaml.parse(text, Loader=loader))
