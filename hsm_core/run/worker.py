"""Workers: one thread a source, the only one that ever calls it. They carry out instructions and post what came of it.

A worker decides nothing. Whatever a source raises becomes a message; while a call hangs, only its own worker hangs.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ..analysis.signature import read_tail, signature
from ..contract import (
    Acceptance,
    Attempt,
    Capabilities,
    Handle,
    HealthReport,
    Observation,
    ObservationKind,
    PollResult,
    Source,
    SourceContext,
    SubmitRequest,
    SubmitResult,
    SyncRequest,
    SyncVerdict,
    TaskAnswer,
    TaskSpec,
)
from ..errors import HsmError, NoSourceError
from ..log import Log
from ..plugins import Plugins
from .checks import checked, checked_handles, checked_news, checked_result
from .inbox import Inbox
from .tasks import TaskMaker

__all__ = [
    "PROJECT_S",
    "REFUSED",
    "Answered",
    "Collected",
    "Failed",
    "Found",
    "HealthSeen",
    "Message",
    "Opened",
    "Polled",
    "Said",
    "Worker",
    "worded",
]


class Opened(NamedTuple):
    """The source is ready."""

    source: str
    capabilities: Capabilities


class Answered(NamedTuple):
    """It answered a submission."""

    source: str
    token: str
    attempts: Sequence[Attempt]
    result: SubmitResult


class Found(NamedTuple):
    """It looked for a submission."""

    source: str
    attempts: Sequence[Attempt]
    handles: Mapping[Attempt, Handle]


class Polled(NamedTuple):
    """It reported news."""

    source: str
    result: PollResult


class Collected(NamedTuple):
    """The files of these attempts are home."""

    source: str
    attempts: Sequence[Attempt]


class HealthSeen(NamedTuple):
    """It said how it is."""

    source: str
    report: HealthReport


class Said(NamedTuple):
    """It has a line for a person."""

    source: str
    line: str


class Failed(NamedTuple):
    """A call raised.

    :param call: open, submit, find, poll, cancel, collect or health.
    :param token: of a submission or a search; its attempts are in doubt.
    """

    source: str
    call: str
    reason: str
    token: str = ""
    attempts: Sequence[Attempt] = ()


Message = Union[Opened, Answered, Found, Polled, Collected, HealthSeen, Said, Failed]

REFUSED = {SyncVerdict.DIFFERS: "differs", SyncVerdict.UNVERIFIED: "could not be verified"}
"""Verdicts with which nothing runs there, in words."""
PROJECT_S = 600.0
"""How long the project may be looked at: the first time every file of it is read, here and there."""
_OVER = frozenset({ObservationKind.ENDED, ObservationKind.LOST, ObservationKind.WITHDRAWN, ObservationKind.REFUSED})
_log = Log("worker")
_MIN_PAUSE_S = 0.02
"""The shortest, whatever a source says."""
_MAX_PAUSE_S = 30.0
"""The longest pause between two polls when they fail."""
_SHORTEST_PORTION_S = 0.1
_OPEN_PAUSES_S = (0.5, 1.5)
_POLL = object()
_STOP = object()


def worded(error: BaseException) -> str:
    """What came out of a source, for a person, in one line."""
    # What we raise ourselves is a sentence with a remedy; of anything else its kind is half of the message.
    if isinstance(error, HsmError):
        return f"{error.message} ({error.hint})" if error.hint else error.message
    return f"{type(error).__name__}: {str(error) or 'no message'}"


class Worker:
    """The thread of one source.

    :param post: takes messages for the controller, from any thread.
    :param make_task: makes what is to be run.
    :param adopted: handles of attempts that an earlier controller submitted.
    :param verify: whether to compare the source's copy of the project with ours before it may run anything.
    """

    def __init__(
        self,
        source: Source,
        context: SourceContext,
        plugins: Plugins,
        post: Callable[[Message], None],
        make_task: TaskMaker,
        adopted: Mapping[Attempt, Handle],
        health_interval_s: float,
        verify: bool = False,
    ) -> None:
        self.id = context.spec.id
        self._source = source
        self._context = dataclasses.replace(context, wake=self.wake, say=lambda line: post(Said(context.spec.id, line)))
        self._plugins = plugins
        self._post = post
        self._make_task = make_task
        self._far_sweep_dir: Optional[str] = None
        self._handles: Dict[Attempt, Handle] = dict(adopted)
        self._health_interval_s = health_interval_s
        self._verify = verify
        self._to_collect: Dict[Attempt, Handle] = {}
        self._collects_on = False
        self._inbox: Inbox[Any] = Inbox()
        self._poll_asked = False
        self._failed_polls = 0
        self._poll_interval_s = self._pause_s = 1.0
        self._call: Optional[Tuple[str, float, float]] = None
        self._thread = threading.Thread(target=self._run, name=f"source-{self.id}", daemon=True)

    # --- for the controller

    def start(self) -> None:
        """Open the source, then wait for instructions."""
        self._thread.start()

    def submit(
        self, token: str, attempts: Sequence[Attempt], resources: Mapping[Attempt, Mapping[str, Any]] = {}
    ) -> None:
        """Submit these attempts; answered by `Answered` or `Failed`.

        :param resources: what some of them are given otherwise than they ask for.
        """
        self._inbox.put(lambda: self._submit(token, attempts, resources))

    def find(self, token: str, attempts: Sequence[Attempt]) -> None:
        """Look for a submission; answered by `Found` or `Failed`."""
        self._inbox.put(lambda: self._find(token, attempts))

    def cancel(self, handles: Mapping[Attempt, Handle], grace_s: float) -> None:
        """End these attempts; their ends come as news."""
        self._inbox.put(lambda: self._cancel(handles, grace_s))

    def collect(self, handles: Mapping[Attempt, Handle]) -> None:
        """Bring home the files of these attempts; answered by `Collected`, in portions, and `Failed` for the rest."""
        self._inbox.put(lambda: self._collect(handles))

    def wake(self) -> None:
        """Poll soon; from any thread."""
        if not self._poll_asked:
            self._poll_asked = True
            self._inbox.put(_POLL)

    def close(self, patience_s: float) -> None:
        """Let the source go, waiting for it no longer than this."""
        self._inbox.put(_STOP)
        self._thread.join(patience_s)

    def overdue(self) -> Optional[str]:
        """What a call that has overrun its deadline is; None when all is well."""
        call = self._call
        if call is None:
            return None
        name, began, deadline_s = call
        waited = time.monotonic() - began
        return f"{name} has not answered for {waited:.0f} s" if waited > deadline_s else None

    # --- in the thread

    def _run(self) -> None:
        if not self._open():
            return
        next_poll = next_health = time.monotonic() + self._poll_interval_s
        if self._handles:
            next_poll = 0.0
        while True:
            now = time.monotonic()
            item = self._inbox.take(min(next_poll, next_health) - now)
            if item is _STOP:
                self._guarded("close", 10.0, self._source.close)
                return
            if item is not None and item is not _POLL:
                item()
            now = time.monotonic()
            if item is _POLL or (now >= next_poll and self._handles):
                self._failed_polls = 0 if self._poll() else self._failed_polls + 1
                now = time.monotonic()
                # A host that cannot be reached is asked less often, but soon after it may have come back.
                next_poll = now + min(_MAX_PAUSE_S, self._pause_s * 2.0 ** min(self._failed_polls, 10))
            elif now >= next_poll:
                next_poll = now + self._poll_interval_s
            if now >= next_health:
                next_health = now + self._health_interval_s
                self._guarded("health", 30.0, self._ask_health)

    def _open(self) -> bool:
        def open_source() -> None:
            request = SyncRequest(self._context.project_dir, self._context.spec, sweep_id=self._context.sweep_id)
            self._call = ("locating the project", time.monotonic(), PROJECT_S)
            there = self._plugins.locate_project(self._source, request)
            if self._verify:
                self._call = ("comparing the project", time.monotonic(), PROJECT_S)
                self._verify_sync(dataclasses.replace(request, remote_project_dir=there))
            self._call = ("open", time.monotonic(), 60.0)
            self._source.open(dataclasses.replace(self._context, remote_project_dir=there))
            capabilities = checked(self._source.capabilities(), Capabilities, "capabilities")
            self._poll_interval_s = capabilities.poll_interval_s
            self._far_sweep_dir = capabilities.sweep_dir
            self._post(Opened(self.id, capabilities))

        def open_patiently() -> None:
            for pause_s in _OPEN_PAUSES_S:
                try:
                    return open_source()
                except OSError as error:  # a link may be cut while it is made, and a source is opened only once
                    self._context.say(f"cannot be opened: {error}; trying again")
                    time.sleep(pause_s)
            return open_source()

        return self._guarded("open", 60.0, open_patiently)

    def _ask_health(self) -> None:
        self._post(HealthSeen(self.id, checked(self._source.health(), HealthReport, "health")))

    def _verify_sync(self, request: SyncRequest) -> None:
        """Hold the source's copy of the project against ours. :raises NoSourceError: they differ, or may."""
        for report in self._plugins.verify_sync(self._source, request):
            if report.verdict in REFUSED:
                remedy = f" ({report.remedy})" if report.remedy else ""
                what = REFUSED[report.verdict]
                raise NoSourceError(f"its copy of the project {what}: {report.verifier}: {report.detail}{remedy}")
            self._context.say(f"{report.verifier}: {report.detail}")

    def _guarded(
        self,
        call: str,
        deadline_s: float,
        work: Callable[[], None],
        token: str = "",
        attempts: Sequence[Attempt] = (),
    ) -> bool:
        """Do it, with the clock running; whatever is raised is posted."""
        began = time.monotonic()
        self._call = (call, began, deadline_s)
        try:
            work()
            return True
        except Exception as error:
            # A source is somebody else's code: anything may come out of it, and none of it may stop the sweep.
            self._post(Failed(self.id, call, f"{call}: {worded(error)}", token, attempts))
            return False
        finally:
            self._call = None
            _log.debug("call", source=self.id, call=call, seconds=round(time.monotonic() - began, 6))

    def _submit(self, token: str, attempts: Sequence[Attempt], resources: Mapping[Attempt, Mapping[str, Any]]) -> None:
        def submit() -> None:
            answers, tasks = self._make_tasks(attempts, resources)
            if tasks:
                result = self._plugins.submit(self._source, SubmitRequest(token, tasks))
                answers += checked_result(result).answers
            for answer in answers:
                if answer.acceptance is Acceptance.ACCEPTED:
                    self._handles[answer.attempt] = answer.handle or {}
            self._post(Answered(self.id, token, attempts, SubmitResult(answers)))

        self._guarded("submit", 120.0, submit, token, attempts)

    def _make_tasks(
        self, attempts: Sequence[Attempt], resources: Mapping[Attempt, Mapping[str, Any]]
    ) -> Tuple[List[TaskAnswer], List[TaskSpec]]:
        """The tasks to submit, and a refusal for each whose command cannot be built: it is that task's fault alone."""
        refusals: List[TaskAnswer] = []
        tasks: List[TaskSpec] = []
        for attempt in attempts:
            try:
                task = self._make_task(attempt, self._far_sweep_dir)
                if attempt in resources:
                    given = dataclasses.replace(task.resources, **resources[attempt])
                    task = dataclasses.replace(task, resources=given)
                tasks.append(task)
            except HsmError as error:
                refusals.append(TaskAnswer(attempt, Acceptance.REJECTED, reason=error.message))
        return refusals, tasks

    def _find(self, token: str, attempts: Sequence[Attempt]) -> None:
        def find() -> None:
            handles = checked_handles(self._source.find(token, attempts))
            self._handles.update(handles)
            self._post(Found(self.id, attempts, handles))
            self.wake()

        self._guarded("find", 120.0, find, token, attempts)

    def _poll(self) -> bool:
        self._poll_asked = False  # before the look, so that news which comes during it is not missed

        def poll() -> None:
            result = checked_news(self._plugins.poll(self._source, dict(self._handles)))
            news = [self._completed(seen) for seen in result.observations]
            again_s = self._poll_interval_s if result.again_s is None else result.again_s
            self._pause_s = min(max(again_s, _MIN_PAUSE_S), self._poll_interval_s)
            self._post(Polled(self.id, dataclasses.replace(result, observations=news)))

        self._pause_s = self._poll_interval_s
        return self._guarded("poll", 60.0, poll)

    def _completed(self, seen: Observation) -> Observation:
        """The observation with what only this machine can add: the last words of a program that failed."""
        if seen.kind in _OVER:
            self._handles.pop(seen.attempt, None)
        record = seen.record
        if seen.kind is not ObservationKind.ENDED or record is None or record.get("state") == "completed":
            return seen
        if "last_words" in record:  # its files are not here yet
            last_words = str(record["last_words"]).encode("utf-8", "replace")
            record = {key: value for key, value in record.items() if key != "last_words"}
        else:
            task_dir = os.path.join(self._context.sweep_dir, "tasks", self._context.task_name(seen.attempt[0]))
            last_words = read_tail(os.path.join(task_dir, "stderr.log"))
        return seen._replace(record={**record, "signature": signature(last_words, record)})

    def _cancel(self, handles: Mapping[Attempt, Handle], grace_s: float) -> None:
        if self._guarded("cancel", grace_s + 60.0, lambda: self._source.cancel(handles, grace_s)):
            self.wake()

    def _collect(self, handles: Mapping[Attempt, Handle]) -> None:
        self._to_collect.update(handles)
        if not self._collects_on:
            self._collect_on()

    def _collect_on(self) -> None:
        """Collect a portion; the next comes after all that has been asked for meanwhile."""
        self._collects_on = False
        wanted, began = dict(self._to_collect), time.monotonic()

        def collect() -> None:
            home = self._source.collect(wanted, self._context.sweep_dir)
            brought = list(wanted if home is None else wanted.keys() & set(home))
            for attempt in brought:
                del self._to_collect[attempt]
            if brought:
                self._post(Collected(self.id, brought))
            elif time.monotonic() - began < _SHORTEST_PORTION_S:
                time.sleep(_SHORTEST_PORTION_S)  # a source that returns nothing at once must not keep us turning

        if not self._guarded("collect", 120.0, collect, attempts=list(wanted)):
            self._to_collect.clear()
        elif self._to_collect:
            self._collects_on = True
            self._inbox.put(self._collect_on)
