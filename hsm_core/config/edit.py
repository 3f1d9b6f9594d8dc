"""Reading and changing single keys of `hsm_config.yaml`, comments and order kept."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ..errors import ConfigError, UsageError
from ..yamlfile import Document, Mark, Problem, check, load, loads
from ..yamlfile.check import dotted, suggest
from ..yamlfile.scalars import as_yaml
from .load import FILE_NAME, Layers, read_layers
from .schema import SCHEMA

__all__ = ["Edit", "Entry", "entries", "get_value", "set_value"]

_WORD = re.compile(r"""\"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s\[\]{}&*!|>"'#,][^\s,\[\]{}]*(?=\s*$|\s+#|\s*[,}])""")
"""A quoted text, or an unquoted one without spaces, that is a whole value."""


@dataclass(frozen=True)
class Entry:
    """One key with the value that is in force.

    :param key: as `get` and `set` take it, such as `compute.retries`.
    :param mark: where it is written; None for a default.
    """

    key: str
    value: Any
    mark: Optional[Mark]


@dataclass(frozen=True)
class Edit:
    """A change of a configuration file that is valid, and not yet written.

    :param text: the whole file as it should be.
    """

    file: Path
    text: str
    key: str
    value: Any


def entries(layers: Layers) -> List[Entry]:
    """Every key with the value in force, in the order of the schema, sources last."""
    result = []
    for section, schema in SCHEMA["properties"].items():
        for key in schema.get("properties", {}):
            result.append(_entry(layers, (section, key)))
    for name, source in layers.data.get("sources", {}).items():
        result.extend(_entry(layers, ("sources", name, key)) for key in source)
    return result


def get_value(layers: Layers, key: str) -> Entry:
    """The value in force of one key; a section's name gives all that is written in it.

    :raises UsageError: when there is no such key.
    """
    path = _split(key, layers.data)
    if layers.origin(path) is None and _schema_of(path) is None:
        raise UsageError(
            f"there is no key {key!r}",
            suggest(key, (entry.key for entry in entries(layers)), "`hsm config show` lists all keys"),
        )
    return _entry(layers, path, key)


def set_value(project_dir: Path, key: str, text: str, user: Optional[Path] = None) -> Edit:
    """Work out the project's file with one key changed; it is for the caller to write it.

    :param text: the value as one would write it in YAML; where the key takes text, `300` and `no` are taken as text.
    :param user: the user's own file, by default `user_file()`.
    :raises UsageError: when there is no such key or it cannot have that value.
    :raises ConfigError: when the file cannot be read, or cannot be edited without changing something else.
    """
    document = load(project_dir / FILE_NAME)
    layers = read_layers(project_dir, user)
    path = _split(key, layers.data)
    before = {problem.message for problem in check(layers, SCHEMA)}
    refused: Optional[Problem] = None
    for value in _candidates(text):
        after = Layers(layers.documents, _with(layers.data, path, value))
        # What was wrong before may stay wrong: a file with two mistakes can be mended one key at a time.
        new = [problem for problem in check(after, SCHEMA) if problem.message not in before]
        if not new:
            return Edit(project_dir / FILE_NAME, _edited(document, path, value), key, value)
        refused = refused or new[0]
    assert refused is not None
    raise UsageError(refused.message, refused.hint)


def _candidates(text: str) -> Iterator[Any]:
    """What the text may mean, the likeliest first."""
    with contextlib.suppress(ConfigError):
        data = loads(f"value: {text}", "value").data
        # Text without quotes is taken whole: YAML would drop a comment from it, or read further keys.
        if len(data) == 1 and (not isinstance(data["value"], str) or text[:1] in ("'", '"')):
            yield data["value"]
    yield text


def _split(key: str, data: Mapping[str, Any]) -> Tuple[str, ...]:
    """The path that a dotted key means; a source's name may have dots of its own."""
    words = key.split(".")
    if not all(words):
        raise UsageError(f"{key!r} is not a key", "write it like compute.retries")
    path: List[str] = []
    here: Any = data
    while words:
        known = here if isinstance(here, dict) else {}
        sizes = range(len(words), 0, -1)
        size = next((size for size in sizes if ".".join(words[:size]) in known), 1)
        if len(path) == 1 and path[0] == "sources" and words[0] not in known and len(words) > 1 and size == 1:
            size = len(words) - 1  # a new source: all but the last word are its name
        path.append(".".join(words[:size]))
        here = known.get(path[-1])
        words = words[size:]
    return tuple(path)


