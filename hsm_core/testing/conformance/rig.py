"""One source, opened in a lab: given tasks as the core gives them, polled, and remembered."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, Mapping, Sequence

from ...contract import (
    Acceptance,
    Attempt,
    Handle,
    Observation,
    ObservationKind,
    PollResult,
    SourceContext,
    SourceSpec,
    SubmitRequest,
    TaskAnswer,
    TaskSpec,
)

if TYPE_CHECKING:
    from .lab import Lab

__all__ = ["OVER", "TURN_S", "Rig"]

OVER = frozenset({ObservationKind.ENDED, ObservationKind.LOST, ObservationKind.WITHDRAWN, ObservationKind.REFUSED})
TURN_S = 0.05
"""The longest pause between two looks: the kit is impatient, and knows no scheduler that it could annoy."""
_tokens = itertools.count(1)


class Rig:
    """A source, opened in a lab: submits as the core does, polls, and keeps what it said.

    Every handle goes through JSON on its way, as it does through the journal.
    """

    def __init__(self, lab: Lab, spec: SourceSpec, env: Mapping[str, str]) -> None:
        self.lab = lab
        self.spec = spec
        self.source = lab.subject.make_source(spec)
        self._news = threading.Event()
        self.context = SourceContext(
            "sweep_1",
            str(lab.sweep_dir),
            str(lab.project_dir),
            spec,
            env=env,
            wake=self._news.set,
            task_name=lab.task_name,
            grace_s=0.5,
        )
        self.handles: Dict[Attempt, Handle] = {}
        self._ended: Dict[Attempt, Handle] = {}
        self.seen: List[Observation] = []
        self.ends: Dict[Attempt, Observation] = {}
        self.token = ""
        self._open = False

    def open(self) -> None:
        """Open the source."""
        self.source.open(self.context)
        self._open = True

    def close(self) -> None:
        """Let the source go; its tasks run on."""
        self._open = False
        self.source.close()

    def clear(self) -> None:
        """End whatever still runs, and let the source go."""
        if not self._open:
            return
        with contextlib.suppress(Exception):
            if self.handles:
                self.source.cancel(self.handles, 0.0)
            deadline = time.monotonic() + min(5.0, self.lab.subject.deadline_s)
            while self.handles and time.monotonic() < deadline:
                self.look()
        with contextlib.suppress(Exception):
            self.close()

    def room(self) -> int:
        """How many more tasks the source may be given now."""
        able = self.source.capabilities()
        lookahead = 1000 if able.lookahead is None else able.lookahead
        return able.slots + lookahead - len(self.handles)

    def submit(self, *tasks: TaskSpec) -> Dict[Attempt, TaskAnswer]:
        """Submit tasks in one go; what stays in doubt is looked for."""
        self.token = f"hsm-kit-{os.getpid()}-{next(_tokens)}"
        result = self.source.submit(SubmitRequest(self.token, tasks))
        answers = {answer.attempt: answer for answer in result.answers}
        for attempt, answer in answers.items():
            if answer.acceptance is Acceptance.ACCEPTED:
                assert answer.handle is not None, f"{attempt} was accepted without a handle"
                self.adopt({attempt: answer.handle})
            elif answer.acceptance is Acceptance.REJECTED:
                self.ends[attempt] = Observation(attempt, ObservationKind.REFUSED, None, answer.reason)
        wanted = [(task.index, task.attempt) for task in tasks]
        doubtful = [
            attempt
            for attempt in wanted
            if attempt not in answers or answers[attempt].acceptance is Acceptance.INDETERMINATE
        ]
        if doubtful:
            self.adopt(self.source.find(self.token, doubtful))
        return answers

    def adopt(self, handles: Mapping[Attempt, Handle]) -> None:
        """Ask about these from now on."""
        for attempt, handle in handles.items():
            self.handles[attempt] = json.loads(json.dumps(handle))

    def look(self) -> PollResult:
        """Poll once."""
        self._news.clear()
        result = self.source.poll(dict(self.handles))
        for seen in result.observations:
            self.seen.append(seen)
            if seen.kind in OVER:
                if seen.attempt in self.handles:
                    self._ended[seen.attempt] = self.handles.pop(seen.attempt)
                self.ends.setdefault(seen.attempt, seen)
        return result

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Poll until something is so."""
        deadline = time.monotonic() + self.lab.subject.deadline_s
        self.look()
        while not condition():
            assert time.monotonic() < deadline, (
                f"within {self.lab.subject.deadline_s:g} s it did not happen that {what}; seen: {self.seen[-5:]}"
            )
            self._news.wait(TURN_S)
            self.look()

    def started(self, *indices: int) -> None:
        """Poll until these tasks are seen to run, or to have run: who tells an end need not tell the start besides."""
        begun = (ObservationKind.STARTED, ObservationKind.ENDED)
        self.until(
            lambda: set(indices) <= {seen.attempt[0] for seen in self.seen if seen.kind in begun},
            f"tasks {list(indices)} start",
        )

    def over(self, *attempts: Attempt) -> List[Observation]:
        """Poll until these attempts are over, and bring their files home; what was said of each."""
        self.until(lambda: all(attempt in self.ends for attempt in attempts), f"{list(attempts)} are over")
        ended = {a: self._ended[a] for a in attempts if self.ends[a].kind is ObservationKind.ENDED}
        if ended:
            self.collect(ended)
        return [self.ends[attempt] for attempt in attempts]

    def collect(self, ended: Mapping[Attempt, Handle]) -> None:
        """Bring home the files of these attempts, in as many portions as the source makes of it."""
        waiting = dict(ended)
        deadline = time.monotonic() + self.lab.subject.deadline_s
        while waiting:
            assert time.monotonic() < deadline, f"the files of {list(waiting)} do not come home"
            home = self.source.collect(dict(waiting), str(self.lab.sweep_dir))
            for attempt in list(waiting) if home is None else home:
                waiting.pop(attempt, None)

    def run(self, *tasks: TaskSpec) -> List[Observation]:
        """Run tasks to their ends, as many at a time as the source takes; what was said of each in the end."""
        waiting: Deque[TaskSpec] = deque(tasks)
        wanted = [(task.index, task.attempt) for task in tasks]

        def feed() -> bool:
            portion = [waiting.popleft() for _ in range(min(len(waiting), max(0, self.room())))]
            if portion:
                answers = self.submit(*portion)
                for task in portion:
                    answer = answers.get((task.index, task.attempt))
                    if answer is not None and answer.acceptance in (Acceptance.RETRY, Acceptance.LIMIT):
                        waiting.append(task)
            return not waiting and all(attempt in self.ends for attempt in wanted)

        self.until(feed, f"{len(tasks)} tasks are over")
        return self.over(*wanted)

    def watch_host(self) -> List[str]:
        """From now on, the commands that the source runs or starts on its host, `run …` or `start …`.

        :raises LookupError: it has none.
        """
        host = self.source.host()
        if host is None:
            raise LookupError(f"{self.spec.id} has no host to watch")
        commands: List[str] = []
        for name in ("run", "start"):
            setattr(host, name, _noting(getattr(host, name), name, commands))
        return commands


def _noting(call: Callable[..., Any], name: str, commands: List[str]) -> Callable[..., Any]:
    def noting(argv: Sequence[str], **rest: Any) -> Any:
        commands.append(f"{name} {' '.join(argv)}")
        return call(argv, **rest)

    return noting
