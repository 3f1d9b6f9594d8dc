"""A pool of slots on a host: starts the runner there and feeds it tasks. All of `local`, and of `ssh`, is this.

Where the host is another machine, the sweep has a folder of its own there, and files are brought home from it
(`Scratch`, `Collector`); a link that says nothing for long is let go, whereupon its tasks are adopted like others.

Tasks that an earlier runner started are *adopted*: nobody can listen to that runner any more, so their folders are
looked at now and then (`runner.py settle`), and the slots and GPUs which they still use are kept free here.
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any, Callable, Collection, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..contract import (
    Acceptance,
    Attempt,
    Capabilities,
    Glimpse,
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
from .collector import Collector, most_of
from .payload import payload
from .records import sound_record
from .runner_link import RunnerLink
from .scratch import Scratch

__all__ = ["PoolSource"]

_SETTLE_INTERVAL_S = 1.0
_FAR_SETTLE_INTERVAL_S = 3.0
"""How often adopted tasks are looked at, here and on another machine."""
_PING_S = 10.0
_SILENCE_S = 30.0
"""A runner on another machine that does not answer for so long is behind a link that is dead."""
_RUNNER_PATIENCE_S = 300.0
"""A runner that has heard nothing for so long takes its controller for gone."""
_GREETING_S = 30.0
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


class PoolSource:
    """Slots on a host, fed through one runner.

    :param host: where the tasks run.
    :param spec: options understood: `gpus` (`auto`, a number, or a list of ids), `pin_cores`, `grace` (seconds); on
        another machine also `python`, `scratch`, `keep_remote`, `max_task_size`.
    :param default_slots: when neither the command line nor the configuration gives a number.
    """

    def __init__(
        self,
        host: Host,
        spec: SourceSpec,
        default_slots: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._spec = spec
        self._slots = default_slots if spec.slots is None else spec.slots
        self._clock = clock
        self._scratch = Scratch(host, spec)
        self._collector = Collector(self._scratch, most_of(spec), clock)
        self._runner: Optional[RunnerLink] = None
        self._gpus: Optional[List[str]] = None
        self._adopted: Dict[Attempt, Dict[str, Any]] = {}
        self._settled_at = float("-inf")
        self._strays: Set[Attempt] = set()
        self._settle_interval_s = _SETTLE_INTERVAL_S if host.is_here else _FAR_SETTLE_INTERVAL_S
        self._worked = False
        self._blocked = ""
        self._silent = ""
        self._doubtful = False
        self._audited_at = float("-inf")
        self._pinged_at = self._heard_at = float("-inf")

    # --- the contract

    def open(self, context: SourceContext) -> None:
        """Find out where everything is; the runner starts with the first submission."""
        self._scratch.open(context)

    def capabilities(self) -> Capabilities:
        """Slots as asked for; looks ahead, pushes news, ends with an interrupted sweep."""
        return Capabilities(
            slots=self._slots,
            lookahead=None,
            push=True,
            poll_interval_s=_SETTLE_INTERVAL_S,
            outlives_host=not self._host.is_here,
            interrupts=True,
            shares_files=self._host.is_here,
            sweep_dir=None if self._host.is_here else self._scratch.sweep_dir,
        )

    def health(self) -> HealthReport:
        """What the runner last said of itself; one that has not answered since the last look is unhealthy."""
        if self._runner is None:
            self._silent = ""
        elif self._runner.awaited:
            self._silent = "its runner does not answer; was it stopped, or is the machine overloaded?"
        else:
            self._runner.ping()
        report = self._report()
        return dataclasses.replace(report, facts=self._runner.vitals) if self._runner is not None else report

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
                self._heard_at = self._clock()
                self._translate(message, observations, garbage)
            if not self._host.is_here:
                self._tend_link(runner)
            if runner.gone:
                self._dismiss(0.0)
                self._blocked = self._silent = ""
        self._doubtful = self._doubtful or (bool(garbage) and not self._host.is_here)
        ended = {attempt for attempt, kind, _, _ in observations if kind is ObservationKind.ENDED}
        adopted = [
            attempt
            for attempt, handle in handles.items()
            if (not self._is_ours(handle) or attempt in self._strays) and attempt not in ended
        ]
        now = self._clock()
        fresh = any(attempt not in self._adopted for attempt in adopted)
        if adopted and (fresh or now - self._settled_at >= self._settle_interval_s):
            self._settled_at = now
            observations += self._settle(adopted)
        elif not adopted and self._adopted:
            self._reserve({})
        if self._doubtful and now - self._audited_at >= self._settle_interval_s:
            # What made no sense may have been the end of a task.
            self._doubtful, self._audited_at = False, now
            observations += self._ask_after([a for a in handles if a not in ended and a not in adopted], False)[0]
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
            scratch = self._scratch
            question = {"sweep_dir": scratch.sweep_dir, "tasks": scratch.names(others), "grace_s": grace_s}
            scratch.ask("runner.py", "end", question, grace_s + _SETTLE_TIMEOUT_S)
            self._settled_at = float("-inf")

    def collect(self, attempts: Mapping[Attempt, Handle], into: str) -> Optional[Collection[Attempt]]:
        """Bring files home; where the folders are here there is nothing to do."""
        return None if self._host.is_here else self._collector.collect(attempts, into)

    def glimpse(self, attempt: Attempt, offsets: Mapping[str, int], limit: int) -> Glimpse:
        """Read on in files of a task that may still run."""
        return self._scratch.glimpse(attempt, offsets, limit)

    def host(self) -> Host:
        """The machine whose slots these are."""
        return self._host

    def close(self) -> None:
        """Let the runner go: it finishes what runs, and starts nothing more. What is all home leaves the host."""
        self._collector.close()
        self._dismiss(_FAREWELL_S)
        try:
            if self._worked:
                self._scratch.leave()
        finally:
            self._worked = False
            self._scratch.close()
            self._host.close()

    # --- the runner

    def _is_ours(self, handle: Handle) -> bool:
        """Whether the runner that we can talk to has the attempt; what `find` found has no runner that is known."""
        return self._runner is not None and handle.get("runner") == self._runner.id

    def _running(self) -> RunnerLink:
        """The runner, started if there is none. :raises OSError: it cannot be."""
        if self._runner is None or self._runner.gone:
            scratch, context = self._scratch, self._scratch.opened
            self._dismiss(0.0)
            self._gpus = self._find_gpus()
            self._worked = True
            channel = scratch.start("runner.py", "serve", log="runner.log")
            self._runner = runner = RunnerLink(os.urandom(4).hex(), channel, context.wake)
            runner.send(
                {
                    "op": "init",
                    "runner": runner.id,
                    "sweep_id": context.sweep_id,
                    "source": self._spec.id,
                    "sweep_dir": scratch.sweep_dir,
                    "project_dir": scratch.project_dir,
                    "slots": self._slots,
                    "env": dict(context.env),
                    "setup": list(context.setup),
                    "gpus": self._gpus,
                    "pin_cores": bool(self._spec.options.get("pin_cores", False)),
                    "grace_s": self._grace_s(context.grace_s),
                    **({} if self._host.is_here else {"patience_s": _RUNNER_PATIENCE_S, "last_words": True}),
                }
            )
            if not self._host.is_here:
                self._await_greeting(runner)
            self._reserve(self._adopted)
        return self._runner

    def _await_greeting(self, runner: RunnerLink) -> None:
        """A runner that cannot start at all must not be given tasks again and again. :raises OSError: it cannot."""
        self._pinged_at = self._heard_at = self._clock()
        if not runner.wait_for_word(_GREETING_S):
            self._dismiss(0.0)
            raise TimeoutError(f"the runner on {self._host.name} says nothing")
        if runner.ended and not runner.greeted:
            words = [str(message["error"]) for message in runner.take() if "error" in message]
            self._dismiss(0.0)
            raise OSError(f"the runner on {self._host.name} cannot start: {(words or ['it says nothing'])[-1][:300]}")

    def _tend_link(self, runner: RunnerLink) -> None:
        """Ask now and then whether the runner is there, and let go of one that does not answer."""
        now = self._clock()
        if runner.awaited and now - max(self._pinged_at, self._heard_at) > _SILENCE_S:
            self._scratch.opened.say(f"its runner has not answered for {_SILENCE_S:.0f} s; connecting anew")
            self._dismiss(0.0)
            runner.drop()
        elif not runner.awaited and now - self._pinged_at >= _PING_S:
            self._pinged_at = now
            runner.ping()

    def _dismiss(self, patience_s: float) -> None:
        if self._runner is not None:
            self._runner.dismiss(patience_s)
            self._runner = None

    def _grace_s(self, default: float) -> float:
        return float(self._spec.options.get("grace", default))

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
            for event in message["ev"] if isinstance(message["ev"], list) else [message["ev"]]:
                try:
                    kind, index, attempt, detail = event
                    if not isinstance(kind, str) or type(index) is not int or type(attempt) is not int:
                        raise TypeError
                except (TypeError, ValueError):
                    garbage.append(repr(event)[:200])
                    continue
                self._translate_event(kind, (index, attempt), detail, seen)
        elif "garbage" in message:
            garbage.append(str(message["garbage"]))
        elif "pong" in message:
            self._silent = ""
        elif "error" in message:
            self._scratch.opened.say(str(message["error"])[:500])

    def _translate_event(self, kind: str, attempt: Attempt, detail: Any, seen: List[Observation]) -> None:
        known = _EVENTS.get(kind)
        if known is not None:
            seen.append(Observation(attempt, known, sound_record(detail), _reason(detail)))
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

    def _settle(self, attempts: Sequence[Attempt]) -> List[Observation]:
        """Find out about attempts whose runner does not talk to us; what never started never will."""
        seen, running = self._ask_after(attempts, True)
        self._strays.difference_update(one.attempt for one in seen if one.attempt not in running)
        self._reserve(running)
        return seen

    def _ask_after(
        self, attempts: Sequence[Attempt], withdraw: bool
    ) -> Tuple[List[Observation], Dict[Attempt, Dict[str, Any]]]:
        """What became of attempts, by their folders; and those that may run, with what is known of them.

        :param withdraw: what never started never will.
        """
        self._worked = True
        question = {
            "sweep_dir": self._scratch.sweep_dir,
            "tasks": self._scratch.names(attempts),
            "withdraw": withdraw,
            "takeover": self._scratch.opened.takeover,
            "last_words": not self._host.is_here,
        }
        answer = self._scratch.ask("runner.py", "settle", question, _SETTLE_TIMEOUT_S)
        running: Dict[Attempt, Dict[str, Any]] = {}
        seen: List[Observation] = []
        for index, attempt, verdict, detail in answer["tasks"]:
            kind = _VERDICTS.get(verdict, ObservationKind.UNKNOWN)
            record = sound_record(detail)
            seen.append(Observation((index, attempt), kind, record, _reason(detail)))
            if kind in (ObservationKind.STARTED, ObservationKind.UNKNOWN):
                running[index, attempt] = dict(record or {})
        return seen, running

    def _reserve(self, running: Dict[Attempt, Dict[str, Any]]) -> None:
        """Keep free what adopted tasks still use."""
        self._adopted = running
        if self._runner is not None:
            slots = [facts["slot"] for facts in running.values() if facts.get("slot") is not None]
            gpus = [gpu for facts in running.values() for gpu in facts.get("gpus") or ()]
            self._runner.send({"op": "reserve", "slots": slots, "gpus": gpus})


def _reason(detail: Any) -> str:
    if isinstance(detail, dict):
        return str(detail.get("reason") or "")[:500]
    return "" if detail is None else str(detail)[:500]
