"""Requests to the live controller."""

from __future__ import annotations

import os
import shutil

import pytest

from hsm_core.errors import StoreError
from hsm_core.store.layout import SweepLayout
from hsm_core.store.requests import answer, ask, read_answer, take, withdraw


def test_a_request_arrives_once_and_is_answered_once(sweep: SweepLayout) -> None:
    """What was asked comes out as it went in; the answer is read by the asker; no file stays."""
    asked = ask(sweep, "cancel", tasks=[1, 2], now=lambda: 5.0)
    (request,), garbage = take(sweep)
    assert (request.id, request.op, request.at, request.fields) == (asked, "cancel", 5.0, {"tasks": [1, 2]})
    assert garbage == []
    assert take(sweep) == ([], [])
    assert read_answer(sweep, asked) is None
    answer(sweep, request, cancelled=2)
    assert read_answer(sweep, asked) == {"cancelled": 2}
    assert os.listdir(sweep.requests) == []


def test_requests_come_in_the_order_they_were_made(sweep: SweepLayout) -> None:
    """A pause before a resume is taken before it."""
    for at, op in enumerate(["pause", "resume", "cancel", "pause"]):
        ask(sweep, op, now=lambda at=at: float(at))
    assert [request.op for request in take(sweep)[0]] == ["pause", "resume", "cancel", "pause"]


def test_a_withdrawn_request_is_never_seen(sweep: SweepLayout) -> None:
    """An asker that gives up leaves nothing for a later controller; one that was heard learns so."""
    assert withdraw(sweep, ask(sweep, "cancel", tasks=None))
    heard = ask(sweep, "cancel", tasks=None)
    assert len(take(sweep)[0]) == 1
    assert not withdraw(sweep, heard)


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "{}", '{"op": 1, "at": 2}', '{"op": "x", "at": "y"}', "\udcff"])
def test_garbage_is_reported_once_and_hurts_nobody(sweep: SweepLayout, text: str) -> None:
    """A file that is no request is named, put aside, and the requests beside it are heard."""
    (sweep.requests / "odd.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    (sweep.requests / "note.txt").write_text("not ours")
    ask(sweep, "pause")
    requests, garbage = take(sweep)
    assert [request.op for request in requests] == ["pause"]
    assert garbage == ["odd.json"]
    assert take(sweep) == ([], [])


def test_a_missing_folder_is_no_error_for_the_controller(sweep: SweepLayout) -> None:
    """Without the folder there are no requests; asking makes it again."""
    shutil.rmtree(sweep.requests)
    assert take(sweep) == ([], [])
    ask(sweep, "pause")
    assert len(take(sweep)[0]) == 1


def test_a_request_that_cannot_be_left_is_one_clear_line(sweep: SweepLayout) -> None:
    """The error names the folder."""
    shutil.rmtree(sweep.requests)
    sweep.requests.write_text("in the way")
    with pytest.raises(StoreError, match="cannot leave a request in"):
        ask(sweep, "pause")
