"""One task from end to end at a source, by way of the contract alone, until its record and files are home.

It runs in a sweep of its own, hidden among the project's outputs, because that is where tasks have to be able to write.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from dataclasses import replace
from typing import Callable, Dict, Optional, Sequence

from ..analysis.signature import read_tail
from ..config import LoadedConfig
from ..contract import (
    Acceptance,
    Attempt,
    Capabilities,
    Handle,
    Health,
    HealthReport,
    Observation,
    ObservationKind,
    SkipStage,
    Source,
    SourceContext,
    SourceSpec,
    Stage,
    SubmitRequest,
    SyncRequest,
    TaskSpec,
)
from ..errors import HsmError, NoSourceError
from ..plugins import Plugins
from ..project.conda import activation
from ..store import sweeps
from ..store.layout import ProjectLayout, SweepLayout, task_id
from ..store.views.words import how_it_ended, one_line, span
from .checks import checked, checked_handles, checked_news, checked_result
from .worker import PROJECT_S, REFUSED

__all__ = ["Trial"]

_ATTEMPT: Attempt = (0, 1)
_NAME = task_id(0, 1)
_WALLTIME_S = 300.0
"""A scheduler that fills gaps starts a short job sooner."""
_FAREWELL_S = 15.0
"""How long the end of a task that is not wanted any more may take."""
_SAYS = "one task was here"
_SCRIPT = f"""\
sleep 1
[ -z "$1" ] || command -v "$1" || {{ echo "project.python is not there: $1" >&2; exit 127; }}
echo {_SAYS}
"""
_OVER = frozenset({ObservationKind.ENDED, ObservationKind.LOST, ObservationKind.WITHDRAWN, ObservationKind.REFUSED})


class Trial:
    """A source on trial.

    :param patience_s: how long the task may take from its submission to its end.
    :param say: takes lines on what is being waited for, from any thread.
    """

    def __init__(
        self, spec: SourceSpec, config: LoadedConfig, plugins: Plugins, patience_s: float, say: Callable[[str], None]
    ) -> None:
        self._spec = spec
        self._config = config
        self._plugins = plugins
        self._patience_s = patience_s
        self._say = say
        self._uid = secrets.token_hex(4)
        self._project = ProjectLayout(config.project_dir)
        self._had_outputs = self._project.outputs.is_dir()
        self._layout = SweepLayout(self._project.outputs / f".hsm-test-{self._uid}")
        self._request = SyncRequest(str(config.project_dir), spec)
        self._source: Optional[Source] = None
        self._news = threading.Event()
        self._stopping = False
        self._calling = threading.Lock()
        """A source is never called from two threads at once."""

    def stages(self) -> Sequence[Stage]:
        """Hold its copy of the project against ours, open it, ask how it is, and run the task."""
        return (
            Stage("project", self._on_source(self._compare), PROJECT_S),
            Stage("open", self._on_source(self._open), 60.0),
            Stage("health", self._on_source(self._health), 30.0),
            Stage("one task", self._on_source(self._run_task), self._patience_s + 2 * _FAREWELL_S),
        )

    def end(self) -> None:
        """End the task if it still runs, let the source go, and remove what was made."""
        self._stopping = True
        self._news.set()
        if self._calling.acquire(timeout=_FAREWELL_S):  # one that hangs is abandoned
            with contextlib.suppress(Exception):
                if self._source is not None:
                    self._source.close()
            self._calling.release()
        sweeps.discard(self._layout)
        if not self._had_outputs:
            with contextlib.suppress(OSError):
                self._project.outputs.rmdir()

    def _on_source(self, work: Callable[[Source], str]) -> Callable[[], str]:
        def call() -> str:
            with self._calling:
                if self._source is None:
                    self._source = self._plugins.make_source(self._spec)
                return work(self._source)

        return call

    # --- the stages

    def _compare(self, source: Source) -> str:
        there = self._plugins.locate_project(source, self._request)
        self._request = replace(self._request, remote_project_dir=there)
        reports = self._plugins.verify_sync(source, self._request)
        if not reports:
            raise SkipStage("nobody compares it with ours")
        worst = reports[0]
        if worst.verdict in REFUSED:
            what = REFUSED[worst.verdict]
            raise NoSourceError(f"it {what}: {worst.verifier}: {worst.detail}", worst.remedy or None)
        return "; ".join(f"{report.verifier}: {report.detail}" for report in reports)

    def _open(self, source: Source) -> str:
        sweeps.create(self._layout)
        project = self._config.config.project
        context = SourceContext(
            sweep_id=f"hsm-test-{self._uid}",
            sweep_dir=str(self._layout.root),
            project_dir=str(self._config.project_dir),
            spec=self._spec,
            env=project.env,
            setup=(*project.setup, *activation(project.conda_env)),
            wake=self._news.set,
            say=self._say,
            task_name=lambda index: _NAME,
            grace_s=self._config.config.compute.grace_s,
            remote_project_dir=self._request.remote_project_dir,
            sweep_uid=self._uid,
        )
        source.open(context)
        return f"{checked(source.capabilities(), Capabilities, 'capabilities').slots} slots"

    def _health(self, source: Source) -> str:
        report = checked(source.health(), HealthReport, "health")
        if report.health in (Health.UNHEALTHY, Health.DISABLED):
            raise NoSourceError(report.detail or f"it says that it is {report.health.value}")
        return f"{report.health.value}: {report.detail}" if report.detail else report.health.value

    def _run_task(self, source: Source) -> str:
        began = time.monotonic()
        handles = self._submit(source)
        self._say("one task: submitted")
        submitted_s = time.monotonic() - began
        started_s: Optional[float] = None
        waits_for = ""
        while True:
            for seen in checked_news(self._plugins.poll(source, dict(handles))).observations:
                if seen.attempt != _ATTEMPT:
                    continue
                if seen.kind in _OVER:
                    host = self._check_end(source, seen, handles)
                    ended_s = time.monotonic() - began
                    times = [f"submitted in {span(submitted_s)}", f"back after {span(ended_s)}"]
                    if started_s is not None:
                        times.insert(1, f"seen to start after {span(started_s)}")
                    return f"on {host}: {', '.join(times)}"
                if seen.kind is ObservationKind.STARTED:
                    started_s = started_s or time.monotonic() - began
                waits_for = seen.reason or seen.kind.value
                self._say(f"one task: {waits_for}")
            left_s = began + self._patience_s - time.monotonic()
            if self._stopping or left_s <= 0:
                self._cancel(source, handles)
                raise NoSourceError(
                    f"the task has not ended within {span(self._patience_s)}, last seen: {waits_for or 'nothing'}",
                    "if the source is only busy, wait longer: --timeout 1h",
                )
            self._news.wait(min(source.capabilities().poll_interval_s, left_s))
            self._news.clear()

    # --- the task

    def _task(self) -> TaskSpec:
        """One second of nothing, that asks for what tasks ask for, and looks for the interpreter that they need."""
        project = self._config.config.project
        wanted = self._config.config.resources
        walltime_s = None if wanted.walltime_s is None else min(wanted.walltime_s, _WALLTIME_S)
        python = project.python if any("{python}" in word for word in project.command) else ""
        return TaskSpec(
            *_ATTEMPT,
            _NAME,
            ("/bin/sh", "-c", _SCRIPT, "sh", python),
            resources=replace(wanted, walltime_s=walltime_s),
        )

    def _submit(self, source: Source) -> Dict[Attempt, Handle]:
        """Hand the task over. :raises NoSourceError: it was not taken."""
        token = f"hsm-{self._uid}-1-1"
        result = checked_result(self._plugins.submit(source, SubmitRequest(token, [self._task()])))
        for answer in result.answers:
            if answer.attempt != _ATTEMPT:
                continue
            if answer.acceptance is Acceptance.ACCEPTED:
                return {_ATTEMPT: answer.handle or {}}
            if answer.acceptance is not Acceptance.INDETERMINATE:
                raise NoSourceError(f"the task was not taken ({answer.acceptance.value}): {answer.reason}")
        handles = checked_handles(source.find(token, [_ATTEMPT]))
        if _ATTEMPT not in handles:
            raise NoSourceError("the task was not taken, and nobody says why")
        return handles

    def _check_end(self, source: Source, seen: Observation, handles: Dict[Attempt, Handle]) -> str:
        """Where it ran. :raises NoSourceError: it did not end well, or what it printed did not come home."""
        if seen.kind is not ObservationKind.ENDED or seen.record is None:
            raise NoSourceError(f"the task did not run to its end: {seen.kind.value}: {seen.reason}")
        record = seen.record
        if not source.capabilities().shares_files:
            self._collect(source, handles)
        folder = self._layout.task_dir(_NAME)
        if record.get("state") != "completed":
            said = read_tail(str(folder / "stderr.log")).decode("utf-8", "replace").strip().splitlines()
            words = one_line(said[-1] if said else record.get("reason") or "it said nothing")
            raise NoSourceError(
                f"the task ended badly, {how_it_ended(record)}: {words}",
                "hsm config set project.python PATH" if record.get("exit_code") == 127 else None,
            )
        if _SAYS.encode("ascii") not in read_tail(str(folder / "stdout.log")):
            raise NoSourceError(
                f"the task ended well, but what it printed is not in {folder}",
                "does the source write into the folder that is seen here?",
            )
        return str(record.get("host") or self._spec.name)

    def _collect(self, source: Source, handles: Dict[Attempt, Handle]) -> None:
        """Bring its files home, however often the source wants to be asked."""
        self._say("one task: its files come home")
        deadline = time.monotonic() + self._patience_s
        while not self._stopping and time.monotonic() < deadline:
            home = source.collect(dict(handles), str(self._layout.root))
            if home is None or _ATTEMPT in home:
                return
        raise NoSourceError("the task has ended, but its files do not come home")

    def _cancel(self, source: Source, handles: Dict[Attempt, Handle]) -> None:
        """End it, and see it end, if that does not take long."""
        with contextlib.suppress(OSError, HsmError):
            source.cancel(dict(handles), 0.0)
            deadline = time.monotonic() + _FAREWELL_S
            while time.monotonic() < deadline:
                news = checked_news(self._plugins.poll(source, dict(handles))).observations
                if any(seen.attempt == _ATTEMPT and seen.kind in _OVER for seen in news):
                    return
                self._news.wait(0.2)
                self._news.clear()
