"""A batch scheduler as a source: everything but the scheduler's words, which a `Dialect` has.

Tasks become job arrays whose elements run `job.py`, on the nodes. It claims each attempt, writes the exit record, and
leaves news beside the job's files, so that nobody has to be asked how a task ended. See `docs/design/batch.md`.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from typing import Any, Callable, Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ..contract import (
    Acceptance,
    Attempt,
    Capabilities,
    Glimpse,
    Handle,
    Health,
    HealthReport,
    Host,
    ObservationKind,
    PollResult,
    SourceContext,
    SourceSpec,
    SubmitRequest,
    SubmitResult,
    TaskAnswer,
    TaskResources,
)
from ..errors import ConfigError
from ..runner.job_news import job_text
from .batch_endings import Manners
from .batch_jobs import Job, Target
from .batch_plan import Draft, Live, Plan, PlannedJob, draft_jobs, find_lane, job_name
from .batch_request import job_request
from .batch_room import Room, answer_all
from .batch_scheduler import Scheduler
from .batch_settings import Settings
from .batch_site import Site
from .batch_watch import Watch
from .budget import CallBudget, budget_dir
from .collector import Collector, most_of
from .dialect import Dialect, JobRequest, Submission, script_text
from .payload import payload
from .scratch import Scratch

__all__ = ["BatchSource"]

_DEFAULT_SLOTS = 10_000
"""As many as the scheduler will run: it has limits of its own."""
_LOOKAHEAD = 10_000
"""Tasks wait in the scheduler's queue, where they gather priority, and run on when every hsm is gone."""
_SHORTEST_PAUSE_S = 0.1
_MUCH_NEWS = 32
"""A look costs the core as much as so many ends of tasks: with fewer, it is better to wait a little longer."""
_SLOWER = 1.5
_SHARE_OF_LOOKS = 20.0
"""A pause between two looks for news is so many times as long as a look takes."""
_QUIET_S = 5.0
"""So long after a submission without an answer the scheduler may not show yet what it has accepted."""
_KILL_SLACK_S = 15.0
"""A runner that was asked to end its tasks has so long beyond the grace, then the scheduler ends it."""


