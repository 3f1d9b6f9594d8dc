"""Sources: places where tasks run. What a backend promises to the core, and the core to a backend."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import (
    Any,
    Callable,
    Collection,
    Iterable,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    runtime_checkable,
)

from .diagnose import DiagnoseContext, Stage
from .host import Host
from .task import Attempt, ExitRecord, TaskSpec

__all__ = [
    "Acceptance",
    "Capabilities",
    "DiscoverRequest",
    "Glimpse",
    "Glimpses",
    "Handle",
    "Health",
    "HealthReport",
    "Observation",
    "ObservationKind",
    "PollResult",
    "Previewing",
    "Source",
    "SourceContext",
    "SourceSpec",
    "SourceType",
    "SubmitRequest",
    "SubmitResult",
    "TaskAnswer",
]

Handle = Mapping[str, Any]
"""Plain JSON that is enough for another process, after ours is gone, to poll or cancel a task."""


@dataclass(frozen=True)
class SourceSpec:
    """One source as it was asked for or configured.

    :param slots: how many tasks may run there at once; None leaves it to the source.
    :param options: checked by the kind's `options_schema`.
    """

    kind: str
    name: str
    slots: Optional[int] = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Canonical id, `kind:name`."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True)
class SourceContext:
    """What the core gives a source when it opens it.

    :param sweep_dir: the sweep's folder on this machine, absolute.
    :param sweep_uid: letters and digits that no other sweep has, wherever it was begun; empty where nobody knows.
    :param project_dir: the project's folder on this machine, absolute.
    :param remote_project_dir: the project's folder on the source's host, where tasks run, as `hsm_locate_project` found
        it before `open`; None: the same path as here.
    :param env: environment of every task of the sweep, added to the source's own.
    :param setup: shell lines (modules, conda) whose resulting environment tasks get.
    :param wake: a source that learns of news by itself calls this, from any thread; the core then polls it soon.
    :param say: takes a line for a person, which goes to the source's log.
    :param task_name: task index -> the name of its folder.
    :param grace_s: seconds between TERM and KILL when a task has to end.
    :param takeover: a person vouched that hosts which cannot be asked are dead.
    :param looks_only: only files of tasks will be asked for, beside a controller that is at work.
    """

    sweep_id: str
    sweep_dir: str
    project_dir: str
    spec: SourceSpec
    env: Mapping[str, str] = field(default_factory=dict)
    setup: Tuple[str, ...] = ()
    wake: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda line: None
    task_name: Callable[[int], str] = str
    grace_s: float = 10.0
    takeover: bool = False
    remote_project_dir: Optional[str] = None
    sweep_uid: str = ""
    looks_only: bool = False


@dataclass(frozen=True)
class Capabilities:
    """What a source can do. The core decides by these, never by a kind's name.

    :param slots: how many tasks it runs at once.
    :param lookahead: how many tasks beyond its slots it may be given, which it starts as slots fall free; None: as
        many as keep it busy for the next moment, by its measured rate.
    :param push: it calls `wake` when a poll would bring news; the core then polls rarely by itself.
    :param poll_interval_s: how often a poll is worth making otherwise.
    :param query_interval_s: it asks a scheduler about all of its tasks, no more often than this; None: it asks none.
    :param outlives_host: its tasks survive a crash of this machine, so that intentions are synced to disk first.
    :param interrupts: an interrupted sweep should end its tasks (a laptop), not leave them (a cluster).
    :param shares_files: task folders are on a file system that this machine sees; nothing needs collecting.
    :param sweep_dir: the sweep's folder as tasks there see it, absolute, for commands that name a file of a task; None
        where it is as here.
    :param about: what it talks to, for a person (`OpenPBS 23.06.06`).
    """

    slots: int
    lookahead: Optional[int] = 0
    push: bool = False
    poll_interval_s: float = 1.0
    outlives_host: bool = True
    interrupts: bool = False
    shares_files: bool = False
    sweep_dir: Optional[str] = None
    about: str = ""
    query_interval_s: Optional[float] = None


class Health(str, enum.Enum):
    """How a source is."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    DISABLED = "disabled"


