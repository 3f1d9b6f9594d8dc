"""Laws of evidence: what a source says of an end is what happened, and nothing is taken for success."""

from __future__ import annotations

import signal
from typing import Any, Mapping

import pytest

from ...contract import ExitRecord, Observation, ObservationKind
from ...runner.runner import read_status
from .lab import Lab, Subject
from .rig import OVER

__all__ = ["EvidenceLaws", "record_of"]


def record_of(seen: Observation) -> ExitRecord:
    """The exit record of an attempt that ended. :raises AssertionError: it did not, or has none."""
    assert seen.kind is ObservationKind.ENDED, f"{seen.attempt} should have ended, not {seen.kind.value}: {seen.reason}"
    assert seen.record is not None, f"{seen.attempt} is said to have ended, without a record"
    return seen.record


def is_success(seen: Observation) -> bool:
    """Would the core take this for a completed task?"""
    return seen.kind is ObservationKind.ENDED and (seen.record or {}).get("state") == "completed"


class EvidenceLaws(Subject):
    """How ends are told."""

    def test_exit_codes_are_kept(self, lab: Lab) -> None:
        """Code 0 is completed and every other code is failed, with its number."""
        codes = (0, 1, 2, 125, 127, 255)
        tasks = [lab.task(index, "exit", str(code)) for index, code in enumerate(codes)]
        records = [record_of(seen) for seen in lab.rig().run(*tasks)]
        assert [record.get("exit_code") for record in records] == list(codes)
        assert [record["state"] for record in records] == ["completed"] + ["failed"] * 5

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSEGV, signal.SIGKILL])
    def test_a_signal_is_kept(self, lab: Lab, number: int) -> None:
        """A program that died of a signal is failed, with the signal's number."""
        (seen,) = lab.rig().run(lab.task(0, "signal", str(int(number))))
        record = record_of(seen)
        assert (record["state"], record.get("signal")) == ("failed", int(number))

    def test_a_task_killed_from_outside_is_failed(self, lab: Lab) -> None:
        """When another process kills it, the task is failed by that signal: not cancelled, not lost, not completed."""
        (seen,) = lab.rig().run(lab.task(0, "killed"))
        record = record_of(seen)
        assert (record["state"], record.get("signal")) == ("failed", int(signal.SIGKILL))

    def test_a_program_that_is_not_there_never_succeeds(self, lab: Lab) -> None:
        """It is failed, rejected or refused, with the program's name in the reason; its neighbours run."""
        missing = lab.task(0, "exit", "0")
        missing = type(missing)(0, 1, missing.task_id, ("/no/such/program-of-ours", "x"), files=missing.files)
        seen, other = lab.rig().run(missing, lab.task(1, "exit", "0"))
        assert not is_success(seen)
        reason = str((seen.record or {}).get("reason") or seen.reason)
        assert "program-of-ours" in reason, f"the reason says {reason!r}"
        assert is_success(other)

    def test_a_record_has_what_tables_need(self, lab: Lab) -> None:
        """Times, host and duration are there; the duration is at least what the program took."""
        (seen,) = lab.rig().run(lab.task(0, "work", "0.2"))
        record = record_of(seen)
        assert float(record["duration_s"]) >= 0.2
        assert float(record["started_at"]) > 1e9
        assert record.get("host")

    def test_the_record_is_beside_the_task(self, lab: Lab) -> None:
        """When an end is reported, its record is in the task's folder already: a crash right after loses nothing."""
        rig = lab.rig()
        stored: Mapping[str, Any] = {}

        def record_is_there() -> bool:
            nonlocal stored
            if (0, 1) in rig.ends:
                rig.over((0, 1))
                stored = read_status(str(lab.folder(0) / "status.yaml"))
            return (0, 1) in rig.ends

        rig.submit(lab.task(0, "exit", "3"))
        rig.until(record_is_there, "task 0 is over")
        record = record_of(rig.ends[0, 1])
        assert (stored.get("state"), stored.get("exit_code")) == ("failed", 3), "status.yaml does not say it"
        assert stored.get("duration_s") == record["duration_s"]

    def test_an_end_is_told_once_and_last(self, lab: Lab) -> None:
        """Nothing is said of an attempt after its end."""
        rig = lab.rig()
        rig.run(*lab.tasks(6, "exit", "0"))
        rig.run(lab.task(6, "exit", "0"))
        for index in range(7):
            kinds = [seen.kind for seen in rig.seen if seen.attempt == (index, 1)]
            assert [kind for kind in kinds if kind in OVER] == [ObservationKind.ENDED], kinds
            assert kinds[-1] is ObservationKind.ENDED, kinds

    def test_running_is_not_over(self, lab: Lab) -> None:
        """A task that runs is seen to run, and has no end however often it is asked about."""
        rig = lab.rig()
        rig.submit(lab.task(0, "gate", "go"))
        rig.started(0)
        for _ in range(20):
            rig.look()
        assert (0, 1) not in rig.ends
        lab.put("go")
        assert is_success(rig.over((0, 1))[0])

    def test_a_time_limit_is_kept_and_told(self, lab: Lab) -> None:
        """A task beyond its limit is ended with all its processes, and its state is `timeout`: not failed."""
        (seen,) = lab.rig().run(lab.task(0, "family", "limit", timeout_s=0.8))
        record = record_of(seen)
        assert record["state"] == "timeout", record
        assert float(record["duration_s"]) >= 0.8
        assert not [who for who in ("leader", "child", "stray") if lab.beats(f"limit.{who}")], "these live on"

    def test_an_unknown_handle_is_no_success(self, lab: Lab) -> None:
        """A poll of what was never submitted, or of a handle that makes no sense, neither raises nor succeeds."""
        rig = lab.rig()
        rig.submit(lab.task(0, "gate", "go"))
        rig.started(0)
        for strange in (rig.handles[0, 1], {}, {"nonsense": [1, None]}):
            result = rig.source.poll({**rig.handles, (7, 1): strange})
            assert not [seen for seen in result.observations if is_success(seen)]
        lab.put("go")
        assert is_success(rig.over((0, 1))[0]), "the strange handles harmed a true one"

    def test_no_evidence_is_no_success(self, lab: Lab) -> None:
        """When what watched a task is killed, the task is lost or unknown, or has its true record; never completed."""
        rig = lab.rig()
        rig.submit(lab.task(0, "family", "orphan"))
        rig.started(0)
        if not self.kill_agent(rig):
            pytest.skip("nothing stands between this source and its tasks")
        (seen,) = rig.over((0, 1))
        assert not is_success(seen), seen
        if seen.kind is ObservationKind.LOST:
            assert not [who for who in ("leader", "child", "stray") if lab.beats(f"orphan.{who}")], "lost, but alive"
