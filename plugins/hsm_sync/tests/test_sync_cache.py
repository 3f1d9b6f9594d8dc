"""Checksums remembered: what did not change is not read twice, what did is never taken for what it was."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Tuple

import pytest
from hsm_sync.there import tree

from hsm_core.contract import SyncVerdict


def look(folder: Path) -> Tuple[str, int]:
    """The checksum of the one file there, and how many files had to be read for it."""
    file = os.fsencode(folder / "file")
    hashes = tree.Hashes(os.fsencode(folder / "cache"))
    checksum = hashes.of("file", file, os.lstat(file))
    hashes.save()
    return checksum, hashes.hashed


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is ten seconds ahead, so that what was just written has settled."""
    real = time.time
    monkeypatch.setattr(tree.time, "time", lambda: real() + 10.0)


def test_what_did_not_change_is_not_read_again(tmp_path: Path, later: None) -> None:
    """The second look costs no reading."""
    (tmp_path / "file").write_text("one")
    first = look(tmp_path)
    assert first[1] == 1
    assert look(tmp_path) == (first[0], 0)


def test_what_changed_is_read_again(tmp_path: Path, later: None) -> None:
    """Another size, another time, another file under the name: each is enough."""
    file = tmp_path / "file"
    file.write_text("one")
    look(tmp_path)
    for change in (
        lambda: file.write_text("longer"),
        lambda: os.utime(file, (1, 1)),
        lambda: ((tmp_path / "other").write_text("longer"), os.replace(tmp_path / "other", file)),
        lambda: file.chmod(0o755),
    ):
        change()
        assert look(tmp_path)[1] == 1
        assert look(tmp_path)[1] == 0


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path) -> None:
    """It could change once more within the same tick of the file system's clock, and look the same."""
    file = tmp_path / "file"
    file.write_text("one")
    times = (os.stat(file).st_atime_ns, os.stat(file).st_mtime_ns)
    first, _ = look(tmp_path)
    file.write_text("two")
    os.utime(file, ns=times)
    second, hashed = look(tmp_path)
    assert (second != first, hashed) == (True, 1)


def test_a_change_that_hides_behind_its_mtime_is_seen(tmp_path: Path, later: None) -> None:
    """`cp -p` and `touch -d` set the modification time; the change time tells of them."""
    file = tmp_path / "file"
    file.write_text("one")
    times = (os.stat(file).st_atime_ns, os.stat(file).st_mtime_ns)
    first, _ = look(tmp_path)
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:  # one tick of the file system's clock
        file.write_text("two")
        os.utime(file, ns=times)
        if look(tmp_path)[0] != first:
            break
    assert look(tmp_path)[0] != first


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"file": 3}', '{"file": [3, 1, 1, 1, 7]}', '{"file": null}'])
def test_a_damaged_memory_costs_time_only(tmp_path: Path, later: None, text: str) -> None:
    """Whatever the cache says that it cannot mean is as good as nothing."""
    (tmp_path / "file").write_text("one")
    right, _ = look(tmp_path)
    (tmp_path / "cache").write_text(text)
    assert look(tmp_path) == (right, 1)
    assert "file" in json.loads((tmp_path / "cache").read_text())


def test_a_memory_that_cannot_be_written_costs_time_only(tmp_path: Path, later: None) -> None:
    """A home folder that is full or not there stops no check."""
    (tmp_path / "file").write_text("one")
    (tmp_path / "not a folder").write_text("")
    file = os.fsencode(tmp_path / "file")
    for _ in range(2):
        hashes = tree.Hashes(os.fsencode(tmp_path / "not a folder" / "cache"))
        hashes.of("file", file, os.lstat(file))
        hashes.save()
        assert hashes.hashed == 1


def test_what_is_gone_is_forgotten(tmp_path: Path, later: None) -> None:
    """The cache has the files of the last look, not of all that ever were."""
    (tmp_path / "file").write_text("one")
    look(tmp_path)
    tree.Hashes(os.fsencode(tmp_path / "cache")).save()
    assert json.loads((tmp_path / "cache").read_text()) == {}


def test_a_change_there_with_the_same_size_and_time_is_seen(lab: Any) -> None:
    """The whole way: checked, changed at once without another size or time, checked again."""
    lab.options["project"] = "mine"
    place = lab.push()
    assert lab.content().verdict is SyncVerdict.IN_SYNC
    times = (os.stat(place / "lib/model.py").st_atime_ns, os.stat(place / "lib/model.py").st_mtime_ns)
    (place / "lib" / "model.py").write_text("x = 2\n")
    os.utime(place / "lib" / "model.py", ns=times)
    assert lab.content().modified == ("lib/model.py",)
