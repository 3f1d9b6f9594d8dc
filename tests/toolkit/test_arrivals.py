"""Streams from hosts, honest and not: what is kept is what was sent, and nothing is written beside its folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_core.toolkit.arrivals import Arrivals, Arrived, BrokenStream, Word

CAP = 1 << 20
NONCE = "0123456789abcdef"


def line(**fields: Any) -> bytes:
    """A line of a stream."""
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def file(name: Any, data: bytes = b"x", **more: Any) -> bytes:
    """A file with its line."""
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    return line(**{"f": name, "n": len(data), "m": 0o644, "t": 10**18, "s": digest, **more}) + data


def stream(*parts: bytes, files: int = 0, attempt: Tuple[int, int] = (0, 1)) -> bytes:
    """A stream of one attempt."""
    return line(hsm_pack=NONCE) + line(task=attempt) + b"".join(parts) + line(end=attempt, files=files)


class Home:
    """Where a stream arrives, in a folder that is watched."""

    def __init__(self, root: Path, cap: int = CAP) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self.arrivals = Arrivals(str(self.incoming), NONCE, [(0, 1), (1, 2)], cap)

    def feed(self, data: bytes, piece: int = 1 << 20) -> List[Any]:
        """Feed a stream, in pieces."""
        news: List[Any] = []
        try:
            for at in range(0, len(data), piece):
                news += self.arrivals.feed(data[at : at + piece])
        finally:
            self.arrivals.close()
        return news

    def strays(self) -> List[str]:
        """Whatever is not in the folder of an attempt that was asked for."""
        own = [str(self.incoming / name) for name in ("0.1", "1.2", "1.1")]
        found = []
        for folder, folders, files in os.walk(self.root):
            for name in folders + files:
                path = os.path.join(folder, name)
                if os.path.islink(path) or not any(path == one or path.startswith(one + "/") for one in own):
                    found.append(path)
        return [path for path in found if path != str(self.incoming)]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty one."""
    return Home(tmp_path / "home")


def only(news: List[Any]) -> Arrived:
    """The one attempt that arrived."""
    (arrived,) = news
    assert isinstance(arrived, Arrived)
    return arrived


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_what_was_sent_is_what_arrives(home: Home, piece: int) -> None:
    """Contents, modes, times and empty folders are as they were, in whatever pieces the stream comes."""
    folder = line(d="results/empty", m=0o750, t=10**18)
    sent = stream(folder, file("results/a b", b"\n{}\n", m=0o640), file("empty", b""), files=2)
    arrived = only(home.feed(b"Welcome to server1!\n" + sent, piece))
    assert arrived.whole
    assert arrived.notes == ()
    assert arrived.folders == {"results/empty": (0o750, 10**18)}
    path = Path(arrived.path) / "results" / "a b"
    assert path.read_bytes() == b"\n{}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_mtime_ns == 10**18
    assert (Path(arrived.path) / "empty").read_bytes() == b""


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/etc/x",
        "..",
        ".",
        "a//b",
        "a/",
        "",
        "a\nb",
        "a\0b",
        "\x1b[2J",
        "a\x7f",
        "x" * 256,
        "/".join(["d" * 200] * 30),
        "attempts/1/status.yaml",
        5,
        None,
        ["a"],
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_and_the_rest_kept(home: Home, name: Any) -> None:
    """Absolute, `..`, control characters, too long, no name at all: told, and its neighbours arrive."""
    arrived = only(home.feed(stream(file("before"), file(name), line(d=name, m=0o755, t=0), file("after"), files=3)))
    assert not arrived.whole
    assert "refused" in arrived.notes[0]
    assert sorted(os.listdir(arrived.path)) == ["after", "before"]
    assert home.strays() == []


