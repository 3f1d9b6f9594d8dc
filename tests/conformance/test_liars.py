"""The kit notices: sources that are wrong in one way each, and the law that each of them breaks.

Every liar is the real local source with one lie told on the way, so that the law, and nothing else, is what it fails.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Type

import pytest

from hsm_core.contract import (
    Acceptance,
    Attempt,
    Capabilities,
    Handle,
    HealthReport,
    Host,
    Observation,
    ObservationKind,
    PollResult,
    SourceContext,
    SourceSpec,
    SubmitRequest,
    SubmitResult,
    TaskSpec,
)
from hsm_core.testing.conformance import Lab, SourceConformance
from hsm_core.toolkit import LocalHost, PoolSource


class Honest:
    """Hands everything on to the real source. Liars change one thing."""

    def __init__(self, spec: SourceSpec) -> None:
        self.real = PoolSource(LocalHost(), spec)
        self.spec = spec

    def open(self, context: SourceContext) -> None:
        self.real.open(context)

    def capabilities(self) -> Capabilities:
        return self.real.capabilities()

    def health(self) -> HealthReport:
        return self.real.health()

    def submit(self, request: SubmitRequest) -> SubmitResult:
        return self.real.submit(dataclasses.replace(request, tasks=[self.change(task) for task in request.tasks]))

    def change(self, task: TaskSpec) -> TaskSpec:
        return task

    def poll(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        result = self.real.poll(handles)
        return dataclasses.replace(result, observations=self.retell(result.observations))

    def retell(self, seen: Sequence[Observation]) -> List[Observation]:
        return list(seen)

    def find(self, token: str, attempts: Sequence[Attempt]) -> Mapping[Attempt, Handle]:
        return self.real.find(token, attempts)

    def cancel(self, handles: Mapping[Attempt, Handle], grace_s: float) -> None:
        self.real.cancel(handles, grace_s)

    def collect(self, attempts: Mapping[Attempt, Handle], into: str) -> None:
        self.real.collect(attempts, into)

    def host(self) -> Optional[Host]:
        return self.real.host()

    def close(self) -> None:
        self.real.close()


COMPLETED = {"state": "completed", "exit_code": 0}


class AbsenceIsSuccess(Honest):
    """What is not there must have gone well."""

    def retell(self, seen: Sequence[Observation]) -> List[Observation]:
        gone = ObservationKind.WITHDRAWN
        return [Observation(s.attempt, ObservationKind.ENDED, COMPLETED) if s.kind is gone else s for s in seen]


class LostIsSuccess(Honest):
    """A task whose runner died has probably finished."""

    def retell(self, seen: Sequence[Observation]) -> List[Observation]:
        lost = ObservationKind.LOST
        return [Observation(s.attempt, ObservationKind.ENDED, COMPLETED) if s.kind is lost else s for s in seen]


class LosesATask(Honest):
    """Accepts a submission and drops its last task."""

    def submit(self, request: SubmitRequest) -> SubmitResult:
        result = self.real.submit(dataclasses.replace(request, tasks=request.tasks[:1]))
        rest = [
            result.answers[0]._replace(attempt=(task.index, task.attempt))
            for task in request.tasks[1:]
            if result.answers[0].acceptance is Acceptance.ACCEPTED
        ]
        return SubmitResult([*result.answers, *rest])


class RunsTwice(Honest):
    """Submits everything twice, in folders and under numbers of its own, so that no claim can help."""

    def submit(self, request: SubmitRequest) -> SubmitResult:
        again = [
            dataclasses.replace(task, task_id=f"again-{task.task_id}", attempt=task.attempt + 1)
            for task in request.tasks
        ]
        self.real.submit(SubmitRequest(request.token, again))
        return super().submit(request)


class KillsTheLeaderOnly(Honest):
    """Cancels by killing the one process that it knows."""

    def __init__(self, spec: SourceSpec) -> None:
        super().__init__(spec)
        self.pids: Dict[Attempt, int] = {}

    def retell(self, seen: Sequence[Observation]) -> List[Observation]:
        told = []
        for one in seen:
            record = dict(one.record or {})
            if one.kind is ObservationKind.STARTED:
                self.pids[one.attempt] = record["pid"]
            if one.kind is ObservationKind.ENDED:
                one = one._replace(record={**record, "state": "cancelled"})
            told.append(one)
        return told

    def cancel(self, handles: Mapping[Attempt, Handle], grace_s: float) -> None:
        for attempt in handles:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pids[attempt], signal.SIGKILL)


class DropsEnvironment(Honest):
    """Forgets what the task wanted in its environment."""

    def change(self, task: TaskSpec) -> TaskSpec:
        return dataclasses.replace(task, env={})


class UsesAShell(Honest):
    """Joins the words of a command and lets a shell take them apart."""

    def change(self, task: TaskSpec) -> TaskSpec:
        words = " ".join('"' + word + '"' for word in task.argv)
        return dataclasses.replace(task, argv=("/bin/sh", "-c", words))


class ForgetsHandles(Honest):
    """Knows only what it submitted itself."""

    def __init__(self, spec: SourceSpec) -> None:
        super().__init__(spec)
        self.mine: List[Attempt] = []

    def submit(self, request: SubmitRequest) -> SubmitResult:
        self.mine += [(task.index, task.attempt) for task in request.tasks]
        return super().submit(request)

    def poll(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        return super().poll({attempt: handle for attempt, handle in handles.items() if attempt in self.mine})


class MoreThanItsSlots(Honest):
    """Says two, and runs eight at once."""

    def __init__(self, spec: SourceSpec) -> None:
        super().__init__(dataclasses.replace(spec, slots=8))
        self.spec = spec

    def capabilities(self) -> Capabilities:
        return dataclasses.replace(self.real.capabilities(), slots=self.spec.slots or 1)


class RoundsExitCodes(Honest):
    """Any failure is failure number 1."""

    def retell(self, seen: Sequence[Observation]) -> List[Observation]:
        return [
            one._replace(record={**one.record, "exit_code": 1}) if one.record and one.record.get("exit_code") else one
            for one in seen
        ]


class TellsAgain(Honest):
    """Reports every end in each poll that follows."""

    def __init__(self, spec: SourceSpec) -> None:
        super().__init__(spec)
        self.ended: List[Observation] = []

    def retell(self, seen: Sequence[Observation]) -> List[Observation]:
        told = [*seen, *self.ended]
        self.ended += [one for one in seen if one.kind is ObservationKind.ENDED]
        return told


class EndsWorkOnClose(Honest):
    """Tidies up after itself, tasks included."""

    def __init__(self, spec: SourceSpec) -> None:
        super().__init__(spec)
        self.handles: Mapping[Attempt, Handle] = {}

    def poll(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        self.handles = handles
        return super().poll(handles)

    def close(self) -> None:
        self.real.cancel(self.handles, 0.0)
        super().close()


class StartsEagerly(Honest):
    """Starts its runner as soon as it is opened."""

    def open(self, context: SourceContext) -> None:
        super().open(context)
        channel = self.real.host().start(["true"])
        channel.wait(5.0)
        channel.stdin.close()
        channel.stdout.close()


class PollsOneByOne(Honest):
    """Asks about each task by itself."""

    def poll(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        host = self.real.host()
        for _ in handles:
            host.run(["true"])
        return super().poll(handles)


class HandlesThatJsonChanges(Honest):
    """Its handles are not JSON's: what comes back from the journal is not what was put in."""

    def submit(self, request: SubmitRequest) -> SubmitResult:
        result = super().submit(request)
        return SubmitResult(
            [a._replace(handle={**(a.handle or {}), "place": (1, 2)}) for a in result.answers if a.handle is not None]
        )


