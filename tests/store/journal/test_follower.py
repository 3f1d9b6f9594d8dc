"""Reading the journal: replay, following, torn tails and damage."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from hsm_core.errors import StoreError
from hsm_core.store.journal import (
    START,
    Follower,
    JournalRewound,
    JournalWriter,
    Position,
    created_at,
    newest_epoch,
    read,
)
from hsm_core.store.journal import follower as follower_module

Event = Dict[str, Any]


def note(text: Any) -> Event:
    """An event."""
    return {"e": "note", "t": 1.5, "text": text}


def write(directory: Path, epoch: int, *batches: List[Event], after: Optional[Position] = None) -> Path:
    """A segment with these batches; its file."""
    with JournalWriter.open(directory, "s", epoch, after) as writer:
        for batch in batches:
            writer.append(batch)
    return directory / f"{epoch:04d}.jsonl"


def test_an_empty_place_has_no_events(tmp_path: Path) -> None:
    """Neither a missing nor an empty folder is an error."""
    assert list(read(tmp_path / "missing")) == []
    assert list(read(tmp_path)) == []
    assert newest_epoch(tmp_path / "missing") == 0
    assert created_at(tmp_path) is None


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Events come back as they were, in order, over all segments."""
    odd = [note(text) for text in ("", "a\nb", "\u2028", "\ud800", "😀", {"x": [1, 2.5, None, True]})]
    write(tmp_path, 1, odd[:2], odd[2:])
    write(tmp_path, 2, [note("second")])
    assert list(read(tmp_path)) == [*odd, note("second")]
    assert newest_epoch(tmp_path) == 2