def test_a_name_that_comes_twice_is_refused(home: Home) -> None:
    """The first counts, whether file or folder; a file within a file is refused, too."""
    parts = [
        file("a", b"first"),
        file("a", b"second"),
        line(d="a", m=0o755, t=0),
        file("a/b"),
        line(d="f", m=0o755, t=0),
        file("f"),
    ]
    arrived = only(home.feed(stream(*parts, files=4)))
    assert (Path(arrived.path) / "a").read_bytes() == b"first"
    assert [note.split(": refused")[0] for note in arrived.notes] == ["'a'", "'a'", "'a/b'", "'f'"]


def test_what_is_left_on_the_host_is_told(home: Home) -> None:
    """Links and devices, files beyond the cap, and what nobody may read; of many, some by name and the number."""
    links = [line(x=f"link{number}", why="a link") for number in range(30)]
    arrived = only(home.feed(stream(*links, line(left="big", n=10**12))))
    assert len(arrived.notes) == 21
    assert arrived.notes[-1] == "and 11 more"
    assert not arrived.whole


def test_links_alone_do_not_keep_anything_there(home: Home) -> None:
    """A link has no contents of its own."""
    assert only(home.feed(stream(line(x="latest", why="a link")))).whole


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"noise " * 200_000, "no end"),
        (b"noise\n" * 300_000, "never begins"),
        (line(hsm_pack=NONCE) + b"{" * 70_000, "no end"),
        (line(hsm_pack=NONCE) + b"[1]\n", "no object"),
        (line(hsm_pack=NONCE) + b"\xff\xfe\n", "no sense"),
        (line(hsm_pack=NONCE) + b"[" * 60_000 + b"\n", "no sense"),
        (line(hsm_pack=NONCE) + file("a"), "belongs to no task"),
        (line(hsm_pack=NONCE) + line(task=[5, 1]), "nobody asked"),
        (line(hsm_pack=NONCE) + line(task=[0, 2]), "nobody asked"),
        (line(hsm_pack=NONCE) + line(task=[0, -1]), "nobody asked"),
        (line(hsm_pack=NONCE) + line(gone=[9, 9]), "nobody asked"),
        (stream() + line(task=[0, 1]), "twice"),
        (line(hsm_pack=NONCE) + line(task=[0, 1]) + line(task=[1, 2]), "within another"),
        (stream(files=1), "otherwise than it began"),
        (stream(file("a", n=CAP + 1)), "more than"),
        (stream(file("a", b"x" * CAP), file("b"), files=2), "more than"),
        (stream(file("a", n=-1)), "no sense"),
        (stream(file("a", n=10**30)), "no sense"),
        (stream(file("a", n=True)), "no sense"),
        (stream(file("a", m="7")), "no sense"),
        (stream(file("a", t=10**40)), "no sense"),
        (stream(file("a", b"", at=5)), "after its end"),
        (stream(line(f="a", n=10, at=5, m=0, t=0)), "after the end"),
        (stream(line(f="a", n=1, m=0, t=0, same=True)), "is not"),
    ],
)
def test_a_stream_that_breaks_its_rules_ends_there(home: Home, sent: bytes, why: str) -> None:
    """Endless, garbled, lying about sizes, or of tasks that nobody asked for: refused in words, and nothing astray."""
    with pytest.raises(BrokenStream, match=why):
        home.feed(sent, 4096)
    assert home.strays() == []


def test_what_arrived_whole_before_stays(home: Home) -> None:
    """A stream that goes wrong takes nothing back."""
    news: List[Any] = home.arrivals.feed(stream(file("a"), files=1))
    with pytest.raises(BrokenStream):
        home.feed(b"garbage\n")
    assert os.listdir(only(news).path) == ["a"]


def test_a_file_that_arrives_otherwise_than_it_was_sent_is_not_taken(home: Home) -> None:
    """Its sum says so: the attempt is asked for again, and what was well of it is kept for that."""
    (word,) = home.feed(stream(file("good"), file("bad", s="00"), files=2))
    assert word == Word("damaged", (0, 1))
    assert os.listdir(home.incoming / "0.1") == ["good"]