class Impatient(SourceConformance):
    """The laws, for a source that may never do what it should."""

    deadline_s = 2.0
    liar: Type[Honest] = Honest

    def make_source(self, spec: SourceSpec) -> Any:
        """The liar."""
        return self.liar(spec)

    def kill_agent(self, rig: Any) -> bool:
        """Kill the runner."""
        (runner,) = (rig.lab.sweep_dir / ".hsm" / "runners").glob("*.json")
        os.kill(json.loads(runner.read_text())["pid"], signal.SIGKILL)
        return True


class ForgetsHandlesSubject(Impatient):
    """At the top of the module, because an earlier life has to find it."""

    liar = ForgetsHandles


LIES = [
    (AbsenceIsSuccess, "test_an_unknown_handle_is_no_success", "kind=<ObservationKind.ENDED"),
    (LostIsSuccess, "test_no_evidence_is_no_success", "kind=<ObservationKind.ENDED"),
    (LosesATask, "test_exit_codes_are_kept", "it did not happen that"),
    (RunsTwice, "test_never_more_at_once_than_slots", r"\(0, 2\)"),
    (KillsTheLeaderOnly, "test_cancel_ends_the_whole_tree", "these live on"),
    (DropsEnvironment, "test_environment_of_the_sweep_and_of_the_task", "'OF_BOTH'|NASTY|task"),
    (UsesAShell, "test_arguments_arrive_byte_for_byte", "argv|left no report"),
    (MoreThanItsSlots, "test_never_more_at_once_than_slots", "most_at_once"),
    (RoundsExitCodes, "test_exit_codes_are_kept", "125"),
    (TellsAgain, "test_an_end_is_told_once_and_last", "ENDED"),
    (EndsWorkOnClose, "test_close_leaves_work_running", "tasks .0. start|end"),
    (StartsEagerly, "test_open_starts_nothing", "start true"),
    (PollsOneByOne, "test_a_poll_costs_the_same_for_many_tasks", "run true"),
    (HandlesThatJsonChanges, "test_handles_are_plain_json", "place"),
]


@pytest.mark.parametrize(("liar", "law", "words"), LIES, ids=[liar.__name__ for liar, _, _ in LIES])
def test_liar_is_caught(liar: Type[Honest], law: str, words: str, tmp_path: Path) -> None:
    """A source that lies in one way fails the law that forbids it, for that reason."""
    subject = type("Subject", (Impatient,), {"liar": liar})()
    with Lab(subject, tmp_path) as lab, pytest.raises(AssertionError, match=words):
        getattr(subject, law)(lab)


def test_forgetful_liar_is_caught(tmp_path: Path) -> None:
    """A source that knows only what it submitted itself cannot adopt."""
    subject = ForgetsHandlesSubject()
    with Lab(subject, tmp_path) as lab, pytest.raises(AssertionError, match="start"):
        subject.test_live_tasks_are_adopted(lab)
