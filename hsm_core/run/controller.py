"""The controller: one loop that takes messages from the workers, lets the engine decide, journals, then acts."""

from __future__ import annotations

import time
from typing import Callable, Dict, List, NamedTuple, Optional, Protocol, Sequence, Tuple, Union

from ..contract import HealthReport, Source, SourceContext, Strategy
from ..engine.engine import Cancel, Collect, Engine, Find, Finish, Instruction, Submit
from ..engine.events import Event, make
from ..engine.reduce import reduce
from ..engine.state import IN_FLIGHT, SweepState
from ..errors import UsageError
from ..log import Log
from ..plugins import Plugins
from ..store import requests
from ..store.journal import JournalFull, JournalWriter
from ..store.layout import SweepLayout
from ..store.lease import Lease
from .inbox import Inbox
from .signals import SignalCatcher, Signalled
from .tasks import TaskMaker
from .wishes import Wish, grant
from .worker import (
    Answered,
    Collected,
    Failed,
    Found,
    HealthSeen,
    Message,
    Opened,
    Polled,
    Said,
    Worker,
)

__all__ = ["Controller", "EventSink", "Offer"]

_log = Log("controller")

_TICK_S = 0.5
"""How long the loop sleeps at most: requests, deadlines and the lease are looked at then."""
_HEARTBEAT_S = 5.0
_REQUESTS_EVERY_S = 0.2
_FULL_DISK_PAUSE_S = 1.0
_PATIENCE_S = 3.0
"""How long a source may take to let go at the end."""

_CALLS = {Polled: "poll", Answered: "submit", Found: "find", Collected: "collect"}
"""Which call it was that succeeded."""


class EventSink(Protocol):
    """Whoever follows the sweep from inside: views, the display, observers. None of them can stop it."""

    def take(self, events: Sequence[Event]) -> None:
        """These events are in the journal and in the state."""

    def flush(self, now: float, force: bool = False) -> None:
        """A good moment to write; `force` at the end."""


class Offer(NamedTuple):
    """A source to use.

    :param slots: a cap on its slots; 0 when it is there only for tasks that it has already; None: its own.
    """

    source: Source
    context: SourceContext
    slots: Optional[int]


