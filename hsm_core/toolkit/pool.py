"""A pool of slots on a host: starts the runner there and feeds it tasks. All of `local`, and of `ssh`, is this.

Tasks that an earlier runner started are *adopted*: nobody can listen to that runner any more, so their folders are
looked at now and then (`runner.py settle`), and the slots and GPUs which they still use are kept free here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..contract import (
    Acceptance,
    Attempt,
    Capabilities,
    Handle,
    Health,
    HealthReport,
    Host,
    Observation,
    ObservationKind,
    PollResult,
    SourceContext,
    SourceSpec,
    SubmitRequest,
    SubmitResult,
    TaskAnswer,
)
from .payload import payload
from .runner_link import RunnerLink

__all__ = ["PoolSource"]

_SETTLE_INTERVAL_S = 1.0
"""How often adopted tasks are looked at."""
_SETTLE_TIMEOUT_S = 60.0
_FAREWELL_S = 2.0
"""How long an idle runner may take to go."""

_VERDICTS = {
    "ended": ObservationKind.ENDED,
    "running": ObservationKind.STARTED,
    "lost": ObservationKind.LOST,
    "withdrawn": ObservationKind.WITHDRAWN,
    "queued": ObservationKind.QUEUED,
    "unknown": ObservationKind.UNKNOWN,
}
_EVENTS = {
    "started": ObservationKind.STARTED,
    "ended": ObservationKind.ENDED,
    "withdrawn": ObservationKind.WITHDRAWN,
}


def runner_source() -> bytes:
    """The runner's text, as it is copied to hosts."""
    return (Path(__file__).parent.parent / "runner" / "runner.py").read_bytes()