def test_a_large_file_goes_on_where_it_was_cut(home: Home) -> None:
    """What came of it before counts for its sum; one that differs is thrown away and comes whole the next time."""
    data = os.urandom(300_000)
    (home.incoming / "0.1").mkdir(parents=True)
    (home.incoming / "0.1" / "big").write_bytes(data[:200_000] + b"torn")
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    head = line(f="big", n=len(data), at=200_000, m=0o600, t=0)
    arrived = only(home.feed(stream(head, data[200_000:], line(s=digest), files=1)))
    assert (Path(arrived.path) / "big").read_bytes() == data


def test_a_file_that_is_here_is_not_sent_again(home: Home) -> None:
    """Its size and time say that it is the same; a file without any rights can still be replaced."""
    home.feed(stream(file("a", b"old"), file("locked", b"1", m=0o000), files=2))
    again = Home(home.root)
    same = line(f="a", n=3, m=0o644, t=10**18, same=True)
    arrived = only(again.feed(stream(same, file("locked", b"22"), files=2)))
    assert (Path(arrived.path) / "a").read_bytes() == b"old"
    assert (Path(arrived.path) / "locked").stat().st_size == 2


names = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["..", ".", "/", "a/..", "../a", "a/../../b", "/tmp/x", "a\n", "\0", "-x", "status.yaml", "attempts", "a", "a/b"]
)
entries = st.one_of(
    st.builds(lambda name, data: file(name, data), names, st.binary(max_size=50)),
    st.builds(lambda name, size: line(f=name, n=size, m=511, t=0, s="x"), names, st.integers(-1, 2**70)),
    st.builds(lambda name: line(d=name, m=0o7777, t=1), names),
    st.builds(lambda name: line(x=name, why="a link"), names),
    st.builds(lambda name, n: line(left=name, n=n), names, st.integers()),
    st.builds(lambda i, a: line(task=[i, a]), st.integers(-1, 2), st.integers(-1, 3)),
    st.builds(lambda i, a, n: line(end=[i, a], files=n), st.integers(-1, 2), st.integers(-1, 3), st.integers(0, 3)),
    st.builds(lambda word, i: line(**{word: [i, 1]}), st.sampled_from(["gone", "absent", "done", "s"]), st.integers()),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)).map(
        lambda value: json.dumps(value).encode() + b"\n"
    ),
    st.binary(max_size=30),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(entries, max_size=12), st.integers(1, 64))
def test_no_stream_writes_beside_its_folder(parts: List[bytes], piece: int) -> None:
    """Whatever a host sends is taken or refused: only files of attempts that were asked for appear."""
    with tempfile.TemporaryDirectory() as root:
        home = Home(Path(root) / "home", cap=1000)
        with contextlib.suppress(BrokenStream):
            home.feed(line(hsm_pack=NONCE) + line(task=[0, 1]) + b"".join(parts), piece)
        assert home.strays() == []
        assert os.listdir(root) in ([], ["home"])
        size = sum(os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(root) for name in names)
        assert size <= 2 * (1000 + (1 << 20))


kept_names = st.text(
    st.characters(min_codepoint=32, exclude_characters="/\x7f", exclude_categories=("Cs", "Cc")),
    min_size=1,
    max_size=40,
).filter(lambda name: name not in (".", "..", "attempts") and len(name.encode()) <= 255)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(kept_names, st.binary(max_size=100), min_size=1, max_size=10), st.integers(1, 1000))
def test_honest_files_arrive_whatever_they_are_called(files: Dict[str, bytes], piece: int) -> None:
    """Spaces, quotes, leading dashes, any script: names and contents are what they were."""
    with tempfile.TemporaryDirectory() as root:
        home = Home(Path(root))
        arrived = only(home.feed(stream(*(file(*one) for one in files.items()), files=len(files)), piece))
        assert {name: (Path(arrived.path) / name).read_bytes() for name in os.listdir(arrived.path)} == files
        assert arrived.whole
