"""Laws of adoption: tasks belong to the sweep, not to the process that submitted them."""

from __future__ import annotations

import json

from ...contract import Acceptance, Observation, ObservationKind
from .evidence import is_success
from .lab import Lab, Subject

__all__ = ["AdoptionLaws"]


def _is_settled(lab: Lab, seen: Observation) -> bool:
    """It ran once and ended, or never ran and was withdrawn."""
    runs = lab.runs().count(seen.attempt)
    return (seen.kind, runs) in ((ObservationKind.ENDED, 1), (ObservationKind.WITHDRAWN, 0))


class AdoptionLaws(Subject):
    """What holds across processes. Every earlier process here dies by a real `kill -9`."""

    def test_live_tasks_are_adopted(self, lab: Lab) -> None:
        """Tasks run on when their controller is killed; the next one sees them run, and end once, with a record."""
        life = lab.earlier_life([(0, "gate", ["go"]), (1, "gate", ["go"])], wait_for=2)
        rig = lab.rig()
        rig.adopt(life.handles)
        rig.started(0, 1)
        assert not rig.ends
        lab.put("go")
        assert all(is_success(seen) for seen in rig.over((0, 1), (1, 1)))
        assert lab.runs("start") == lab.runs("end") == [(0, 1), (1, 1)], "each runs once, and to its end"

    def test_ends_that_nobody_saw_are_found(self, lab: Lab) -> None:
        """What ended while no process of ours lived has its record, good or bad."""
        life = lab.earlier_life([(0, "gate", ["go"]), (1, "exit", ["3"])], wait_for=2)
        lab.put("go")
        lab.until(lambda: len(lab.runs("end")) == 2, "both tasks end by themselves")
        rig = lab.rig()
        rig.adopt(life.handles)
        first, second = rig.over((0, 1), (1, 1))
        assert is_success(first)
        assert (second.record or {}).get("exit_code") == 3
        assert lab.runs() == [(0, 1), (1, 1)]

    def test_what_waited_is_settled(self, lab: Lab) -> None:
        """What was queued when the controller died runs once, or is withdrawn and then never starts."""
        tasks = [(0, "gate", ["go"]), (1, "work", ["0"]), (2, "work", ["0"])]
        able = lab.rig(slots=1).source.capabilities()
        tasks = tasks if able.lookahead is None else tasks[: able.slots + able.lookahead]
        life = lab.earlier_life(tasks, wait_for=1, slots=1)
        rig = lab.rig(slots=1)
        rig.adopt(life.handles)
        rig.started(0)
        lab.put("go")
        attempts = [(index, 1) for index in range(len(tasks))]
        seen = rig.over(*attempts)
        assert is_success(seen[0])
        # A late start would show by now: this one was submitted after everything else was settled.
        rig.run(lab.task(9, "work", "0"))
        assert not [one for one in seen if not _is_settled(lab, one)], f"{seen}, but these ran: {lab.runs()}"

    def test_a_lost_reply_is_found(self, lab: Lab) -> None:
        """When the answer to a submission is lost, `find` has what was accepted; asking again starts nothing twice."""
        life = lab.earlier_life([(0, "gate", ["go"]), (1, "gate", ["go"])], wait_for=2)
        rig = lab.rig()
        attempts = [(0, 1), (1, 1)]
        found = rig.source.find(life.token, attempts)
        assert sorted(found) == attempts, "both were accepted, and run"
        rig.adopt(found)
        rig.started(0, 1)
        lab.put("go")
        assert all(is_success(seen) for seen in rig.over(*attempts))
        assert lab.runs() == attempts

    def test_what_was_never_submitted_is_not_found_alive(self, lab: Lab) -> None:
        """`find` of a token that never arrived has nothing, or handles that are withdrawn for certain."""
        rig = lab.rig()
        found = rig.source.find("hsm-kit-never-0", [(0, 1)])
        rig.adopt(found)
        if found:
            assert rig.over((0, 1))[0].kind is ObservationKind.WITHDRAWN
        assert lab.runs() == []

    def test_close_leaves_work_running(self, lab: Lab) -> None:
        """A source that is closed lets its tasks run on, and another instance takes them up from JSON."""
        first = lab.rig()
        first.submit(lab.task(0, "gate", "go"))
        first.started(0)
        handles = json.loads(json.dumps([[*attempt, handle] for attempt, handle in first.handles.items()]))
        first.close()
        second = lab.rig()
        second.adopt({(index, attempt): handle for index, attempt, handle in handles})
        second.started(0)
        assert lab.runs("end") == []
        lab.put("go")
        assert is_success(second.over((0, 1))[0])
        assert lab.runs() == [(0, 1)]

    def test_handles_are_plain_json(self, lab: Lab) -> None:
        """A handle is the same after a journey through JSON: that is all that another process will have."""
        answers = lab.rig().submit(*lab.tasks(2, "work", "0"))
        accepted = [answer for answer in answers.values() if answer.acceptance is Acceptance.ACCEPTED]
        assert accepted
        for answer in accepted:
            assert json.loads(json.dumps(answer.handle)) == answer.handle

    def test_adopted_tasks_can_be_cancelled(self, lab: Lab) -> None:
        """A process that did not submit a task can end it, tree and all."""
        life = lab.earlier_life([(0, "family", ["kin"])], wait_for=1)
        rig = lab.rig()
        rig.adopt(life.handles)
        rig.started(0)
        rig.source.cancel(dict(rig.handles), 0.3)
        (seen,) = rig.over((0, 1))
        assert not is_success(seen)
        assert not [who for who in ("leader", "child", "stray") if lab.beats(f"kin.{who}")], "these live on"

    def test_adopted_tasks_keep_their_slots(self, lab: Lab) -> None:
        """What an earlier process started counts: new tasks wait until there is room beside it."""
        life = lab.earlier_life([(0, "gate", ["go"])], wait_for=1, slots=1)
        rig = lab.rig(slots=1)
        rig.adopt(life.handles)
        rig.started(0)
        rig.submit(lab.task(1, "work", "0.1"))
        lab.put("go")
        assert all(is_success(seen) for seen in rig.over((0, 1), (1, 1)))
        assert lab.most_at_once() == 1