class PoolSource:
    """Slots on a host, fed through one runner.

    :param host: where the tasks run.
    :param spec: options understood: `gpus` (`auto`, a number, or a list of ids), `pin_cores`, `grace` (seconds).
    :param default_slots: when neither the command line nor the configuration gives a number.
    :param python: the interpreter, on the host, that runs the runner.
    """

    def __init__(
        self,
        host: Host,
        spec: SourceSpec,
        default_slots: int = 4,
        python: str = sys.executable,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._spec = spec
        self._slots = default_slots if spec.slots is None else spec.slots
        self._python = python
        self._clock = clock
        self._context: Optional[SourceContext] = None
        self._runner: Optional[RunnerLink] = None
        self._gpus: Optional[List[str]] = None
        self._adopted: Dict[Attempt, Dict[str, Any]] = {}
        self._settled_at = float("-inf")
        self._strays: Set[Attempt] = set()
        self._blocked = ""
        self._silent = ""

    # --- the contract

    def open(self, context: SourceContext) -> None:
        """Remember what is needed; the runner starts with the first submission."""
        self._context = context

    def capabilities(self) -> Capabilities:
        """Slots as asked for; looks ahead, pushes news, ends with an interrupted sweep."""
        return Capabilities(
            slots=self._slots,
            lookahead=None,
            push=True,
            poll_interval_s=_SETTLE_INTERVAL_S,
            outlives_host=False,
            interrupts=True,
            shares_files=True,
        )

    def health(self) -> HealthReport:
        """What the runner last said of itself; one that has not answered since the last look is unhealthy."""
        if self._runner is None:
            self._silent = ""
        elif self._runner.awaited:
            self._silent = "its runner does not answer; was it stopped, or is the machine overloaded?"
        else:
            self._runner.ping()
        return self._report()

    def submit(self, request: SubmitRequest) -> SubmitResult:
        """Put the tasks at the end of the runner's queue."""
        runner = self._running()
        gpus = len(self._gpus or ())
        fitting = [task for task in request.tasks if task.resources.gpus <= gpus]
        answers = [
            TaskAnswer(
                (task.index, task.attempt),
                Acceptance.REJECTED,
                reason=f"it asks for {task.resources.gpus} GPUs, {self._spec.id} has {gpus}",
            )
            for task in request.tasks
            if task.resources.gpus > gpus
        ]
        if fitting and runner.send({"op": "run", "tasks": [payload(task) for task in fitting]}):
            handle = {"runner": runner.id}
            answers += [TaskAnswer((task.index, task.attempt), Acceptance.ACCEPTED, handle) for task in fitting]
        # What could not be sent stays without an answer: part of it may have got through.
        return SubmitResult(answers)

    def poll(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        """Hand on what the runner reported, and look at adopted tasks when that is due."""
        observations: List[Observation] = []
        garbage: List[str] = []
        before = self._report()
        runner = self._runner
        if runner is not None:
            for message in runner.take():
                self._translate(message, observations, garbage)
            if runner.gone:
                self._dismiss(0.0)
                self._blocked = self._silent = ""
        ended = {attempt for attempt, kind, _, _ in observations if kind is ObservationKind.ENDED}
        adopted = [
            attempt
            for attempt, handle in handles.items()
            if (not self._is_ours(handle) or attempt in self._strays) and attempt not in ended
        ]
        now = self._clock()
        fresh = any(attempt not in self._adopted for attempt in adopted)
        if adopted and (fresh or now - self._settled_at >= _SETTLE_INTERVAL_S):
            self._settled_at = now
            observations += self._settle(adopted)
        elif not adopted and self._adopted:
            self._reserve({})
        health = self._report()
        return PollResult(observations, complete=False, garbage=garbage, health=None if health == before else health)

    def find(self, token: str, attempts: Sequence[Attempt]) -> Mapping[Attempt, Handle]:
        """Nobody can say what a runner read before it died; `poll` settles each attempt for certain."""
        return {attempt: {"runner": None} for attempt in attempts}

    def cancel(self, handles: Mapping[Attempt, Handle], grace_s: float) -> None:
        """End the attempts, through the runner or, when they are adopted, without it.

        A `grace` configured for this source weighs more than the sweep's, but not more than a person's hurry (0).
        """
        if grace_s > 0:
            grace_s = self._grace_s(grace_s)
        ours = [attempt for attempt, handle in handles.items() if self._is_ours(handle)]
        others = [attempt for attempt in handles if attempt not in set(ours)]
        if ours and self._runner is not None:
            self._runner.send({"op": "cancel", "tasks": ours, "grace_s": grace_s})
        if others:
            question = {"sweep_dir": self._sweep_dir, "tasks": self._names(others), "grace_s": grace_s}
            self._ask("end", question, grace_s + _SETTLE_TIMEOUT_S)
            self._settled_at = float("-inf")

    def collect(self, attempts: Mapping[Attempt, Handle], into: str) -> None:
        """Nothing to do: the folders are here."""

    def host(self) -> Host:
        """The machine whose slots these are."""
        return self._host

    def close(self) -> None:
        """Let the runner go: it finishes what runs, and starts nothing more."""
        self._dismiss(_FAREWELL_S)
        self._context = None
        self._host.close()

    # --- the runner

    @property
    def _opened(self) -> SourceContext:
        if self._context is None:
            raise RuntimeError(f"{self._spec.id} is not open")
        return self._context

    @property
    def _sweep_dir(self) -> str:
        return self._opened.sweep_dir

    def _is_ours(self, handle: Handle) -> bool:
        """Whether the runner that we can talk to has the attempt; what `find` found has no runner that is known."""
        return self._runner is not None and handle.get("runner") == self._runner.id

    @property
    def _script(self) -> str:
        return f"{self._sweep_dir}/.hsm/runner.py"

    def _running(self) -> RunnerLink:
        """The runner, started if there is none."""
        if self._runner is None or self._runner.gone:
            context = self._opened
            self._dismiss(0.0)
            self._put_script()
            self._gpus = self._find_gpus()
            channel = self._host.start(
                [self._python, "-I", "-S", self._script, "serve"], stderr=f"{self._sweep_dir}/.hsm/runner.log"
            )
            self._runner = runner = RunnerLink(os.urandom(4).hex(), channel, context.wake)
            runner.send(
                {
                    "op": "init",
                    "runner": runner.id,
                    "sweep_id": context.sweep_id,
                    "source": self._spec.id,
                    "sweep_dir": self._sweep_dir,
                    "project_dir": context.project_dir,
                    "slots": self._slots,
                    "env": dict(context.env),
                    "setup": list(context.setup),
                    "gpus": self._gpus,
                    "pin_cores": bool(self._spec.options.get("pin_cores", False)),
                    "grace_s": self._grace_s(context.grace_s),
                }
            )
            self._reserve(self._adopted)
        return self._runner

    def _dismiss(self, patience_s: float) -> None:
        if self._runner is not None:
            self._runner.dismiss(patience_s)
            self._runner = None

    def _grace_s(self, default: float) -> float:
        return float(self._spec.options.get("grace", default))

    def _put_script(self) -> None:
        text = runner_source()
        try:
            if self._host.read(self._script) == text:
                return
        except OSError:
            pass  # not there yet; if it cannot be read for another reason, writing will say so
        self._host.put(text, self._script, mode=0o755)

    def _find_gpus(self) -> List[str]:
        wanted = self._spec.options.get("gpus", 0)
        if isinstance(wanted, int):
            return [str(number) for number in range(wanted)]
        if wanted != "auto":
            return [str(device) for device in wanted]
        try:
            listed = self._host.run(["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], timeout_s=20.0)
        except OSError:
            return []
        return listed.stdout.decode("utf-8", "replace").split() if listed.returncode == 0 else []

    def _translate(self, message: Mapping[str, Any], seen: List[Observation], garbage: List[str]) -> None:
        """One message of the runner, as observations."""
        if "ev" in message:
            for kind, index, attempt, detail in message["ev"]:
                self._translate_event(kind, (index, attempt), detail, seen)
        elif "garbage" in message:
            garbage.append(str(message["garbage"]))
        elif "pong" in message:
            self._silent = ""
        elif "error" in message:
            self._opened.say(str(message["error"]))

    def _translate_event(self, kind: str, attempt: Attempt, detail: Any, seen: List[Observation]) -> None:
        known = _EVENTS.get(kind)
        if known is not None:
            seen.append(Observation(attempt, known, detail if isinstance(detail, dict) else None, _reason(detail)))
        elif kind == "refused" and detail == "claimed":
            self._strays.add(attempt)  # somebody else has it, or had it: its folder says who
        elif kind == "refused":
            seen.append(Observation(attempt, ObservationKind.REFUSED, None, str(detail)))
        elif kind == "blocked":
            self._blocked = str(detail)
        elif kind == "unblocked":
            self._blocked = ""

    def _report(self) -> HealthReport:
        if self._silent:
            return HealthReport(Health.UNHEALTHY, self._silent)
        return HealthReport(Health.DEGRADED, self._blocked) if self._blocked else HealthReport(Health.HEALTHY)

    # --- adopted tasks

    def _names(self, attempts: Sequence[Attempt]) -> List[Tuple[int, int, str]]:
        return [(index, attempt, self._opened.task_name(index)) for index, attempt in attempts]

    def _settle(self, attempts: Sequence[Attempt]) -> List[Observation]:
        """Find out about attempts whose runner does not talk to us; what never started never will."""
        self._put_script()
        answer = self._ask(
            "settle",
            {
                "sweep_dir": self._sweep_dir,
                "tasks": self._names(attempts),
                "withdraw": True,
                "takeover": self._opened.takeover,
            },
            _SETTLE_TIMEOUT_S,
        )
        running: Dict[Attempt, Dict[str, Any]] = {}
        seen: List[Observation] = []
        for index, attempt, verdict, detail in answer["tasks"]:
            kind = _VERDICTS.get(verdict, ObservationKind.UNKNOWN)
            record = detail if isinstance(detail, dict) else None
            seen.append(Observation((index, attempt), kind, record, _reason(detail)))
            if kind in (ObservationKind.STARTED, ObservationKind.UNKNOWN):
                running[index, attempt] = record or {}
            else:
                self._strays.discard((index, attempt))
        self._reserve(running)
        return seen

    def _reserve(self, running: Dict[Attempt, Dict[str, Any]]) -> None:
        """Keep free what adopted tasks still use."""
        self._adopted = running
        if self._runner is not None:
            slots = [facts["slot"] for facts in running.values() if facts.get("slot") is not None]
            gpus = [gpu for facts in running.values() for gpu in facts.get("gpus") or ()]
            self._runner.send({"op": "reserve", "slots": slots, "gpus": gpus})

    def _ask(self, mode: str, question: Mapping[str, Any], timeout_s: float) -> Any:
        """Run the runner's script once, JSON in and out. :raises OSError: when it fails."""
        argv = [self._python, "-I", "-S", self._script, mode]
        done = self._host.run(argv, input=json.dumps(question).encode(), timeout_s=timeout_s)
        if done.returncode != 0:
            words = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
            raise OSError(f"runner.py {mode} ended with {done.returncode} on {self._host.name}: {words[-1]}")
        return json.loads(done.stdout or b"{}")


def _reason(detail: Any) -> str:
    if isinstance(detail, dict):
        return str(detail.get("reason") or "")
    return "" if detail is None else str(detail)
