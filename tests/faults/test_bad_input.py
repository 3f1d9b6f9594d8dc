"""Bad input of every kind: one line that names the place, one with the remedy, the right exit code, nothing left."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import pytest

from hsm_core.cli import main

CONFIG = """\
# How hsm runs this project.
project:
  name: demo
  script: train.py
  python: python3
  arg_style: argparse
  env: {SEED: 7}
compute:
  retries: 1
  timeout: 90m
  strategy: round_robin
  hold_after: 10
resources:
  cpus: 1
  memory: 2G
sources:
  box: {kind: local, slots: 2}
"""
SWEEP = """\
grid:
  learning_rate: [0.001, 1e-2, 0.1]
  model.depth: [2, 3]
paired:
  - a: [1, 2]
    b: [x, y]
exclude:
  - learning_rate > 0.05 and depth == 3
metadata:
  description: "A search"
  tags: [one, two]
"""


class Said(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good project, which is the current folder; what would run a sweep only says so."""
    root = tmp_path / "project"
    (root / "sweeps").mkdir(parents=True)
    (root / "hsm_config.yaml").write_text(CONFIG)
    (root / "sweeps" / "sweep_config.yaml").write_text(
        SWEEP.replace("  - learning_rate > 0.05 and depth == 3\n", "  []\n")
    )
    (root / "train.py").write_text("pass\n")
    monkeypatch.chdir(root)

    def started(*arguments: Any, **options: Any) -> None:
        raise SystemExit(0)

    for name in ("conduct_here", "detach_controller"):
        monkeypatch.setattr(f"hsm_core.cli.conducting.{name}", started)
    return root