class BatchSource:
    """Tasks as jobs of a batch scheduler.

    :param spec: options understood here: `tasks_per_job` (tasks that one element runs, one after another; `auto`, the
        default: its own, then tasks of others while its job is younger than ten minutes), `tasks_at_once` (of those
        beside each other), `modules`, `setup`, `warning` (seconds before the walltime at which programs that listen
        get USR1), `requeue`, `poll` (seconds between two queries at the least), `lost_grace`, `calls_per_minute`,
        `python`, `grace`. The others are the dialect's.
    :param defaults: resources of tasks that do not say theirs.
    """

    def __init__(
        self,
        host: Host,
        dialect: Dialect,
        spec: SourceSpec,
        defaults: Optional[TaskResources] = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._host = host
        self._dialect = dialect
        self._spec = spec
        self._settings = Settings(spec)
        self._defaults = defaults or TaskResources()
        self._clock = clock
        self._sleep = sleep
        self._slots = _DEFAULT_SLOTS if spec.slots is None else spec.slots
        self._opened: Optional[_Opened] = None
        self._lookahead = _LOOKAHEAD
        self._in_doubt: Dict[str, float] = {}
        self._longest_pause_s = 1.0 if host.is_here else 5.0
        self._scratch = Scratch(host, spec)
        self._collector = Collector(self._scratch, most_of(spec), clock)
        self._worked = False
        self._pause_s = self._longest_pause_s

    # --- the contract

    def open(self, context: SourceContext) -> None:
        """Get ready. :raises NoSourceError: the scheduler's commands are not there; one that is down is waited for."""
        budget = CallBudget(budget_dir(self._dialect.name, os.environ), self._settings.calls_per_minute)
        scheduler = Scheduler(self._host, self._dialect, budget, self._settings.poll_s, self._clock)
        self._dialect = scheduler.meet()
        self._scratch.open(context)
        context = self._scratch.there
        site = Site(self._scratch, context)
        manners = Manners(self._settings.lost_grace_s, self._settings.requeue, self._settings.helps)
        watch = Watch(site, scheduler, manners, self._clock, context.say)
        room = Room(self._dialect.name, self._spec, scheduler, site, watch, self._clock, context.say)
        self._opened = _Opened(context, scheduler, site, watch, room)
        limits = room.limits
        most = None if limits.problem or limits.queued is None else limits.queued * self._settings.tasks_per_job
        if self._spec.slots is None and most is not None:
            self._slots = max(1, min(_DEFAULT_SLOTS, most))
        # More than the user may have in the queue would only be given, and given back, again and again.
        self._lookahead = _LOOKAHEAD if most is None else max(0, min(_LOOKAHEAD, most - self._slots))

    def capabilities(self) -> Capabilities:
        """Slots as asked for; tasks wait in the scheduler's queue and outlive us."""
        return Capabilities(
            slots=self._slots,
            lookahead=self._lookahead,
            push=False,
            poll_interval_s=self._longest_pause_s,
            outlives_host=True,
            interrupts=False,
            about=self._dialect.release,
            query_interval_s=self._settings.poll_s,
            shares_files=self._host.is_here,
            sweep_dir=None if self._host.is_here else self._scratch.sweep_dir,
        )

    def health(self) -> HealthReport:
        """Whether the scheduler answers, and has answered what it was asked last."""
        problem = self._now_open.scheduler.problem()
        return HealthReport(Health.UNHEALTHY, problem) if problem else self._now_open.watch.health

    def submit(self, request: SubmitRequest) -> SubmitResult:
        """One job for each group of tasks that fits into one array; the plan is on disk before the first of them."""
        here = self._now_open
        self._pause_s = _SHORTEST_PAUSE_S
        problem = here.room.learn(request.token)
        if problem:
            every = [(task.index, task.attempt) for task in request.tasks]
            return SubmitResult([TaskAnswer(one, Acceptance.RETRY, reason=problem) for one in every])
        drafts, answers = here.room.fit(
            draft_jobs(request, self._defaults, self._array_size, self._settings.tasks_per_job)
        )
        if drafts:
            planned = [
                PlannedJob(
                    [[(task.index, task.attempt) for task in share] for share in draft.shares],
                    min(self._settings.elements_at_once(self._slots), len(draft.shares)),
                )
                for draft in drafts
            ]
            self._worked = True
            plan = Plan(request.token, self._spec.id, time.time(), tuple(planned))
            here.site.prepare(plan)
            answers += self._submit_all(plan, drafts)
        return SubmitResult(answers)

    def preview(self, context: SourceContext, request: SubmitRequest) -> Sequence[Tuple[str, str]]:
        """The scripts of a submission, as they would be written if the scheduler set no limits."""
        site = Site(self._scratch, context)
        shown: List[Tuple[str, str]] = []
        live: List[Live] = []
        for number, draft in enumerate(
            draft_jobs(request, self._defaults, len(request.tasks), self._settings.tasks_per_job)
        ):
            lane = find_lane(live, self._settings.elements_at_once(self._slots), len(draft.shares))
            if lane is None:
                break
            live.append(Live(f"ID{number}", lane[0]))
            job = self._request(context, site, request.token, number, draft, lane, ())
            shown.append((site.script_path(job.name), script_text(self._dialect, job)))
        return shown

    def find(self, token: str, attempts: Sequence[Attempt]) -> Mapping[Attempt, Handle]:
        """Look for a submission by its name: in the queue, in the accounts, in the tasks' own folders.

        :raises OSError: when the scheduler's answer is not whole: nobody knows yet.
        """
        here = self._now_open
        plan = here.site.plan(token)
        if plan is None:
            return {}
        in_doubt = self._in_doubt.get(token)
        waited = time.time() - plan.since if in_doubt is None else self._clock() - in_doubt
        self._sleep(max(0.0, min(_QUIET_S, _QUIET_S - waited)))
        places = plan.places()
        names = plan.names()
        ids = self._ask_for(names)
        if len(ids) < len(names):
            accounts = here.scheduler.accounting({name: "" for name in names if name not in ids}, plan.since - 3600.0)
            if accounts.available and not accounts.complete:
                raise OSError(accounts.problem or f"{self._dialect.name}: the accounts cannot be read")
            ids.update((row.name, row.job) for row in accounts.jobs if row.name in names)
        # Whatever has claimed its folder was accepted, whether or not the scheduler remembers it.
        known = {item.attempt for item in here.site.news([], attempts) if item.kind in ("s", "e")}
        found = [a for a in attempts if a in known or (a in places and job_name(token, places[a].job) in ids)]
        handle = _handle(plan, {str(number): ids[name] for number, name in enumerate(names) if name in ids})
        here.watch.add(plan, found, handle["jobs"], adopted=True)
        return dict.fromkeys(found, handle)

    def poll(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        """News from the jobs' files; now and then the scheduler's words."""
        began = self._clock()
        result = self._now_open.watch.look(handles)
        if not self._host.is_here:
            return result
        # Files here cost little to look at, so the look may follow the news; but never to make a slow disk slower.
        much = len(result.observations) >= _MUCH_NEWS
        self._pause_s = _SHORTEST_PAUSE_S if much else self._pause_s * _SLOWER
        self._pause_s = max(self._pause_s, (self._clock() - began) * _SHARE_OF_LOOKS)
        self._pause_s = min(self._pause_s, self._longest_pause_s)
        return replace(result, again_s=self._pause_s)

    def cancel(self, handles: Mapping[Attempt, Handle], grace_s: float) -> None:
        """What has not started is claimed, so that it never does; what runs is asked by way of its runner."""
        here = self._now_open
        watch = here.watch
        watch.adopt(handles)
        wanted = [attempt for attempt in handles if attempt in watch.followed.where]
        watch.followed.told_to_end.update(wanted)
        watch.read_news(withdraw=wanted)
        over, unstarted = watch.over(), watch.over(ObservationKind.WITHDRAWN)
        by_job: Dict[str, Tuple[Job, Set[int], List[Attempt]]] = {}
        for attempt in wanted:
            job, element = watch.followed.where[attempt]
            _, elements, running = by_job.setdefault(job.name, (job, set(), []))
            elements.add(element)
            if attempt not in over:
                running.append(attempt)
        stamp = f"{time.time_ns()}-{os.getpid()}"
        to_nudge: List[Target] = []
        to_end: List[Target] = []
        for job, elements, running in by_job.values():
            if running:
                here.site.request_end(job.plan.token, job.number, running, grace_s, stamp)
            busy = {element for element in elements if not job.open[element] <= over}
            whole = {element for element in busy if job.open[element] <= over.union(running)}
            for element in whole:
                job.kill_at[element] = self._clock() + grace_s + _KILL_SLACK_S
            if busy:
                to_nudge.append(job.target(busy))
            # With others to help, an element that has run its own task may be running one of theirs.
            idle = {e for e in elements - busy if not self._settings.helps or job.open[e] <= unstarted}
            if idle:
                to_end.append(job.target(idle))
                job.dismissed |= idle
        watch.unwanted += to_end
        here.scheduler.hurry()
        if to_nudge:
            try:
                here.scheduler.nudge(to_nudge)
            except OSError as error:  # the runners look for requests by themselves, too
                here.context.say(f"cancelling takes a little longer: {error}")
        watch.end_unwanted()

    def collect(self, attempts: Mapping[Attempt, Handle], into: str) -> Optional[Collection[Attempt]]:
        """Bring files home; where they are shared there is nothing to do."""
        self._worked = True
        return None if self._host.is_here else self._collector.collect(attempts, into)

    def glimpse(self, attempt: Attempt, offsets: Mapping[str, int], limit: int) -> Glimpse:
        """Read on in files of a task that may still run."""
        return self._scratch.glimpse(attempt, offsets, limit)

    def host(self) -> Host:
        """The machine on which the scheduler's commands run."""
        return self._host

    def close(self) -> None:
        """Let go; jobs stay where they are. Where none is left and everything is home, nothing else stays either."""
        self._collector.close()
        if self._opened is not None:
            with contextlib.suppress(OSError):
                self._opened.watch.close()
            if self._worked and not self._opened.watch.followed.jobs:
                self._scratch.leave()
        self._worked = False
        self._opened = None
        self._scratch.close()
        self._host.close()

    # --- submitting

    @property
    def _now_open(self) -> _Opened:
        if self._opened is None:
            raise RuntimeError(f"{self._spec.id} is not open")
        return self._opened

    @property
    def _array_size(self) -> int:
        limits = self._now_open.room.limits
        size = limits.array_size
        return size if limits.throttles else min(size, self._settings.elements_at_once(self._slots))

    def _submit_all(self, plan: Plan, drafts: Sequence[Draft]) -> List[TaskAnswer]:
        """Submit the jobs of a plan, one after another, until one of them has no certain answer."""
        here = self._now_open
        accepted: List[Attempt] = []
        ids: Dict[str, str] = {}
        answers: List[TaskAnswer] = []
        stopped = ""
        for number, draft in enumerate(drafts):
            outcome = Submission(Acceptance.RETRY, reason=stopped) if stopped else self._submit_one(plan, number, draft)
            if outcome.acceptance is Acceptance.ACCEPTED:
                ids[str(number)] = outcome.job
                members = [(task.index, task.attempt) for task in draft.tasks]
                accepted += members
                here.watch.add(plan, members, ids)
                continue
            if outcome.reason:
                here.context.say(f"{job_name(plan.token, number)}: {outcome.acceptance.value}: {outcome.reason}")
            if outcome.acceptance is not Acceptance.REJECTED:
                if outcome.acceptance is Acceptance.INDETERMINATE:
                    self._in_doubt[plan.token] = self._clock()
                stopped = stopped or outcome.reason or "the scheduler did not take the job before it"
            answers += answer_all(draft, outcome.acceptance, outcome.reason)
        handle = _handle(plan, ids)
        return answers + [TaskAnswer(attempt, Acceptance.ACCEPTED, handle) for attempt in accepted]

    def _submit_one(self, plan: Plan, number: int, draft: Draft) -> Submission:
        """Write a job's files and submit it."""
        here = self._now_open
        planned = plan.jobs[number]
        lane = find_lane(
            here.watch.followed.live(),
            self._settings.elements_at_once(self._slots),
            len(planned.shares),
            here.room.limits.throttles,
        )
        if lane is None:
            return Submission(Acceptance.LIMIT, reason="too many jobs of this sweep wait for a slot")
        head = self._settings.head(here.context, job_name(plan.token, number), draft.resources)
        shares = [[payload(task) for task in share] for share in draft.shares]
        here.site.put_job(plan.token, number, job_text(head, shares))
        job = self._request(here.context, here.site, plan.token, number, draft, lane, here.watch.bad_nodes())
        try:
            text = script_text(self._dialect, job)
        except ConfigError as error:
            return Submission(Acceptance.REJECTED, reason=error.message)
        return here.scheduler.submit(job, here.site.put_script(job.name, text))

    def _request(
        self,
        context: SourceContext,
        site: Site,
        token: str,
        number: int,
        draft: Draft,
        lane: Tuple[int, Tuple[str, ...]],
        exclude: Tuple[str, ...],
    ) -> JobRequest:
        """A job of a submission, as it is asked for."""
        at_once, after = lane
        size = len(draft.shares)
        return job_request(
            self._spec.options,
            job_name(token, number),
            draft.resources,
            site.job_command(token, number),
            folder=context.project_dir,
            output=site.log_dir(token, number),
            size=size,
            at_once=at_once if at_once < size else None,
            after=after,
            exclude=exclude,
        )

    def _ask_for(self, names: Sequence[str]) -> Dict[str, str]:
        """The ids of those of these jobs that the queue has. :raises OSError: when the answer is not whole."""
        listing = self._now_open.scheduler.queue(names)
        if not listing.complete:
            raise OSError(listing.problem or f"{self._dialect.name}: the queue cannot be read")
        return {row.name: row.job for row in listing.jobs if row.name in names}


class _Opened(NamedTuple):
    """What an open source has."""

    context: SourceContext
    scheduler: Scheduler
    site: Site
    watch: Watch
    room: Room


def _handle(plan: Plan, ids: Mapping[str, str]) -> Dict[str, Any]:
    """One handle for a whole submission: who has it finds the rest in the plan. Small, because it is journalled."""
    return {"token": plan.token, "jobs": dict(ids)}
