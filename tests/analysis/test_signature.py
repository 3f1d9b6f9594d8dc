"""Signatures: the last words of a failed program, with what differs from run to run masked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.analysis import read_tail, signature

FAILED = {"state": "failed", "exit_code": 1}

TRACEBACK = b"""\
epoch 3: loss 0.25
Traceback (most recent call last):
  File "/home/ada/run 7/train.py", line 31, in <module>
    main()
ValueError: batch 128 does not fit '/scratch/ada/x' (7.5 GiB)
wandb: synced 3 files
"""


def test_traceback_gives_its_exception() -> None:
    """Of a traceback the line with the exception counts, whatever is printed around it."""
    assert signature(TRACEBACK, FAILED) == "ValueError: batch <n> does not fit <value> (<n> GiB)"


def test_chained_traceback_gives_the_last_exception() -> None:
    """Where one exception led to another, the one that ended the program counts."""
    tail = TRACEBACK + b"\nDuring handling ...\n\nTraceback (most recent call last):\n  File x\nhydra.errors.Bad: no\n"
    assert signature(tail, FAILED) == "hydra.errors.Bad: no"


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("cannot open /data/a7/x.csv: no such file", "cannot open <path>: no such file"),
        (r"cannot open C:\data\x.csv", "cannot open <path>"),
        ("object at 0x7f33Ab10 of 12.5e-3", "object at <address> of <n>"),
        ("run 3f9a1c2b-0000-4000-8000-00000000abcd gone", "run <id> gone"),
        ("commit 3f9a1c2 gone", "commit <id> gone"),
        ("KeyError: 'lr=0.1'", "KeyError: <value>"),
        ("conv2d expects float32, can't take task_007", "conv2d expects float32, can't take task_<n>"),
        ("\x1b[31mbad\x1b[0m thing\x00", "bad thing"),
        ("10%\r20%\rout of disk", "out of disk"),
    ],
)
def test_what_differs_is_masked(line: str, masked: str) -> None:
    """Numbers, addresses, ids, paths and quoted values are masked; words with digits in them are words."""
    assert signature(line.encode() + b"\n\n", FAILED) == masked


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"state": "failed", "exit_code": 3}, "exit code 3"),
        ({"state": "failed", "signal": 11}, "signal 11"),
        ({"state": "failed", "exit_code": 127, "reason": "trian.py: command not found"}, "trian.py: command not found"),
        ({"state": "timeout", "signal": 15}, "stopped at its time limit"),
        ({"state": "failed", "signal": 9, "oom_killed": True}, "killed for memory"),
        ({}, "failed without a word"),
    ],
)
def test_silent_program_is_known_by_its_end(record: dict, said: str) -> None:
    """A program that wrote nothing is grouped by how it ended."""
    assert signature(b" \n", record) == said


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text("\n\0\u2028é9 '/") | st.lists(st.integers())


@given(
    st.binary(max_size=300) | st.text(alphabet="/'\"`-0aF.\n\\ ", max_size=300).map(str.encode),
    st.dictionaries(st.sampled_from(["state", "exit_code", "signal", "reason", "oom_killed"]), VALUES),
)
def test_any_bytes_give_one_short_line(tail: bytes, record: dict) -> None:
    """Whatever a program wrote and its record says, there is one non-empty printable line of bounded length."""
    said = signature(tail, record)
    assert 0 < len(said) <= 160
    assert len(said.splitlines()) == 1


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_alike_whatever_the_numbers(one: int, other: int) -> None:
    """Two failures that differ in a number only have one signature."""
    assert signature(b"loss is nan at step %d" % one, FAILED) == signature(b"loss is nan at step %d" % other, FAILED)


def test_tail_is_the_end_of_the_file(tmp_path: Path) -> None:
    """Only the end of a large file is read."""
    path = tmp_path / "stderr.log"
    path.write_bytes(b"x" * 10000 + b"end")
    assert read_tail(str(path), 5) == b"xxend"


def test_no_file_has_an_empty_tail(tmp_path: Path) -> None:
    """A file that is not there, or is a folder, has said nothing."""
    assert read_tail(str(tmp_path / "none")) == b""
    assert read_tail(str(tmp_path)) == b""