def _entry(layers: Layers, path: Tuple[str, ...], key: Optional[str] = None) -> Entry:
    key = key or ".".join(path)
    if layers.origin(path) is None:
        return Entry(key, (_schema_of(path) or {}).get("default"), None)
    value: Any = layers.data
    for step in path:
        value = value[step]
    return Entry(key, value, layers.mark(path))


def _schema_of(path: Tuple[str, ...]) -> Optional[Dict[str, Any]]:
    schema: Optional[Dict[str, Any]] = SCHEMA
    for step in path:
        schema = (schema or {}).get("properties", {}).get(step)
    return schema


def _with(data: Mapping[str, Any], path: Tuple[str, ...], value: Any) -> Dict[str, Any]:
    """`data` in which the value at `path` is another; sections that are missing, or empty, are made.

    Only what lies on the path is copied, so that a value which an alias also put elsewhere stays as it is there.
    """
    result = section = dict(data)
    for depth, step in enumerate(path[:-1], 1):
        inner = section.get(step)
        if inner is not None and not isinstance(inner, dict):
            raise UsageError(f"{dotted(path[:depth])} has no keys of its own")
        section[step] = dict(inner or {})
        section = section[step]
    section[path[-1]] = value
    return result


def _edited(document: Document, path: Tuple[str, ...], value: Any) -> str:
    """The document's text with one value changed.

    :raises ConfigError: when that cannot be done without changing something else.
    """
    expected = _with(document.data, path, value)
    for edit in (_replaced, _rewritten):
        text = edit(document, path, value)
        # Neither way is trusted: the new text must say exactly what was meant.
        with contextlib.suppress(ConfigError):
            if text is not None and loads(text, document.name).data == expected:
                return text
    hint = f"write it yourself: {path[-1]}: {as_yaml(value)}"
    raise ConfigError(f"{document.key_mark(path)}: this cannot be changed without changing something else", hint)


def _replaced(document: Document, path: Tuple[str, ...], value: Any) -> Optional[str]:
    """The text with a single value on one line replaced, and every other byte as it was."""
    mark = document.mark(path)
    lines = document.text.splitlines(keepends=True)
    if mark.line > len(lines):
        return None
    line = lines[mark.line - 1]
    start = mark.column - 1
    old = _WORD.match(line, start)
    if old is None:
        return None
    lines[mark.line - 1] = line[:start] + as_yaml(value) + line[old.end() :]
    return "".join(lines)


def _rewritten(document: Document, path: Tuple[str, ...], value: Any) -> Optional[str]:
    """The text as ruamel writes it after the change: comments and order as they were, indentation made regular."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.representer import RoundTripRepresenter
    from ruamel.yaml.util import load_yaml_guess_indent

    class Representer(RoundTripRepresenter):
        """ruamel's own, but for `null`, which it would leave out."""

    Representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    editor = YAML()
    editor.Representer = Representer
    editor.preserve_quotes = True
    editor.width = 1_000_000  # never wrap a line that its writer did not
    stream = io.StringIO()
    try:
        _, indent, offset = load_yaml_guess_indent(document.text)
        editor.indent(mapping=2, sequence=indent or 2, offset=offset or 0)
        tree = editor.load(document.text)
        written = editor.load(f"value: {as_yaml(value)}")["value"]
        section, steps = tree, list(path)
        while len(steps) > 1 and section.get(steps[0]) is not None:
            section = section[steps.pop(0)]
        for step in reversed(steps[1:]):
            written = CommentedMap({step: written})
        if steps[0] in section:
            section[steps[0]] = written
        else:
            _append(section, steps[0], written)
        editor.dump(tree, stream)
    except (YAMLError, AttributeError, TypeError):
        return None  # ruamel reads a little less than we do, and keys that are no strings otherwise
    return stream.getvalue()


def _append(section: Any, key: str, value: Any) -> None:
    """Add a key behind the others, but before comments that belong to what follows the section.

    ruamel keeps whatever stands between two values with the first of them.
    """
    from ruamel.yaml.tokens import CommentToken

    holder, last = section, next(reversed(section), None) if section else None
    while last is not None and hasattr(holder[last], "ca") and holder[last] and not holder[last].fa.flow_style():
        holder = holder[last]
        last = len(holder) - 1 if isinstance(holder, list) else next(reversed(holder))
    section[key] = value
    slots = holder.ca.items.get(last) if last is not None else None
    position = 0 if isinstance(holder, list) else 2
    token = slots[position] if slots else None
    if token is None:
        return
    own, newline, rest = token.value.partition("\n")
    if rest:
        token.value = own + newline
        while isinstance(section[key], dict):
            section, key = section[key], next(iter(section[key]))
        section.ca.items[key] = [None, None, CommentToken(newline + rest, token.start_mark, None), None]
