"""Laws of bringing a folder up to date, for any state that it, the project and the last push may be in."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional
from unittest import mock

import pytest
from hsm_sync.here import look_here
from hsm_sync.there import copies, receive
from hsm_sync.there.tree import Manifest, digest
from hypothesis import given, settings
from hypothesis import strategies as st

Tree = Dict[str, Any]
"""Path -> text of a file, `-> x` for a link, None for a folder."""

_STEP = st.sampled_from(["a", "b", "c"])
_PATH = st.lists(_STEP, min_size=1, max_size=3).map("/".join)
_WHAT = st.sampled_from(["one", "two", "three", "-> a", "-> nowhere", None])
_TREES = st.dictionaries(_PATH, _WHAT, max_size=6)


def write(root: Path, tree: Tree) -> None:
    """Make a folder this tree, as far as one path is not inside another that is a file."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    change(root, tree)


def change(root: Path, tree: Tree) -> None:
    """Put these into the folder, in the place of what stands in their way."""
    for name, what in sorted(tree.items()):
        path = root / name
        for folder in [*reversed(path.relative_to(root).parents)][1:]:
            if (root / folder).is_symlink() or (root / folder).is_file():
                (root / folder).unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.is_symlink() or path.exists():
            path.unlink()
        if what is None:
            path.mkdir()
        elif what.startswith("-> "):
            path.symlink_to(what[3:])
        else:
            path.write_text(what)


def read(root: Path) -> Tree:
    """Everything in a folder."""
    found: Tree = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            shown = str(path.relative_to(root))
            found[shown] = (
                f"-> {os.readlink(path)}" if path.is_symlink() else None if path.is_dir() else path.read_text()
            )
    return found


class Bench:
    """A project, a folder there, and pushes without a wire between them."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.there = folder / "home" / "mine"
        self.state = folder / "home" / ".hsm" / "projects" / "p-1" / ".hsm"
        self.there.mkdir(parents=True)

    def manifest(self) -> Manifest:
        """Of the project as it is."""
        return look_here(str(self.project)).manifest

    def push(self, force: bool) -> Optional[str]:
        """Push; None when it was refused, else the folder of the backup, or nothing."""
        manifest = self.manifest()
        request = {"project": "p-1", "place": str(self.there), "digest": digest(manifest), "manifest": manifest}
        contents: Dict[str, bytes] = {
            entry[0]: (self.project / name).read_bytes() for name, entry in manifest["files"].items()
        }
        sent = receive.plan(request)["lacks"]
        stream = iter([*(contents[checksum] for checksum in sent), b"END"])
        try:
            return receive.receive({**request, "sent": sent, "force": force}, stream)["backup"] or ""
        except receive.Refused as refused:
            return None if refused.answer["edited"] else "refused without a reason"

    def differs(self) -> List[str]:
        """What is not there as it is here."""
        manifest = self.manifest()
        request = {"project": "p-1", "place": str(self.there), "digest": digest(manifest), "manifest": manifest}
        answer = copies.verify(request)
        return [*answer["missing"], *answer["modified"], *answer["stale"]]


@pytest.fixture(scope="module")
def space() -> Iterator[Path]:
    """A folder for all the examples."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@settings(max_examples=80, deadline=None)
@given(first=st.none() | _TREES, edits=_TREES, removed=st.lists(_PATH, max_size=2), second=_TREES, again=st.booleans())
def test_nothing_that_somebody_did_is_lost_and_force_makes_it_the_same(
    space: Path, first: Optional[Tree], edits: Tree, removed: List[str], second: Tree, again: bool
) -> None:
    """A push without force changes nothing or loses nothing; with force what was edited is in the backup.

    :param first: what was pushed before; None: nothing was.
    :param edits: what somebody then did there, and `removed`.
    :param second: what the project has become; where `again`, all of it is on top of what it was.
    """
    root = Path(tempfile.mkdtemp(dir=space))
    with mock.patch.dict(os.environ, {"HOME": str(root / "home"), "XDG_CACHE_HOME": str(root / "cache")}):
        bench = Bench(root)
        if first is not None:
            write(bench.project, first)
            assert bench.push(False) == ""
            assert bench.differs() == []
        pushed = read(bench.there)
        change(bench.there, edits)
        for name in removed:
            path = bench.there / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.is_symlink() or path.exists():
                path.unlink()
        before = read(bench.there)
        theirs = {name: what for name, what in before.items() if what is not None and pushed.get(name) != what}
        if again and first is not None:
            change(bench.project, second)
        else:
            write(bench.project, second)

        backup = bench.push(False)
        if backup is None:
            assert read(bench.there) == before
            backup = bench.push(True)
        assert backup is not None
        assert bench.differs() == []
        after = read(bench.there)
        kept = read(Path(backup)) if backup else {}
        wanted = read(bench.project)
        for name, what in theirs.items():
            assert what in (after.get(name), kept.get(name)), name
        for name, what in after.items():
            assert what is None or what in (wanted.get(name), before.get(name)), name
        assert [path.name for path in bench.there.iterdir() if path.name == ".hsm"] == []
    shutil.rmtree(root)