@pytest.fixture
def hsm(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Type a command; whatever is not an expected error comes out as it is, and fails the test."""

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["hsm", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        out, err = capsys.readouterr()
        return Said(0 if code is None else int(code), out, err)

    return run


def contents(root: Path) -> Dict[str, Any]:
    """Everything in a folder: names, and the bytes of files."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))}


def check_calm(said: Said, *codes: int) -> None:
    """One line and at most a hint, on standard error; one of these exit codes."""
    assert said.code in codes, said
    lines = [line for line in said.err.splitlines() if not line.startswith(("warning: ", "The latest sweep: "))]
    assert lines, said
    assert lines[0].startswith("hsm: "), said
    assert len(lines[0]) > len("hsm: ")
    assert len(lines) <= 2, said
    assert "Traceback" not in said.err


RUN = ("run", "--dry-run")
SOURCES = [
    ("", 2),
    (",", 2),
    ("local,", 2),
    (":", 2),
    ("::", 2),
    (":4", 2),
    ("local:", 2),
    ("local:0", 2),
    ("local:-1", 2),
    ("ssh:-oProxyCommand=x", 2),
    ("local:99999999999", 2),
    ("local:x:y:z", 2),
    ("local:x:2:3", 2),
    ("local local", 2),
    ("local\n", 0),
    ("lo\ncal", 2),
    ("local,local", 2),
    ("local:2,local:4", 2),
    ("local:a/b", 2),
    ("local:[::1", 2),
    ("lsf:h", 4),
    ("lsf", 4),
    ("hpc", 4),
    ("hpc:cluster:16", 4),
    ("locl", 4),
    ("4", 4),
    ("LOCAL", 4),
    ("ünï", 4),
    ("$(touch oops)", 2),
]


@pytest.mark.parametrize(("text", "code"), SOURCES, ids=[repr(text) for text, _ in SOURCES])
def test_sources_that_cannot_be_meant(project: Path, hsm: Callable[..., Said], text: str, code: int) -> None:
    """Every malformed or unknown source is named, with exit 2 or 4, by `run` before it makes anything."""
    before = contents(project)
    for words in (RUN, ("run",)):
        said = hsm(*words, "--sources", text)
        if code:
            check_calm(said, code)
            assert contents(project) == before
        else:
            assert said.code == 0


WORDS: List[Tuple[Tuple[str, ...], Tuple[int, ...], str]] = [
    (("nosuch",), (2,), "nosuch"),
    (("stauts",), (2,), "status"),
    (("run", "--nosuch"), (2,), "--nosuch"),
    (("run", "--dry-rnu"), (2,), "--dry-run"),
    (("run", "extra"), (2,), "extra"),
    (("run", "--max-tasks"), (2,), "--max-tasks"),
    (("run", "--max-tasks", "0"), (2,), "--max-tasks"),
    (("run", "--max-tasks", "many"), (2,), "many"),
    (("run", "--max-tasks", "1.5"), (2,), "1.5"),
    (("run", "--retries", "-1"), (2,), "--retries"),
    (("run", "--parallel-limit", "0"), (2,), "--parallel-limit"),
    (("run", "--timeout", "soon"), (2,), "soon"),
    (("run", "--timeout", "0"), (2,), "--timeout"),
    (("run", "--timeout", "-5"), (2,), "-5"),
    (("run", "--timeout", "nan"), (2,), "nan"),
    (("run", "--timeout", "1e400"), (2,), "1e400"),
    (("run", "--strategy", "nosuch"), (2,), "nosuch"),
    (("run", "--strategy", "randm"), (2,), "random"),
    (("run", "--config", "nosuch.yaml"), (3,), "nosuch.yaml"),
    (("run", "--config", "sweeps"), (2, 3), "sweeps"),
    (("run", "--config", ""), (2, 3), ""),
    *(
        (("run", "--sweep-id", text), (2,), "id")
        for text in ("../x", "/etc/x", "", "a\nb", ".", "..", "-x", " x", "a/b")
    ),
    (("run", "--sweep-id", "x" * 300), (2,), "characters"),
    *((("status", text), (2, 3), "") for text in ("../x", "/etc", "", "a\nb", "nosuch")),
    *((("complete", text), (2, 3), "") for text in ("../x", "nosuch", "..")),
    *((("cancel", text), (2, 3), "") for text in ("../x", "nosuch", "..")),
    (("cancel",), (2,), "ID"),
    *(((command, "nosuch", "1"), (2, 3), "") for command in ("logs", "explain")),
    (("export", "nosuch"), (3,), "no sweeps"),
    (("export", "--format", "nosuch"), (2,), "nosuch"),
    (("monitor", "nosuch"), (2,), "nosuch"),
    (("config", "get", "project.nosuch"), (2, 3), "nosuch"),
    (("config", "set", "project.nosuch", "1"), (2,), "nosuch"),
    (("config", "set", "compute.retries", "many"), (2,), "retries"),
    (("config", "nosuch"), (2,), "nosuch"),
    (("config", "init"), (2, 3), "hsm_config.yaml"),
    (("completion", "nosuch"), (2,), "nosuch"),
    (("status", "--all", "x"), (2,), "--all"),
]


@pytest.mark.parametrize(("words", "codes", "named"), WORDS, ids=[" ".join(words)[:40] for words, _, _ in WORDS])
def test_words_that_cannot_be_meant(
    project: Path, hsm: Callable[..., Said], words: Tuple[str, ...], codes: Tuple[int, ...], named: str
) -> None:
    """A command, option, number, id or file that is none is named, with exit 2 or 3; nothing is changed."""
    before = contents(project)
    said = hsm(*words)
    check_calm(said, *codes)
    assert named in said.err
    assert contents(project) == before


def test_a_script_that_is_not_there(project: Path, hsm: Callable[..., Said]) -> None:
    """The missing program is named before anything is made, and how to name another."""
    (project / "train.py").unlink()
    before = contents(project)
    said = hsm("run")
    check_calm(said, 3)
    assert "train.py" in said.err
    assert contents(project) == before


def test_outside_of_a_project(hsm: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a project every command says how to make one."""
    monkeypatch.chdir(tmp_path)
    for words in (("run",), ("status",), ("complete", "x"), ("config", "validate"), ("monitor", "recent")):
        said = hsm(*words)
        check_calm(said, 3)
        assert "config init" in said.err, said


def test_a_current_folder_that_is_gone(
    hsm: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder where a person stands may have been removed by another: a line, not a traceback."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for words in (("run",), ("status",), ("config", "show"), ("config", "init")):
        check_calm(hsm(*words), 3)
    monkeypatch.chdir(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; test_disk has a read-only disk for root")
def test_a_folder_without_permission(project: Path, hsm: Callable[..., Said]) -> None:
    """Where nothing can be written: the folder is named, exit 3, nothing is made."""
    (project / "sweeps").chmod(0o555)
    before = contents(project)
    check_calm(hsm("run"), 3)
    assert contents(project) == before


def test_a_file_in_the_place_of_the_outputs(project: Path, hsm: Callable[..., Said]) -> None:
    """`sweeps/outputs` is a file: it is named, and left as it is."""
    (project / "sweeps" / "outputs").write_text("mine")
    before = contents(project)
    check_calm(hsm("run"), 3)
    assert contents(project) == before


# --- a fuzzed corpus


JUNK = [
    "\t", ":", "- ", "[", "]", "{", "}", "'", '"', "#", "&a ", "*a", "!!python/object:os.system ", "|\n", ">", "\x00",
    "\x07", "\u2028", "💥", "%", "@", "null", "~", "yes", "1e999", "-1", "0", ".nan", "2024-01-01", "? ", "<<: ",
    "---\n", "...\n", "\r\n", "\ufeff", "x" * 3000, "  ", "\n", "$(x)", "__import__('os')", "9" * 400,
]  # fmt: skip


def mutated(text: str, choice: random.Random) -> str:
    """A valid text with a few things wrong with it."""
    for _ in range(choice.randint(1, 3)):
        lines = text.splitlines(keepends=True) or [""]
        kind = choice.randrange(7)
        at = choice.randrange(len(text) + 1)
        row = choice.randrange(len(lines))
        if kind == 0:
            text = text[:at] + choice.choice(JUNK) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + choice.randint(1, 8) :]
        elif kind == 2:
            text = "".join(lines[:row] + lines[row + 1 :])
        elif kind == 3:
            text = "".join([*lines, lines[row]])
        elif kind == 4:
            key, colon, _ = lines[row].partition(":")
            lines[row] = f"{key}{colon} {choice.choice(JUNK)}\n"
            text = "".join(lines)
        elif kind == 5:
            lines[row] = choice.choice(["  ", " ", "\t"]) + lines[row]
            text = "".join(lines)
        else:
            text = text[:at]
    return text


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["hsm_config.yaml", "sweeps/sweep_config.yaml"])
def test_mutated_files(project: Path, hsm: Callable[..., Said], name: str, seed: int) -> None:
    """Whatever stands in the files: the commands work, or say in one line what is wrong; they change nothing."""
    choice = random.Random(f"{name} {seed}")
    path = project / name
    for _ in range(20):
        broken = mutated(CONFIG if name == "hsm_config.yaml" else SWEEP, choice)
        path.write_bytes(broken.encode("utf-8", "surrogatepass"))
        before = contents(project)
        for words in (("run", "--count-only"), RUN, ("config", "validate")):
            said = hsm(*words)
            if said.code and words[0] == "run":
                check_calm(said, 2, 3, 4)
            else:
                assert said.code in (0, 1, 2), (said, broken)
        assert contents(project) == before


VECTORS = [
    ["run", "--sources", "local:2,box:3", "--max-tasks", "3", "--sweep-id", "s1", "--retries", "2", "--timeout", "90m"],
    ["run", "--config", "sweeps/sweep_config.yaml", "--dry-run", "--parallel-limit", "2", "--strategy", "random"],
    ["complete", "s1", "--sources", "local", "--retry-failed", "--dry-run"],
    ["status", "--all", "--json"],
    ["config", "set", "compute.retries", "3"],
    ["config", "show"],
    ["cancel", "s1", "task_001", "3-5"],
    ["logs", "s1", "7"],
    ["export", "s1", "--format", "csv"],
    ["plugins", "--json"],
]
BITS = ["", "-", "--", "-x", "--x=1", "=", "../..", "/", "\n", " ", "💥", "9" * 30, "-1", "nan", "a" * 300, "*", "$(x)"]


@pytest.mark.parametrize("seed", range(10))
def test_mutated_command_lines(project: Path, hsm: Callable[..., Said], seed: int) -> None:
    """Whatever is typed: the command works, or says in one line what is wrong; a failed one leaves nothing behind."""
    choice = random.Random(seed)
    for _ in range(30):
        words = list(choice.choice(VECTORS))
        for _ in range(choice.randint(1, 3)):
            at = choice.randrange(len(words)) if words else 0
            kind = choice.randrange(5)
            if kind == 0 and words:
                del words[at]
            elif kind == 1:
                words.insert(at, choice.choice(BITS))
            elif kind == 2 and words:
                words[at] = choice.choice(BITS)
            elif kind == 3:
                words.insert(at, choice.choice(choice.choice(VECTORS)))
            elif words:
                words[at] = words[at][: len(words[at]) // 2] + choice.choice(BITS)
        before = contents(project)
        said = hsm(*words)
        a_group_alone = said.err.startswith("Usage: hsm")
        if said.code and not a_group_alone and (said.err or not said.out):
            check_calm(said, 2, 3, 4)
        if said.code:
            assert contents(project) == before, words


def test_words_that_are_no_text(yard: Any) -> None:
    """Bytes that are no UTF-8 can be typed; they are named as well as they can be."""
    for words in (("\udcff",), ("status", "\udcff"), ("run", "--sources", "\udcff"), ("run", "--config", "\udcff")):
        code, said = yard.hsm(*words)
        assert code in (2, 3, 4), said
        assert said.startswith("hsm: ")
