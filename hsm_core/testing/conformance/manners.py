"""Laws of manners: limits are kept, costs stay flat, and a source is what it says it is."""

from __future__ import annotations

import os
import threading
import time
from typing import List

import pytest

from ...contract import Health, HealthReport, ObservationKind
from .evidence import is_success
from .lab import Lab, Subject
from .rig import Rig

__all__ = ["MannersLaws"]

_COMMANDS_A_POLL = 3
"""What a poll may run on its host, however many tasks it asks about."""


def _watched(rig: Rig) -> List[str]:
    """The commands that the source gives its host from now on; skips where it has no host."""
    try:
        return rig.watch_host()
    except LookupError as error:
        pytest.skip(str(error))


def _open_files() -> int:
    return len(os.listdir("/dev/fd"))


class MannersLaws(Subject):
    """How a source behaves."""

    def test_never_more_at_once_than_slots(self, lab: Lab) -> None:
        """However many tasks it is given, it runs as many at once as it has slots, and all of them once."""
        rig = lab.rig(slots=2)
        seen = rig.run(*lab.tasks(10, "work", "0.03"))
        assert all(is_success(one) for one in seen)
        assert lab.runs() == [(index, 1) for index in range(10)]
        assert lab.most_at_once() <= 2

    def test_submissions_add_up(self, lab: Lab) -> None:
        """Tasks may come in any number of portions, while others run; each runs once."""
        rig = lab.rig(slots=3)
        for index in range(3):
            rig.submit(lab.task(index, "work", "0.05"))
        rig.run(*[lab.task(index, "exit", "0") for index in range(3, 8)])
        rig.over((0, 1), (1, 1), (2, 1))
        assert lab.runs() == lab.runs("end") == [(index, 1) for index in range(8)]

    def test_a_task_it_can_never_run_is_refused_with_a_reason(self, lab: Lab) -> None:
        """Who asks for more than there is hears so, in words; the rest of the submission runs."""
        greedy = lab.task(1, "exit", "0", gpus=100_000)
        first, refused, third = lab.rig(slots=3).run(lab.task(0, "exit", "0"), greedy, lab.task(2, "exit", "0"))
        assert refused.kind is ObservationKind.REFUSED, refused
        assert refused.reason, "it does not say why"
        assert is_success(first)
        assert is_success(third)
        assert (1, 1) not in lab.runs()

    def test_many_tasks_leave_nothing_open(self, lab: Lab) -> None:
        """Files and threads do not grow with the number of tasks, and are gone with the source."""
        before = (_open_files(), threading.active_count())
        rig = lab.rig()
        rig.run(*lab.tasks(10, "exit", "0"))
        early = (_open_files(), threading.active_count())
        rig.run(*[lab.task(index, "exit", "0") for index in range(10, 50)])
        late = (_open_files(), threading.active_count())
        assert late[0] <= early[0] + 1, f"open files grew from {early[0]} to {late[0]}"
        assert late[1] <= early[1], f"threads grew from {early[1]} to {late[1]}"
        rig.close()
        lab.until(lambda: threading.active_count() <= before[1], "its threads end with it")
        assert _open_files() <= before[0], "it left files open"

    def test_a_poll_costs_the_same_for_many_tasks(self, lab: Lab) -> None:
        """The number of commands that polls run on the host does not grow with the number of tasks."""
        rig = lab.rig(slots=8)
        rig.submit(*lab.tasks(8, "gate", "go"))
        rig.started(*range(8))
        rig.close()
        second = lab.rig(slots=8)
        second.adopt(rig.handles)
        commands = _watched(second)
        for _ in range(5):
            second.look()
        assert len(commands) <= 5 * _COMMANDS_A_POLL, commands
        lab.put("go")
        second.over(*[(index, 1) for index in range(8)])

    def test_open_starts_nothing(self, lab: Lab) -> None:
        """Opening, asking what it can do and closing start no program and make no folder of a task."""
        rig = lab.closed_rig()
        commands = _watched(rig) if rig.source.host() is not None else []
        rig.open()
        rig.source.capabilities()
        rig.close()
        assert [command for command in commands if command.startswith("start ")] == []
        assert list((lab.sweep_dir / "tasks").iterdir()) == []

    def test_after_close_nothing_can_be_submitted(self, lab: Lab) -> None:
        """A closed source raises, instead of starting what nobody would hear of; closing again is harmless."""
        rig = lab.rig()
        rig.close()
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the source's choice
            rig.submit(lab.task(0, "exit", "0"))
        assert not isinstance(caught.value, AssertionError), "an assertion is a bug, not an answer"
        rig.source.close()
        assert lab.runs() == []

    def test_two_of_a_kind_side_by_side(self, lab: Lab) -> None:
        """Two sources of one kind in one sweep run each its own tasks, and closing one leaves the other."""
        one, two = lab.rig("one"), lab.rig("two")
        assert one.spec.id != two.spec.id
        one.submit(lab.task(0, "show"))
        two.submit(lab.task(1, "show"), lab.task(2, "gate", "go"))
        one.over((0, 1))
        two.over((1, 1))
        one.close()
        lab.put("go")
        assert is_success(two.over((2, 1))[0])
        assert [lab.report(index)["env"]["HSM_SOURCE"] for index in range(2)] == [one.spec.id, two.spec.id]
        assert lab.runs() == [(0, 1), (1, 1), (2, 1)]

    def test_capabilities_do_not_change(self, lab: Lab) -> None:
        """They are the same before and after work, and the slots are those that were asked for."""
        rig = lab.rig(slots=3)
        before = rig.source.capabilities()
        rig.run(lab.task(0, "exit", "0"))
        assert rig.source.capabilities() == before
        assert before.slots == 3
        assert before.poll_interval_s > 0

    def test_health_is_told_within_seconds(self, lab: Lab) -> None:
        """A working source says so, before the first task and after it, without making anybody wait."""
        rig = lab.rig()
        for _ in range(2):
            began = time.monotonic()
            report = rig.source.health()
            assert time.monotonic() - began < 10.0
            assert isinstance(report, HealthReport)
            assert report.health is Health.HEALTHY, report.detail
            rig.run(lab.task(len(rig.ends), "exit", "0"))