@dataclass(frozen=True)
class HealthReport:
    """What a source says of itself: one word, one line, and facts (`disk_free_mb`, `load_1m` …)."""

    health: Health
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Acceptance(str, enum.Enum):
    """What became of a task that was submitted."""

    ACCEPTED = "accepted"
    """It will run; the handle is good."""
    REJECTED = "rejected"
    """It can never run there as it stands (asks for more than there is)."""
    RETRY = "retry"
    """Not this time; the reason is the source's. Charges no attempt."""
    LIMIT = "limit"
    """A limit of the user's is reached; wait. Charges no attempt."""
    INDETERMINATE = "indeterminate"
    """It may have been accepted: the core calls `find` before anything else."""


@dataclass(frozen=True)
class SubmitRequest:
    """Tasks to submit in one go.

    :param token: unique to this submission and at most 40 characters of `[a-z0-9-]`; a batch backend carries it in
        the job's name, so that `find` can look for it.
    """

    token: str
    tasks: Sequence[TaskSpec]


class TaskAnswer(NamedTuple):
    """The answer for one task of a submission."""

    attempt: Attempt
    acceptance: Acceptance
    handle: Optional[Handle] = None
    reason: str = ""


@dataclass(frozen=True)
class SubmitResult:
    """One answer for each task of the request. A task without an answer counts as indeterminate."""

    answers: Sequence[TaskAnswer]


class ObservationKind(str, enum.Enum):
    """What was seen of a task. Native states that a backend cannot map are UNKNOWN, never final."""

    QUEUED = "queued"
    STARTED = "started"
    ENDED = "ended"
    """An exit record exists; it is in the observation."""
    WITHDRAWN = "withdrawn"
    """It never started under this attempt number and now never can."""
    LOST = "lost"
    """It started, certainly runs no more, and left no exit record."""
    REFUSED = "refused"
    """It never started, and this source can never run it; the reason says why."""
    HELD = "held"
    UNKNOWN = "unknown"


class Observation(NamedTuple):
    """Something seen of one attempt.

    :param record: the exit record (ENDED), or facts of the start (STARTED: `pid`, `slot`, `host`, `at`). Where the core
        cannot see the task's files yet, `last_words` in it, text, is the end of what a program that failed wrote to
        standard error.
    :param reason: the backend's own word, for a person (`NODE_FAIL`, `runner died`).
    """

    attempt: Attempt
    kind: ObservationKind
    record: Optional[ExitRecord] = None
    reason: str = ""


@dataclass(frozen=True)
class PollResult:
    """News of the tasks that were asked about.

    :param complete: everything was seen, so that a task which is not among the observations is not there.
    :param garbage: lines that made no sense; reported, never fatal.
    :param health: how the source is, when that has changed.
    :param again_s: when the next poll is worth making, in seconds from now; None: after `Capabilities.poll_interval_s`,
        which is also the longest that this may say.
    """

    observations: Sequence[Observation]
    complete: bool = True
    garbage: Sequence[str] = ()
    health: Optional[HealthReport] = None
    again_s: Optional[float] = None


class Glimpse(NamedTuple):
    """What is to be seen of an attempt whose files are not here.

    :param over: it has ended: nothing more will come.
    :param files: name -> bytes of it from the offset that was asked for; without those that are not there.
    """

    over: bool
    files: Mapping[str, bytes]


@runtime_checkable
class Glimpses(Protocol):
    """A source that can show files of an attempt before they are home. It is open; its controller may be another's."""

    def glimpse(self, attempt: Attempt, offsets: Mapping[str, int], limit: int) -> Glimpse:
        """Read on in files of an attempt's folder (`stdout.log`), at most `limit` bytes of each."""