class Controller:
    """Runs one sweep until nothing is left to do, or somebody says stop.

    :param state: replayed from the journal, with the `opened` event of this controller taken in.
    :param longest_s: the longest that a task may run, for strategies that plan; None where nobody said.
    :param verify: whether every source's copy of the project is held against ours; False: a person chose not to.
    :param catcher: whose signals interrupt it; None: nobody's.
    :param tell: takes a line for the person who started us.
    """

    def __init__(
        self,
        layout: SweepLayout,
        state: SweepState,
        strategy: Strategy,
        plugins: Plugins,
        journal: JournalWriter,
        lease: Lease,
        sinks: Sequence[EventSink],
        make_task: TaskMaker,
        *,
        health_interval_s: float = 60.0,
        collect_interval_s: float = 0.0,
        memory_mb: Callable[[int], Optional[int]] = lambda index: None,
        grace_s: float = 10.0,
        longest_s: Optional[float] = None,
        verify: bool = False,
        catcher: Optional[SignalCatcher] = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._layout = layout
        self._engine = Engine(state, strategy, collect_interval_s, memory_mb, longest_s)
        self._plugins = plugins
        self._journal = journal
        self._lease = lease
        self._sinks = sinks
        self._make_task = make_task
        self._health_interval_s = health_interval_s
        self._grace_s = grace_s
        self._verify = verify
        self._tell = tell
        self._inbox: Inbox[Union[Message, Signalled]] = Inbox()
        self._workers: Dict[str, Worker] = {}
        self._caps: Dict[str, Optional[int]] = {}
        self._hung: Dict[str, str] = {}
        self._told: Dict[Tuple[str, str], str] = {}
        self._first_events: List[Event] = []
        self._catcher = catcher or SignalCatcher()
        self._signals = 0
        self._next_beat = self._next_look = 0.0
        self._to_answer: List[Tuple[requests.Request, Dict[str, str]]] = []

    def run(self, offers: Sequence[Offer]) -> Finish:
        """Run to the end.

        :raises Superseded: another controller has taken the sweep over; nothing more was written.
        :raises StoreError: the journal cannot be written and never will be.
        """
        finish: Optional[Finish] = None
        self._catcher.attach(self._inbox.put)
        try:
            self._start(offers)
            while finish is None:
                finish = self._turn()
            closed = make("closed", time.time(), state=finish.state, reason=finish.reason)
            reduce(self._engine.state, closed)  # the views that are written last must know it
            self._commit([closed])
            return finish
        finally:
            for worker in self._workers.values():
                worker.close(_PATIENCE_S if finish is not None and not self._hung else 0.0)

    def only(self, wish: Wish) -> None:
        """Call before `run`: do this, and nothing else."""
        self._engine.rest(wish.done)
        self._first_events = grant(self._engine, wish, time.time())

    def _start(self, offers: Sequence[Offer]) -> None:
        live = self._engine.state.live
        for source, context, slots in offers:
            id = context.spec.id
            adopted = {
                (index, task.attempt): task.handle
                for index, task in live.items()
                if task.source == id and task.handle is not None and task.state in IN_FLIGHT
            }
            worker = Worker(
                source,
                context,
                self._plugins,
                self._inbox.put,
                self._make_task,
                adopted,
                self._health_interval_s,
                self._verify and slots != 0,
            )
            self._workers[id] = worker
            self._caps[id] = slots
            self._engine.expect([id])
            worker.start()

    # --- one turn of the loop

    def _turn(self) -> Optional[Finish]:
        messages = self._inbox.take_all(_TICK_S)
        self._lease.check()  # we may have been asleep for days
        now = time.time()
        events, self._first_events = self._first_events, []
        for message in messages:
            events += self._absorb(message, now)
        events += self._look_around(now)
        finish: Optional[Finish] = None
        more, instructions = self._engine.step(now)
        self._commit(events + more, durable=self._needs_sync(instructions))
        for request, answer in self._to_answer:
            requests.answer(self._layout, request, **answer)
        self._to_answer.clear()
        for instruction in instructions:
            if isinstance(instruction, Finish):
                finish = instruction
            else:
                self._carry_out(instruction)
        for sink in self._sinks:
            sink.flush(now)
        return finish

    def _absorb(self, message: Union[Message, Signalled], now: float) -> List[Event]:
        """Let the engine take in one message; the events are already in the state."""
        engine = self._engine
        if isinstance(message, Signalled):
            self._signals += 1
            engine.interrupt(f"interrupted by {message.name}", at_once=self._signals > 1)
            self._tell(
                f"{message.name}: stopping; tasks that run here are ended (again: at once)"
                if self._signals == 1
                else f"{message.name}: stopping at once"
            )
            return []
        self._hung.pop(message.source, None)
        if isinstance(message, Failed):
            return self._absorb_failure(message, now)
        if isinstance(message, Said):
            self._tell(f"{message.source}: {message.line}")
            return [make("note", now, text=message.line, source=message.source)]
        if isinstance(message, Opened):
            cap = self._caps[message.source]
            slots = message.capabilities.slots
            return engine.join(message.source, message.capabilities, slots if cap is None else min(slots, cap), now)
        events: List[Event] = []
        if isinstance(message, Polled):
            events = engine.observe(message.source, message.result.observations, now)
            if message.result.health is not None:
                events += self._absorb_health(message.source, message.result.health, now)
            for line in message.result.garbage:
                events.append(make("note", now, text=f"cannot make sense of: {line}", source=message.source))
        elif isinstance(message, Answered):
            events = engine.answered(message.source, message.token, message.attempts, message.result, now)
        elif isinstance(message, Found):
            events = engine.found(message.source, message.attempts, message.handles, now)
        elif isinstance(message, Collected):
            events = engine.collected(message.attempts, now)
        elif isinstance(message, HealthSeen):
            return self._absorb_health(message.source, message.report, now)
        self._told.pop((message.source, _CALLS[type(message)]), None)
        return events + engine.well(message.source, now, _CALLS[type(message)])

    def _absorb_health(self, source: str, report: HealthReport, now: float) -> List[Event]:
        """What a source says of itself, when it is new, is a person's business too: a full disk stops everything."""
        events = self._engine.reported(source, report, now)
        if any(event["e"] == "source" for event in events):
            self._tell(f"{source}: {report.detail or report.health.value}")
        return events

    def _absorb_failure(self, failure: Failed, now: float) -> List[Event]:
        engine = self._engine
        if failure.call in ("submit", "find"):
            engine.unanswered(failure.token, failure.attempts)
        elif failure.call == "collect":
            engine.not_collected(failure.attempts)
        elif failure.call == "cancel":
            engine.not_ended(failure.attempts)
        if self._told.get((failure.source, failure.call)) != failure.reason:  # once, however often it is tried
            self._told[failure.source, failure.call] = failure.reason
            self._tell(f"{failure.source}: {failure.reason}")
        if failure.call == "open":
            engine.give_up(failure.source)
            return [make("note", now, text=f"cannot be used: {failure.reason}", source=failure.source)]
        return engine.trouble(failure.source, failure.reason, now, call=failure.call)

    def _look_around(self, now: float) -> List[Event]:
        """Requests from other commands, calls that hang, the lease."""
        events: List[Event] = []
        if now >= self._next_look:
            self._next_look = now + _REQUESTS_EVERY_S
            events = self._take_requests(now)
        for id, worker in self._workers.items():
            overdue = worker.overdue()
            if overdue is not None and id not in self._hung:
                self._hung[id] = overdue
                self._tell(f"{id}: {overdue}")
                self._engine.give_up(id)
                events += self._engine.trouble(id, overdue, now, hangs=True)
        if now >= self._next_beat:
            self._next_beat = now + _HEARTBEAT_S
            self._lease.heartbeat()
        return events

    def _take_requests(self, now: float) -> List[Event]:
        """What other commands ask. They are answered when it is in the journal."""
        events: List[Event] = []
        asked, strange = requests.take(self._layout)
        for text in strange:
            self._tell(f"ignored a request that cannot be read: {text}")
        for request in asked:
            try:
                events += grant(self._engine, Wish(request.op, request.fields), now)
                answer = {"done": "true"}
            except UsageError as error:
                answer = {"error": error.message}
            self._to_answer.append((request, answer))
        return events

    # --- journal first, then act

    def _commit(self, events: List[Event], durable: bool = False) -> None:
        """Journal the events. While the disk is full, wait: nothing is acted on before it is written."""
        if not events:
            return
        self._lease.check()
        told = appended = False
        while True:
            try:
                if not appended:
                    self._journal.append(events)
                    appended = True
                if durable:
                    self._journal.sync()
                break
            except JournalFull as full:
                if not told:
                    told = True
                    self._tell(f"{full.message}; waiting ({full.hint})")
                if self._catcher.received > 1:
                    raise
                time.sleep(_FULL_DISK_PAUSE_S)
        _log.debug("journalled", events=len(events), position=list(self._journal.position))
        for sink in self._sinks:
            sink.take(events)

    def _needs_sync(self, instructions: Sequence[Instruction]) -> bool:
        """Jobs that outlive a crash of this machine must not outlive the knowledge of them."""
        return any(
            isinstance(instruction, Submit) and self._engine.joined[instruction.source].outlives_host
            for instruction in instructions
        )

    def _carry_out(self, instruction: Instruction) -> None:
        if isinstance(instruction, Submit):
            self._workers[instruction.source].submit(instruction.token, instruction.attempts, instruction.resources)
        elif isinstance(instruction, Find):
            self._workers[instruction.source].find(instruction.token, instruction.attempts)
        elif isinstance(instruction, Cancel):
            grace = 0.0 if self._signals > 1 else self._grace_s
            self._workers[instruction.source].cancel(instruction.handles, grace)
        elif isinstance(instruction, Collect):
            self._workers[instruction.source].collect(instruction.handles)