def test_a_journal_of_many_blocks_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that lie across the blocks of reading, or are longer than several of them, arrive whole."""
    monkeypatch.setattr(follower_module, "_BLOCK", 64)
    events = [note("x" * (7 * index % 300)) for index in range(200)]
    write(tmp_path, 1, events)
    assert list(read(tmp_path)) == events


def test_every_cut_leaves_a_prefix_and_the_next_writer_carries_on(tmp_path: Path) -> None:
    """However much of the newest segment a crash took, the whole lines before it count, and new ones follow them."""
    events = [note(index) for index in range(3)]
    data = write(tmp_path, 1, events).read_bytes()
    for length in range(len(data)):
        directory = tmp_path / str(length)
        directory.mkdir()
        (directory / "0001.jsonl").write_bytes(data[:length])
        kept = events[: max(0, data[:length].count(b"\n") - 1)]
        assert list(read(directory)) == kept
        write(directory, 2, [note("after")])
        assert list(read(directory)) == [*kept, note("after")]


def test_a_hole_of_zeros_ends_the_newest_segment(tmp_path: Path) -> None:
    """Blocks that a power cut lost read as zeros; they and what lies behind them never were on disk for sure."""
    path = write(tmp_path, 1, [note(index) for index in range(5)])
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    hole = len(lines[0]) + len(lines[1]) + 3
    path.write_bytes(data[:hole] + b"\0" * 20 + data[hole + 20 :])
    assert list(read(tmp_path)) == [note(0)]
    write(tmp_path, 2, [note("after")])
    assert list(read(tmp_path)) == [note(0), note("after")]


@pytest.mark.parametrize("tail", [b"garbage\n", b'{"e":"no', b'{"e":"note"}', b"[1]\n", b"\xff\xfe\n", b"{}{}\n"])
def test_a_torn_tail_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    """A last line without its newline, or that is no JSON object, was torn by a crash and counts for nothing."""
    path = write(tmp_path, 1, [note(1)])
    path.write_bytes(path.read_bytes() + tail)
    assert list(read(tmp_path)) == [note(1)]
    write(tmp_path, 2, [note(2)])
    assert list(read(tmp_path)) == [note(1), note(2)]


@pytest.mark.parametrize("damage", [b"garbage", b'{"e":"x"\n"t":1}', b"1", b"{},{}", b"\xff"])
def test_damage_in_the_middle_names_file_and_line(tmp_path: Path, damage: bytes) -> None:
    """A broken line with others behind it is never skipped in silence."""
    path = write(tmp_path, 1, [note(1), note(2)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + damage + b"\n" + lines[2])
    with pytest.raises(StoreError) as caught:
        list(read(tmp_path))
    assert caught.value.message.startswith(f"{path}:3: the journal is damaged")
    assert "backup" in str(caught.value.hint)


def test_the_remedy_for_damage_works(tmp_path: Path) -> None:
    """A damaged line, overwritten with spaces as the error advises, is gone on without; also in an earlier segment."""
    path = write(tmp_path, 1, [note(1), note(2), note(3)])
    write(tmp_path, 2, [note(4)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b" " * (len(lines[2]) - 1) + b"\n", *lines[3:]]))
    assert list(read(tmp_path)) == [note(1), note(3), note(4)]


def test_an_earlier_segment_that_lost_its_end_is_an_error(tmp_path: Path) -> None:
    """What the next segment counts on must be there; less means a file was put back or cut."""
    path = write(tmp_path, 1, [note(1), note(2)])
    write(tmp_path, 2, [note(3)])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"0001\.jsonl: the end of the file is missing"):
        list(read(tmp_path))


def test_a_replaced_controller_writes_for_nobody(tmp_path: Path) -> None:
    """What a controller adds after another took over does not count, now or ever."""
    with JournalWriter.open(tmp_path, "s", 1) as old:
        old.append([note("before")])
        write(tmp_path, 2, [note("new")])
        old.append([note("stale")])
    assert list(read(tmp_path)) == [note("before"), note("new")]
    write(tmp_path, 3, [note("newer")])
    assert list(read(tmp_path)) == [note("before"), note("new"), note("newer")]


def test_a_newer_major_version_is_refused(tmp_path: Path) -> None:
    """A journal of the future is not guessed at."""
    path = write(tmp_path, 1, [note(1)])
    path.write_bytes(path.read_bytes().replace(b'"hsm_journal":[1,0]', b'"hsm_journal":[2,7]'))
    with pytest.raises(StoreError, match=r"has journal format 2\.7, this hsm reads 1\.x") as caught:
        list(read(tmp_path))
    assert "upgrade" in str(caught.value.hint).lower()


def test_a_newer_minor_version_is_read(tmp_path: Path) -> None:
    """A minor version adds only what may be ignored."""
    path = write(tmp_path, 1, [note(1)])
    path.write_bytes(path.read_bytes().replace(b'"hsm_journal":[1,0]', b'"hsm_journal":[1,9],"more":true'))
    assert list(read(tmp_path)) == [note(1)]


@pytest.mark.parametrize(
    "header",
    [
        b"hello",
        b"[]",
        b"{}",
        b'{"hsm_journal":[1,0],"sweep_id":"s","epoch":2,"at":0,"previous":null}',
        b'{"hsm_journal":1}',
    ],
)
def test_a_file_that_is_no_segment_is_named(tmp_path: Path, header: bytes) -> None:
    """A first line that is not this segment's header is an error with the file's name."""
    (tmp_path / "0001.jsonl").write_bytes(header + b"\n")
    with pytest.raises(StoreError, match=r"0001\.jsonl:1: the first line is not the header of journal segment 1"):
        list(read(tmp_path))


def test_a_segment_without_a_header_is_passed_over(tmp_path: Path) -> None:
    """Where there are no links a crash may leave an empty segment; even if it is filled late it changes nothing."""
    write(tmp_path, 1, [note(1)])
    (tmp_path / "0002.jsonl").write_bytes(b"")
    assert list(read(tmp_path)) == [note(1)]
    write(tmp_path, 3, [note(3)])
    assert list(read(tmp_path)) == [note(1), note(3)]
    late = {"hsm_journal": [1, 0], "sweep_id": "s", "epoch": 2, "at": 0, "previous": None}
    (tmp_path / "0002.jsonl").write_text(json.dumps(late) + "\n" + json.dumps(note("late")) + "\n")
    assert list(read(tmp_path)) == [note(1), note(3)]


def test_a_follower_sees_each_event_once(tmp_path: Path) -> None:
    """While the journal grows, from segment to segment, every call gives what is new."""
    follower = Follower(tmp_path)
    seen: List[Event] = []
    with JournalWriter.open(tmp_path, "s", 1) as writer:
        for index in range(3):
            writer.append([note(index)])
            seen += follower.new_events()
            assert seen == [note(n) for n in range(index + 1)]
            assert list(follower.new_events()) == []
            assert follower.position == writer.position
        writer.append([note(3)])
    write(tmp_path, 2, [note(4)])
    write(tmp_path, 3, [note(5)])
    seen += follower.new_events()
    assert seen == [note(n) for n in range(6)]


def test_a_follower_waits_for_the_rest_of_a_line(tmp_path: Path) -> None:
    """A line that is half there is given when it is whole."""
    path = write(tmp_path, 1, [note(1), note(2)])
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    follower = Follower(tmp_path)
    assert list(follower.new_events()) == [note(1)]
    path.write_bytes(data)
    assert list(follower.new_events()) == [note(2)]


def test_a_follower_goes_on_from_a_position(tmp_path: Path) -> None:
    """A position taken from a writer, or another follower, parts the events without loss or doubling."""
    with JournalWriter.open(tmp_path, "s", 1) as writer:
        assert list(Follower(tmp_path, writer.position).new_events()) == []
        writer.append([note(1)])
        position = writer.position
        writer.append([note(2)])
    write(tmp_path, 2, [note(3)])
    assert list(Follower(tmp_path, position).new_events()) == [note(2), note(3)]
    assert list(Follower(tmp_path, Position(*json.loads(json.dumps(position)))).new_events()) == [note(2), note(3)]


def test_a_follower_that_heard_a_stale_controller_learns_so(tmp_path: Path) -> None:
    """Events that turn out not to count are not left in a follower's picture: it must begin anew."""
    with JournalWriter.open(tmp_path, "s", 1) as old:
        old.append([note(1)])
        after = old.position
        old.append([note("stale")])
    follower = Follower(tmp_path)
    assert len(list(follower.new_events())) == 2
    write(tmp_path, 2, [note(2)], after=after)
    with pytest.raises(JournalRewound):
        list(follower.new_events())
    assert list(Follower(tmp_path).new_events()) == [note(1), note(2)]


