"""Laws of ending: what is cancelled ends, whole and soon; what was not is left alone."""

from __future__ import annotations

import pytest

from ...contract import ObservationKind
from .evidence import is_success, record_of
from .lab import Lab, Subject

__all__ = ["EndingLaws"]


class EndingLaws(Subject):
    """How tasks are cancelled."""

    def test_cancel_ends_the_whole_tree(self, lab: Lab) -> None:
        """Children end too, even one that ignores TERM, and one in a session of its own."""
        rig = lab.rig()
        rig.submit(lab.task(0, "family", "kin"))
        rig.started(0)
        lab.until(lambda: all(lab.size(f"kin.{who}") for who in ("leader", "child", "stray")), "all three beat")
        rig.source.cancel(dict(rig.handles), 0.3)
        (seen,) = rig.over((0, 1))
        assert record_of(seen)["state"] == "cancelled", seen
        assert not [who for who in ("leader", "child", "stray") if lab.beats(f"kin.{who}")], "these live on"

    def test_cancel_asks_before_it_kills(self, lab: Lab) -> None:
        """A program that heeds TERM has its grace: it saves, and ends by itself; it is cancelled all the same."""
        rig = lab.rig()
        rig.submit(lab.task(0, "save", "never"))
        rig.started(0)
        lab.until(lambda: lab.size("ready"), "the program can be asked to end")
        rig.source.cancel(dict(rig.handles), 30.0)
        (seen,) = rig.over((0, 1))
        assert record_of(seen)["state"] == "cancelled", seen
        assert (lab.folder(0) / "results" / "saved").read_text() == "saved\n", "it had no time to save"

    def test_cancel_may_be_repeated(self, lab: Lab) -> None:
        """Cancelling again, before or after the end, changes nothing and harms no other task."""
        rig = lab.rig()
        rig.submit(lab.task(0, "gate", "never"), lab.task(1, "gate", "go"))
        rig.started(0, 1)
        victim = {(0, 1): rig.handles[0, 1]}
        rig.source.cancel(victim, 0.3)
        rig.source.cancel(victim, 0.3)
        (seen,) = rig.over((0, 1))
        rig.source.cancel(victim, 0.3)
        assert record_of(seen)["state"] == "cancelled"
        for _ in range(10):
            rig.look()
        assert (1, 1) not in rig.ends
        lab.put("go")
        assert is_success(rig.over((1, 1))[0])

    def test_what_is_cancelled_in_the_queue_never_starts(self, lab: Lab) -> None:
        """A task that waits for its turn is withdrawn, also when a slot falls free right after."""
        rig = lab.rig(slots=1)
        if rig.room() < 2:
            pytest.skip("this source takes no task before it can start it")
        rig.submit(lab.task(0, "gate", "go"), lab.task(1, "work", "0"))
        rig.started(0)
        rig.source.cancel({(1, 1): rig.handles[1, 1]}, 0.3)
        lab.put("go")
        first, second = rig.over((0, 1), (1, 1))
        assert is_success(first)
        assert second.kind is ObservationKind.WITHDRAWN or record_of(second)["state"] == "cancelled"
        # A late start would show by now: this one was submitted after everything else was settled.
        rig.run(lab.task(9, "work", "0"))
        assert (1, 1) not in lab.runs()

    def test_no_attempt_ever_runs_twice(self, lab: Lab) -> None:
        """An attempt that is submitted a second time, by mistake or after a crash, is not run again."""
        rig = lab.rig()
        task = lab.task(0, "work", "0")
        rig.run(task)
        again = lab.rig()
        again.submit(task)
        again.until(lambda: not again.handles, "the second submission is answered for")
        assert lab.runs() == [(0, 1)]
