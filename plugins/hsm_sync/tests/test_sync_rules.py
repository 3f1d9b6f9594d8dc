"""Which files are the project: git's rules, `.hsmignore`, and what is never part of it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Dict, List, Mapping, Set

import pytest
from hsm_sync.rules import Rules, walk
from hypothesis import given, settings
from hypothesis import strategies as st


def make(root: Path, files: Mapping[str, str]) -> None:
    """Files with their folders; a name that ends in a slash is a folder."""
    for name, text in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def found(root: Path) -> List[str]:
    """The files of the project."""
    entries = walk(Rules.of(os.fsencode(root)))
    return [entry.path for entry in entries if not stat.S_ISDIR(entry.status.st_mode)]


def git(root: Path, *words: str) -> bytes:
    """Run git as nobody in particular."""
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    who = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *words], cwd=root, env=environ, check=True, stdout=subprocess.PIPE).stdout


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.py": "", ".git/config": "", "x/.git": "", ".hsm/x": "", "x/.hsm/x": "", "x/b.py": ""}, "a.py x/b.py"),
        ({"sweeps/outputs/s1/x": "", "sweeps/sweep_config.yaml": "", "hsm_config.yaml": "", "a.py": ""}, "a.py"),
        ({"sweeps/outputs/s1/x": "", "sweeps/s.yaml": "", ".hsmignore": "!/sweeps/\n"}, ".hsmignore sweeps/s.yaml"),
        ({"a.log": "", "b.py": "", ".gitignore": "*.log\n"}, ".gitignore b.py"),
        ({"a.log": "", "keep.log": "", ".gitignore": "*.log\n!keep.log\n"}, ".gitignore keep.log"),
        ({"x/a.log": "", "y/a.log": "", "x/.gitignore": "*.log\n"}, "x/.gitignore y/a.log"),
        ({"a.log": "", "x/a.log": "", ".gitignore": "/a.log\n"}, ".gitignore x/a.log"),
        ({"d/x": "", "d/y": "", ".gitignore": "d/*\n", ".hsmignore": "!d/y\n"}, ".gitignore .hsmignore d/y"),
        ({"data/big": "", ".gitignore": "data/\n", ".hsmignore": "!data/\n"}, ".gitignore .hsmignore data/big"),
        ({"d/x": "", "d/y": "", ".gitignore": "d/\n", ".hsmignore": "!d/\nd/*\n!d/y\n"}, ".gitignore .hsmignore d/y"),
        ({"secret.env": "", "a.py": "", ".hsmignore": "*.env\n"}, ".hsmignore a.py"),
        ({"__pycache__/a.pyc": "", "b.pyc": "", ".venv/x": "", "a.py": ""}, "a.py"),
        ({"b.pyc": "", ".gitignore": "!*.pyc\n"}, ".gitignore b.pyc"),
    ],
)  # fmt: skip
def test_what_belongs_to_the_project(tmp_path: Path, files: Dict[str, str], expected: str) -> None:
    """Each rule and which of two is the stronger."""
    make(tmp_path, files)
    assert found(tmp_path) == expected.split()


def test_what_git_tracks_belongs_to_it_whatever_is_ignored(tmp_path: Path) -> None:
    """A file added by force, alone in an ignored folder; .hsmignore can leave it out all the same."""
    make(tmp_path, {".gitignore": "data/\n", "data/labels.csv": "", "data/big.bin": "", "data/x/y/z": "", "a.py": ""})
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-f", "data/labels.csv", "data/x/y/z", "a.py")
    assert found(tmp_path) == [".gitignore", "a.py", "data/labels.csv", "data/x/y/z"]
    make(tmp_path, {".hsmignore": "labels.csv\n"})
    assert found(tmp_path) == [".gitignore", ".hsmignore", "a.py", "data/x/y/z"]


def test_the_exclude_file_of_a_checkout_counts(tmp_path: Path) -> None:
    """`.git/info/exclude` is a .gitignore of one's own."""
    make(tmp_path, {"notes.txt": "", "a.py": ""})
    git(tmp_path, "init", "-q")
    (tmp_path / ".git" / "info" / "exclude").write_text("notes.txt\n")
    assert found(tmp_path) == ["a.py"]


def test_names_of_another_copy_are_judged_by_the_rules_here(tmp_path: Path) -> None:
    """A path that is not here is ignored if it, or a folder on the way to it, would be."""
    make(tmp_path, {".gitignore": "*.log\nwandb/\n", "lib/.gitignore": "*.tmp\n"})
    rules = Rules.of(os.fsencode(tmp_path))
    assert rules.leaves_out("a.log", False)
    assert rules.leaves_out("wandb/run-1/x.py", False)
    assert rules.leaves_out("lib/deep/x.tmp", False)
    assert rules.leaves_out("sweeps/outputs", True)
    assert not rules.leaves_out("x.tmp", False)
    assert not rules.leaves_out("plots", True)


_NAME = st.sampled_from(["a", "b.log", "build", "keep.log", "x.py", "sub"])
_PATTERNS = (
    r"*.log !keep.log build/ /build sub/* !sub/a **/a sub/** !sub/** *.py !* * /sub/build/ x.* [ab]* a/**/x.py !*/ ** "
    r"/** a/** sub/**/a [!a]* [^b].log [[:alpha:]] ?.log x[.]py \!x \a [ab [] []a] a\ [b-a] [a-c]/* **/ a**g /*/a # !/"
)
_PATTERN = st.sampled_from(_PATTERNS.split())


@settings(max_examples=80, deadline=None)
@given(
    paths=st.sets(st.lists(_NAME, min_size=1, max_size=3).map("/".join), max_size=12),
    root_rules=st.lists(_PATTERN, max_size=4),
    sub_rules=st.lists(_PATTERN, max_size=2),
)
def test_git_means_the_same(
    tmp_path_factory: pytest.TempPathFactory, paths: Set[str], root_rules: List[str], sub_rules: List[str]
) -> None:
    """For any files and rules what is found is what git would offer to add."""
    root = tmp_path_factory.mktemp("checkout")
    folders = {"/".join(path.split("/")[:n]) for path in paths for n in range(1, path.count("/") + 1)}
    make(root, {path: "" for path in paths - folders})
    (root / ".gitignore").write_text("\n".join(root_rules) + "\n")
    if (root / "sub").is_dir():
        (root / "sub" / ".gitignore").write_text("\n".join(sub_rules) + "\n")
    git(root, "init", "-q")
    listed = git(root, "ls-files", "-z", "--others", "--exclude-standard").decode().split("\0")
    assert sorted(found(root)) == sorted(name for name in listed if name)
    shutil.rmtree(root)
