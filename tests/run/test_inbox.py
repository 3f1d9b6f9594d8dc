"""The queue of the controller and of each worker."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from hsm_core.run.inbox import Inbox


@given(st.lists(st.integers()))
def test_items_come_in_their_order(items: list) -> None:  # type: ignore[type-arg]
    """What was put first is taken first, and all of it at once if one asks so."""
    inbox: Inbox[int] = Inbox()
    for item in items:
        inbox.put(item)
    assert inbox.take_all(0) == items
    assert inbox.take_all(0) == []


def test_a_wait_that_is_over_before_it_begins_ends() -> None:
    """Where less than no time is left, and where next to none is, nobody waits for ever."""
    inbox: Inbox[int] = Inbox()
    taken = []

    def take() -> None:
        for timeout_s in [-1.0, 0.0, 1e-9, 1e-6] * 20:
            taken.append(inbox.take(timeout_s))

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(30)
    assert taken == [None] * 80


def test_whoever_waits_is_woken() -> None:
    """An item ends the wait for it, long before its time."""
    inbox: Inbox[str] = Inbox()
    threading.Timer(0.01, inbox.put, ["news"]).start()
    assert inbox.take(60) == "news"