@pytest.mark.parametrize("position", [Position(1, 10**6), Position(2, 0), Position(9, 50)])
def test_a_position_that_is_not_in_the_journal_is_refused(tmp_path: Path, position: Position) -> None:
    """Beyond the end, in a segment that was passed over, or after the journal was lost."""
    write(tmp_path, 1, [note(1)])
    write(tmp_path, 3, [note(3)], after=None)
    with pytest.raises(JournalRewound):
        list(Follower(tmp_path, position).new_events())
    with pytest.raises(JournalRewound):
        list(Follower(tmp_path / "lost", position).new_events())


def test_an_unreadable_segment_is_one_clear_line(tmp_path: Path) -> None:
    """A folder in a segment's place is named, not a traceback."""
    (tmp_path / "0001.jsonl").mkdir()
    with pytest.raises(StoreError, match=r"cannot read the journal .*0001\.jsonl: Is a directory"):
        list(read(tmp_path))


def test_a_journal_of_format_1_0_is_read(tmp_path: Path) -> None:
    """A journal kept from format 1.0, with a torn tail and the words of a replaced controller, means what it meant."""
    data = Path(os.path.dirname(__file__)).parent / "data" / "journal-1.0"
    expected = json.loads((data / "events.json").read_text())
    assert list(read(data / "journal")) == expected
    assert created_at(data / "journal") == 1701441022.5
    assert START == (0, 0)
