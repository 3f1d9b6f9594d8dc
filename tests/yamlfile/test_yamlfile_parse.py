"""Reading YAML with places."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.errors import ConfigError, NotFoundError
from hsm_core.yamlfile import Mark, ProblemsError, load, loads

BOMB = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(9)
)

BAD = {
    "tab": ("a:\n\tb: 1\n", "2:1", "tab"),
    "tab after spaces": ("a:\n  b: 1\n \tc: 1\n", "3:2", "tab"),
    "indentation": ("a: 1\n b: 2\n", "2:3", "':'"),
    "two colons": ("a: b: c\n", "1:5", "':'"),
    "open bracket": ("a: [1\n", "2:1", "']'"),
    "open quote": ('a: "x\n', "2:1", "quoted"),
    "at sign": ("a: @x\n", "1:4", "begin"),
    "empty": ("", "1:1", "empty"),
    "comment only": ("# nothing\n", "1:1", "empty"),
    "list": ("- 1\n", "1:1", "list"),
    "scalar": ("x\n", "1:1", "single value"),
    "duplicate": ("a: 1\nb: 2\na: 3\n", "3:1", "twice"),
    "duplicate deep": ("a:\n  b: 1\n  b: 1\n", "3:3", "twice"),
    "NUL": ("a: x\0\n", "1:5", "U+0000"),
    "surrogate": ("a: \ud800\n", "1:4", "U+D800"),
    "escaped surrogate": ('a: "\\ud800"\n', "1:7", "escape"),
    "two documents": ("a: 1\n---\nb: 1\n", "2:1", "second document"),
    "python tag": ("a: !!python/object/apply:os.system [ls]\n", "1:4", "tag"),
    "tag that lies": ("a: !!int x\n", "1:4", "tag"),
    "template": ("a: {{x}}\n", "1:5", "key"),
    "list as key": ("? [a]\n: 1\n", "1:3", "key"),
    "unknown alias": ("a: *b\n", "1:4", "*b"),
    "alias of itself": ("a: &a [*a]\n", "1:8", "*a"),
    "merge of a list": ("a: {<<: [1]}\n", "1:9", "<<"),
    "nan": ("a: .nan\n", "1:4", "JSON"),
    "infinite": ("a: [1, 1e999]\n", "1:8", "too large"),
    "deep": ("a: " + "[" * 5000, "1:103", "100 levels"),
    "deep mappings": ("".join(" " * n + "a:\n" for n in range(300)), "101:101", "100 levels"),
    "bomb": (BOMB, "6:45", "aliases"),
    "unknown anchor in key": ("*a : 1\n", "1:1", "*a"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case: str) -> None:
    """Each kind of bad file gets one line with its place, and quickly."""
    text, place, word = BAD[case]
    with pytest.raises(ConfigError) as caught:
        loads(text, "f.yaml")
    message = str(caught.value)
    assert message.startswith(f"f.yaml:{place}: ")
    assert word in message
    assert "\n" not in message


def test_plain_data() -> None:
    """Data is dicts, lists, strings, numbers, booleans and None, and keys are the strings that were written."""
    document = loads("1: a\non: [x, {y: ~}]\n2024-01-01: {}\n", "f")
    assert document.data == {"1": "a", "on": ["x", {"y": None}], "2024-01-01": {}}


def test_places() -> None:
    """Every value and key knows its line and column, and a missing one those of its parent."""
    document = loads("a:\n  b: [1, {c: 2}]\n  d: x\n", "f")
    assert document.mark(["a", "b"]) == Mark(2, 6, "f")
    assert document.mark(["a", "b", 1, "c"]) == Mark(2, 14, "f")
    assert document.key_mark(["a", "b", 1, "c"]) == Mark(2, 11, "f")
    assert document.key_mark(["a", "d"]) == Mark(3, 3, "f")
    assert document.mark(["a", "b", 0]) == document.key_mark(["a", "b", 0]) == Mark(2, 7, "f")
    assert document.key_mark(["a", "nothing", "here"]) == document.key_mark(["a"]) == Mark(1, 1, "f")
    assert document.mark() == Mark(1, 1, "f")
    assert document.mark(["a", "d", "x"]) == Mark(3, 6, "f")
    assert str(document.mark(["a", "d"])) == "f:3:6"


def test_anchors_and_merges() -> None:
    """Aliases share values; `<<` brings keys in front of a mapping's own, which win; the first merged map wins."""
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 9, z: 9}\nc: {<<: [*b, *m], x: 3}\nd: *b\nw: &w word\nv: *w\n"
    document = loads(text, "f")
    assert document.data["c"] == {"x": 3, "y": 2, "z": 9}
    assert document.data["d"] == {"x": 1, "y": 2}
    assert document.data["v"] == "word"
    assert document.mark(["c", "z"]) == Mark(2, 20, "f")


def test_tags() -> None:
    """The standard tags say what a value is."""
    assert loads("a: !!str 3\nb: !!float 3\nc: !!int '3'\n", "f").data == {"a": "3", "b": 3.0, "c": 3}


def test_warnings() -> None:
    """Doubtful words are warned about with their place; quoted ones are not."""
    document = loads("a: no\nb: 'no'\nc: [1, '0.1', 1e]\n", "f")
    assert [str(warning) for warning in document.warnings] == [
        "f:1:4: no was read as false",
        "f:3:15: 1e looks like a number but was read as a string",
    ]


def test_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file below the working folder is named relative to it; a byte order mark is no part of the text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    document = load(tmp_path / "x.yaml")
    assert (document.name, document.data, document.text) == ("x.yaml", {"a": 1}, "a: 1\n")


@pytest.mark.parametrize(("data", "place"), [(b"a: 1\nb: \xff\n", "2:4"), ("a: 1".encode("utf-16"), "1:1")])
def test_not_utf8(tmp_path: Path, data: bytes, place: str) -> None:
    """A file that is not UTF-8 gets one line with the place of the first bad byte."""
    file = tmp_path / "x.yaml"
    file.write_bytes(data)
    with pytest.raises(ProblemsError, match=f"x.yaml:{place}: not UTF-8"):
        load(file)


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b"])
def test_unreadable(tmp_path: Path, name: str) -> None:
    """A file that is not there, a folder and an impossible name are NotFoundErrors."""
    with pytest.raises(NotFoundError):
        load(f"{tmp_path}/{name}")


def test_pure_python_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libyaml the same data and places come out."""
    text = "a: &x [1, {b: no}]\nc: *x\n"
    expected = loads(text, "f")
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    found = loads(text, "f")
    assert found == expected
    assert found.mark(["a", 1, "b"]) == expected.mark(["a", 1, "b"])


_PIECES = st.text(":-[]{},'\"&*!|>#@%?\n\t ax1\u00e9\ud800\0\x85\u2028", max_size=3) | st.sampled_from(
    ["&x", "*x", "<<: ", "a: ", "b: ", "- ", "no", "1e-3", "\n  ", "---\n", "...", "? "]
)


@given(st.lists(_PIECES, max_size=25).map("".join))
def test_fuzzed_text(text: str) -> None:
    """Whatever the text, either data comes out or one line with a place."""
    problem: Optional[str] = None
    try:
        document = loads(text, "f")
    except ConfigError as error:
        problem = str(error)
    if problem is None:
        assert isinstance(document.data, dict)
    else:
        assert problem.startswith("f:")
        assert len(problem.splitlines()) == 1
