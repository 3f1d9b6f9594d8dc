"""What runs on the other machine: on the oldest Python, cut off in the middle, and as honest as its stream."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator, List

import pytest
from hsm_sync.there import receive, tree

from hsm_core.contract import SyncVerdict
from hsm_core.errors import HsmError
from hsm_core.testing.pythons import interpreter

OLDEST = interpreter()
HELLO = hashlib.sha256(b"hello").hexdigest()


@pytest.mark.skipif(OLDEST is None, reason="NOT TESTED WITH PYTHON 3.6: no python3.6 on PATH")
def test_the_oldest_python_does_it_all(lab: Any) -> None:
    """Locating, comparing, pushing, mending and pruning, with names that the locale there has no letters for."""
    lab.options["python"] = OLDEST
    lab.write({"über/naïve.py": "1", "new\nline": "2", b"\xff\xfe".decode("utf-8", "surrogateescape"): "3"})
    (lab.project / "link").symlink_to("train.py")
    first = lab.push()
    assert lab.content().verdict is SyncVerdict.IN_SYNC
    lab.write({"train.py": "2"})
    assert lab.content().modified == ("train.py",)
    second = lab.push()
    assert first != second
    assert (second / "über" / "naïve.py").read_text() == "1"
    (second / "train.py").write_text("edited")
    with pytest.raises(HsmError, match="edited"):
        lab.push()
    lab.push(force=True)
    assert lab.content().verdict is SyncVerdict.IN_SYNC


def test_a_push_that_is_killed_there_leaves_no_copy(lab: Any) -> None:
    """A snapshot has its name only when it is whole; the next push does it all again."""
    lab.write({f"{number}.bin": os.urandom(200_000) for number in range(20)})
    plan = lab.plan()
    killed: List[int] = []

    def kill(sent: int) -> None:
        if not killed and sent > plan.send_bytes // 2:
            listed = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "hsm_sync.there"], capture_output=True)
            killed.extend(int(word) for word in listed.stdout.split())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(OSError, match="no answer"):
        plan.apply(False, kill)
    assert killed
    assert not Path(plan.place).exists()
    assert lab.content().verdict is SyncVerdict.DIFFERS
    assert lab.push() == Path(plan.place)
    assert lab.content().verdict is SyncVerdict.IN_SYNC


def test_a_place_is_not_touched_by_a_push_that_is_cut_off(lab: Any) -> None:
    """In a folder of the user's own nothing changes before everything has arrived."""
    lab.options["project"] = "mine"
    place = lab.push()
    lab.write({"train.py": "2", "lib/model.py": "3", "new.py": "4"})
    plan = lab.plan()
    lab.write({"train.py": "5"})  # the first to be sent is the second of them
    with pytest.raises(HsmError):
        plan.apply(False, lambda sent: None)
    assert sorted(path.name for path in place.rglob("*")) == ["lib", "model.py", "train.py"]
    assert (place / "lib" / "model.py").read_text() == "x = 1\n"


def pieces(*parts: bytes) -> Iterator[bytes]:
    """A stream."""
    return iter(parts)


@pytest.mark.parametrize("parts", [[b"hello", b"END"], [b"h", b"ello", b"E", b"ND"], [b"helloEND"], [b"helloEN", b"D"]])
def test_pieces_may_be_cut_anywhere(tmp_path: Path, parts: List[bytes]) -> None:
    """The stream has no lines and no frames, only sizes that both sides know."""
    reader = receive.Reader(pieces(*parts))
    reader.copy(os.fsencode(tmp_path / "file"), 5, HELLO)
    reader.end()
    assert (tmp_path / "file").read_bytes() == b"hello"


@pytest.mark.parametrize("parts", [[b"hell"], [b"hello"], [b"helloEN"], [b"helloXXX"], [b"jelloEND"]])
def test_a_stream_that_is_not_whole_is_refused(tmp_path: Path, parts: List[bytes]) -> None:
    """Too short, damaged, or without its end."""
    reader = receive.Reader(pieces(*parts))

    def take() -> None:
        reader.copy(os.fsencode(tmp_path / "file"), 5, HELLO)
        reader.end()

    with pytest.raises(receive.Refused):
        take()


def test_a_digest_is_of_content_and_of_nothing_else() -> None:
    """Paths, contents, executable bits and links count; sizes, order and folders do not."""
    manifest = {"files": {"a": ["0", 1, False], "b": ["1", 1, False]}, "links": {"l": "a"}, "folders": []}
    same = {"files": {"b": ["1", 1, False], "a": ["0", 9, False]}, "links": {"l": "a"}, "folders": ["x"]}
    assert tree.digest(same) == tree.digest(manifest)
    others = [
        {**manifest, "files": {**manifest["files"], "a": ["0", 1, True]}},  # type: ignore[dict-item]
        {**manifest, "files": {**manifest["files"], "a": ["2", 1, False]}},  # type: ignore[dict-item]
        {**manifest, "files": {"a": ["0", 1, False]}},
        {**manifest, "links": {"l": "b"}},
        {**manifest, "links": {}},
    ]
    assert len({tree.digest(other) for other in [manifest, *others]}) == 6


def test_it_needs_nothing_that_is_ours(lab: Any) -> None:
    """The code runs where no package of this project is: isolated, without site-packages."""
    code = "import sys; print(any('site-packages' in path for path in sys.path))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
    lab.options["python"] = sys.executable
    lab.push()
    assert lab.content().verdict is SyncVerdict.IN_SYNC