class Source(Protocol):
    """A place where tasks run.

    Synchronous. The core never calls one instance from two threads at once, and gives every call a deadline: a call
    that overruns it is abandoned, and the source counts as unhealthy until it returns. Anything raised counts as a
    failure of the source, never of a task.
    """

    def open(self, context: SourceContext) -> None:
        """Get ready. Starts nothing that costs before the first submission is due."""

    def capabilities(self) -> Capabilities:
        """What this source can do; cheap.

        Also called instead of `open`, for a forecast: it then says what can be said without asking anybody, or raises.
        """

    def health(self) -> HealthReport:
        """Look whether it works, within seconds."""

    def submit(self, request: SubmitRequest) -> SubmitResult:
        """Submit tasks, each at most once."""

    def poll(self, handles: Mapping[Attempt, Handle]) -> PollResult:
        """What is new of these attempts. Handles may come from an earlier process: that is adoption.

        An attempt that never started under its handle is withdrawn for certain or reported QUEUED; one that started
        and is gone without a record is LOST; one that cannot be judged is UNKNOWN.
        """

    def find(self, token: str, attempts: Sequence[Attempt]) -> Mapping[Attempt, Handle]:
        """Handles of those attempts that were, or may have been, accepted under the token."""

    def cancel(self, handles: Mapping[Attempt, Handle], grace_s: float) -> None:
        """End these attempts and their whole process trees: TERM, `grace_s` seconds, KILL. Idempotent.

        Their ends are reported by `poll`.
        """

    def collect(self, attempts: Mapping[Attempt, Handle], into: str) -> Optional[Collection[Attempt]]:
        """Bring the files of ended tasks into the sweep's folder `into`; nothing to do where files are shared.

        Returns the attempts that are home now; None means all. A source with much to bring returns what it has after a
        second or two, so that nothing else waits long for it, and is called again for the rest.
        """

    def host(self) -> Optional[Host]:
        """The machine behind it, where there is one.

        Works before `open` and connects no sooner than it is used: the project's copy is looked for there first.
        """

    def close(self) -> None:
        """Let go. Jobs keep running."""


@runtime_checkable
class Previewing(Protocol):
    """What a source has besides `Source` if it can show beforehand what it would hand to a scheduler."""

    def preview(self, context: SourceContext, request: SubmitRequest) -> Sequence[Tuple[str, str]]:
        """The texts that `submit` would write for these tasks, each with its path: `hsm run --dry-run -v` shows them.

        Asks nobody, writes nothing, and is called instead of `open`, not after it.

        :raises ConfigError: what `submit` would refuse.
        """


@dataclass(frozen=True)
class SourceType:
    """A kind of source that a plugin offers by the hook `hsm_source_types`.

    :param kind: the first word of a source string (`local`, `ssh`).
    :param factory: `(spec) -> Source`; does no I/O, imports what is heavy when called.
    :param options_schema: JSON schema of `options`.
    :param family: `"batch"` makes `hpc` find it.
    :param over_host: `(spec, host) -> Source`, where sources of this kind can be driven from elsewhere: the option
        `host` of such a source may then be `ssh:login1`, any kind of host that a plugin offers.
    :param diagnose: the stages that `hsm test` tries before its own (open, health, one task from end to end). It only
        makes them: whatever takes time is in their `work`.
    """

    kind: str
    factory: Callable[[SourceSpec], Source]
    options_schema: Optional[Mapping[str, Any]] = None
    family: str = ""
    summary: str = ""
    api: Tuple[int, int] = (1, 0)
    diagnose: Optional[Callable[[SourceSpec, DiagnoseContext], Iterable[Stage]]] = None
    over_host: Optional[Callable[[SourceSpec, Host], Source]] = None


@dataclass(frozen=True)
class DiscoverRequest:
    """What discovery may look at.

    :param project_dir: the project's folder, absolute.
    :param describe: it is for a new configuration: options that a person would want to see there, with what holds now,
        are welcome in the specs (a default partition), as far as they are known within the time.
    """

    project_dir: str
    describe: bool = False
