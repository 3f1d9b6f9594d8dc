# ruff: noqa: SIM105 -- contextlib is not worth its import here
"""Runs a share of a job's tasks inside a scheduler's job, and says truly what became of them.

Lies beside `runner.py` wherever tasks run, keeps its rules (standard library only, Python 3.6 and newer), and is all of
it but for where the tasks come from and where the news goes: both are files of the job, because nobody listens.
`start_job.py FILE ELEMENT RESTART SECONDS` runs one element's tasks; the login node's side is `job_news.py`. See
`docs/design/batch.md`.
"""

import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING or __package__:
    from . import runner as base
else:  # beside us, on a machine where nothing else of ours is
    import runner as base

if TYPE_CHECKING:
    import json
    import signal
    from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Set, Tuple
else:
    json, signal = base.json, base.signal

__all__ = ["JobRunner"]

SPEC_PATIENCE_S = 60.0  # how long a file may take to be seen on another node
OFFSET_WIDTH = 12  # digits of an offset in a job's file of tasks
HOLD_S = 0.2  # a start is not told for so long: a short task's end says all of it
TERM_ECHO_S = 0.3  # a scheduler that ends a job tells every process of it, in any order, within this time
WALLTIME_SLACK_S = 5.0  # a job that is told to end so shortly before its walltime is ended for that


KINDS = {"started": b"s", "ended": b"e", "withdrawn": b"w", "refused": b"r"}


class News(base.Output):
    """Events as small files that one listing finds, each whole or not there: `INDEX.ATTEMPT.KIND`, JSON in it."""

    def __init__(self, folder: bytes, runner: str, helped: bool) -> None:
        self.folder = folder
        self.runner = runner
        self.helped = helped
        self.events: "List[List[Any]]" = []  # nothing waits to be sent
        self.unwritten: "List[Tuple[bytes, Any]]" = []
        self.held: "Dict[Tuple[int, int], Tuple[float, Any]]" = {}  # starts, and since when
        self.open = True

    def event(self, kind: str, key: "Tuple[int, int]", detail: "Any") -> None:
        """Leave word of an attempt. What cannot be written now is tried again with the next."""
        if kind == "refused" and detail == "claimed" and self.helped:
            return  # another element was quicker, as is to be expected
        if kind in ("started", "ended"):
            detail = dict(detail, runner=self.runner)  # it need not be the element that the task was given to
        if kind == "started":
            self.held[key] = time.monotonic(), detail
        elif kind in KINDS:
            self.held.pop(key, None)
            self.write(kind, key, detail)
        else:
            self.line({kind: detail})

    def write(self, kind: str, key: "Tuple[int, int]", detail: "Any") -> None:
        """Leave a file, now or as soon as that is possible."""
        self.unwritten.append((b"%d.%d.%s" % (key[0], key[1], KINDS[kind]), detail))
        self.flush()

    def tell_starts(self, now: float) -> "Optional[float]":
        """Leave word of what has been running for a while; when there is more to tell."""
        for key, (since, detail) in list(self.held.items()):
            if now < since + HOLD_S:
                return since + HOLD_S
            del self.held[key]
            self.write("started", key, detail)
        return None

    def line(self, value: "Any") -> None:
        """Anything else goes to the job's own output, for a person."""
        sys.stdout.write("hsm: %s\n" % json.dumps(value))
        sys.stdout.flush()

    def flush(self) -> None:
        """Write what waits, as far as that is possible; the task's own record is the truth in any case."""
        while self.unwritten:
            name, detail = self.unwritten[0]
            hidden = os.path.join(self.folder, b"." + name)
            try:
                base.write_file(hidden, json.dumps(detail).encode("ascii"))
                os.rename(hidden, os.path.join(self.folder, name))
            except OSError:
                return
            self.unwritten.pop(0)


class JobRunner(base.Runner):
    """Runs its share of a job's tasks inside the job, and leaves before the job has to.

    :param job: the head of the job's file: `name`, `init`, `walltime_s`, `requeue` (a task that the walltime ended goes
        on elsewhere), `help_s` (who is done with its own share takes tasks of other elements until the job is so old),
        `warning_s` (so long before the walltime programs are warned, where no scheduler does that).
    :param others: the tasks of other elements, asked for when they are wanted.
    :param restart: how often the scheduler has started this job again.
    :param elapsed: seconds since the job's start.
    """

    look_s = 10.0  # whoever leaves a request nudges us, if the scheduler can do that

    def __init__(
        self,
        job: "Mapping[str, Any]",
        folder: bytes,
        number: int,
        restart: int,
        elapsed: float,
        others: "Callable[[], Iterator[Any]]" = lambda: iter(()),
    ) -> None:
        self.began = time.monotonic() - elapsed
        self.walltime: "Optional[float]" = job.get("walltime_s")
        self.warning: "Optional[float]" = job.get("warning_s")
        self.requeue = bool(job.get("requeue"))
        self.help_s = float(job.get("help_s") or 0.0)
        self.read_others = others
        self.others: "Optional[Iterator[Any]]" = None
        self.starts_at: "Optional[float]" = None
        self.borrowed: "Set[Tuple[int, int]]" = set()
        self.warned = False
        self.told_to_end: "Callable[[float], bool]" = lambda wait: False
        self.longest = 0.0
        self.seen: "Set[bytes]" = set()
        init = dict(job["init"], runner="%s.%d" % (job["name"], number))
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        self.gpus_given = bool(gpus)
        init["gpus"] = gpus.split(",") if gpus else []
        self.news = News(os.path.join(folder, b"news"), init["runner"], self.help_s > 0)
        base.Runner.__init__(self, init, self.news)
        self.requests = os.path.join(folder, b"requests")
        self.controlled = False  # by requests only
        self.restart = restart
        self.identity_text += base.status_text({"restart": restart})

    def turn(self) -> None:
        """As ever, and word of what has started."""
        base.Runner.turn(self)
        if self.warning and not self.warned and self.left() <= self.warning:
            self.warn()
        self.starts_at = self.news.tell_starts(time.monotonic())

    def wait_s(self, now: float) -> "Optional[float]":
        """As ever, but for starts of which nothing has been said, and for a warning that is due."""
        waits = [base.Runner.wait_s(self, now)]
        if self.starts_at is not None:
            waits.append(max(0.0, self.starts_at - now))
        if self.warning and self.walltime and not self.warned:
            waits.append(max(0.0, self.left() - self.warning))
        return min((wait for wait in waits if wait is not None), default=None)

    def announce(self, init: "Mapping[str, Any]") -> None:
        """The scheduler knows where we are: say it to the job's own output only."""
        self.output.line({"runner": self.id, "pid": os.getpid(), "host": self.host, "python": sys.version.split()[0]})

    def close(self) -> None:
        """Nothing was left anywhere."""

    def enqueue(self, wanted: "Mapping[str, Any]") -> None:
        """A scheduler that does not name the GPUs of a job has seen to them in another way."""
        base.Runner.enqueue(self, wanted if self.gpus_given else dict(wanted, gpus=0))

    def read_requests(self) -> None:
        """The requests of a job are for all of its elements: each is read once here, and stays."""
        self.output.flush()
        try:
            names = sorted(set(os.listdir(self.requests)) - self.seen)
        except OSError:
            return
        for name in names:
            try:
                with open(os.path.join(self.requests, name), "rb") as file:
                    line = base.parse(file.read())
                if line.get("op") == "cancel":
                    self.operate(line)
            except (OSError, ValueError):
                continue  # not whole yet
            self.seen.add(name)

    # -- the job's time

    def left(self) -> float:
        """Seconds until the scheduler ends the job."""
        return float("inf") if self.walltime is None else self.began + self.walltime - time.monotonic()

    def start_tasks(self) -> None:
        """Fill the free slots, unless what starts now could not end in time."""
        if self.longest and self.left() < self.longest * 1.2 + WALLTIME_SLACK_S:
            self.help_s = 0.0
            self.give_back("the rest of its job's walltime was too short")
        base.Runner.start_tasks(self)
        while self.can_help() and self.take_another():
            base.Runner.start_tasks(self)

    def can_help(self) -> bool:
        """Whether there is room for a task of another element: this one's own are begun, and its job is young."""
        young = time.monotonic() < self.began + self.help_s
        return young and not self.leaving and not self.blocked and self.places.room()

    def take_another(self) -> bool:
        """Put a task of another element that nobody has claimed into the queue; False when there is none."""
        if self.others is None:
            self.others = self.read_others()
        for wanted in self.others:
            folder = os.path.join(self.tasks_dir, base.raw(wanted["id"]))
            # What is tried again has a job of its own, so that in the end each task has had a whole one.
            if wanted["a"] == 1 and not base.is_claimed(folder, 1):
                self.borrowed.add((wanted["i"], 1))
                self.enqueue(wanted)
                return True
        self.help_s = 0.0
        return False

    def cancel(self, keys: "Set[Tuple[int, int]]", grace: float) -> None:
        """As ever; but what waits here may run in another element by now, and is withdrawn only if it does not."""
        waiting = [self.queue.drop(key) for key in keys]
        self.withdraw_unclaimed([task for task in waiting if task is not None], "cancelled")
        base.Runner.cancel(self, keys, grace)

    def give_back(self, reason: str) -> None:
        """Let what waits never start, and say so."""
        self.withdraw_unclaimed(self.queue.clear(), reason)

    def withdraw_unclaimed(self, tasks: "List[base.Task]", reason: str) -> None:
        """Claim tasks, so that they certainly never start, and say so of those that nobody has."""
        for task in tasks:
            try:
                task.claimed = task.claimed or base.claim(task.folder, task.attempt)
            except OSError:
                continue  # the scheduler will say that the job is over, and then it is settled
            if task.claimed:
                self.withdraw(task, reason)

    def start(self, task: base.Task) -> bool:
        """As ever; but a job that the scheduler started again finds attempts which its former self had claimed."""
        if task.attempt > 1:
            self.end_former(task)
        if base.Runner.start(self, task):
            return True
        status = base.attempt_status(task.folder, task.attempt) if self.restart else {}
        former = base.runner_in(status, "runner_pid", "runner_start")
        if status.get("state") == "running" and former and former["runner"] == self.id:
            over = base.host_relation(former["host_key"]) != "here" or not base.is_alive(former["pid"], former["start"])
            if over and int(status.get("restart", self.restart)) < self.restart:
                record: "base.Status" = {key: status[key] for key in ("started_at", "host", "slot") if key in status}
                record.update(state="preempted", reason="the scheduler started its job again")
                self.record(task, record)
        return False

    def end_former(self, task: base.Task) -> None:
        """End what a killed runner left on this machine of the attempt before, where no cgroup has seen to that.

        A status that still names its runner's process was not finished by that runner.
        """
        status = base.attempt_status(task.folder, task.attempt - 1)
        runner = base.runner_in(status, "runner_pid", "runner_start")
        if runner is not None:
            base.Affairs(self.sweep_dir, False).bury([runner], base.groups_of([status]))

    def finish(self, task: base.Task, status: int, used: "Any") -> None:
        """A program that TERM ended may have got it from the scheduler, whose word for us is on its way."""
        by_term = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM
        if not task.outcome and ((self.warned and status != 0) or (by_term and self.told_to_end(TERM_ECHO_S))):
            task.outcome, task.why = self.verdict_of_end(task)
        if status != 0:
            self.help_s = 0.0  # if it is this node that makes tasks fail, it shall not draw in more
        self.longest = max(self.longest, time.monotonic() - task.began)
        base.Runner.finish(self, task, status, used)

    def verdict_of_end(self, task: base.Task) -> "Tuple[str, str]":
        """What a task is that ended because its job did: who ended the job is for the scheduler to say."""
        if not self.warned and self.left() > WALLTIME_SLACK_S:
            return "preempted", "its job was told to end"
        why = "its job reached its walltime of %g s" % (self.walltime or 0.0)
        if task.key in self.borrowed:
            return "preempted", why + ", of which other tasks had used a part"
        return ("preempted" if self.requeue else "timeout"), why

    def terminate(self) -> None:
        """The scheduler ends the job: end what runs, start nothing more."""
        grace = 0.0 if self.stopping else self.grace
        self.leaving = self.stopping = True
        # Before anything is reaped: the programs were told to end as we were, and may have been quicker.
        for task in list(self.running.values()):
            outcome, why = self.verdict_of_end(task)
            self.end_trees([task], outcome, grace, why)
        self.give_back("its job was told to end")

    def warn(self) -> None:
        """The walltime is near: pass it on to those programs that listen, for it would end the others."""
        self.warned = True
        self.help_s = 0.0
        self.reap()
        self.give_back("the rest of its job's walltime was too short")
        for process in base.processes():
            task = self.running.get(process.group)
            if task is not None and catches(process.pid, signal.SIGUSR1):
                base.signal_process(process.pid, signal.SIGUSR1)

    def done(self) -> bool:
        """Nothing is left to do."""
        return not self.queue and not self.running and not self.unrecorded


def catches(pid: int, number: int) -> bool:
    """Has a process a handler for the signal? Unknown is no."""
    try:
        with open("/proc/%d/status" % pid) as file:
            for line in file:
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    except (OSError, ValueError):
        pass
    return False


def read_job(path: bytes, number: int) -> "Tuple[Dict[str, Any], List[Any]]":
    """The head of a job's file and the tasks of one element.

    :raises OSError: when it cannot be read. :raises ValueError: when it is not whole.
    """
    with open(path, "rb") as file:
        head = base.parse(file.readline())
        file.seek(file.tell() + number * (OFFSET_WIDTH + 1))
        file.seek(int(file.read(OFFSET_WIDTH)))
        tasks = json.loads(file.readline().decode("utf-8"))
    if not isinstance(tasks, list):
        raise ValueError("element %d is not a list of tasks" % number)
    return head, tasks


def other_tasks(path: bytes, number: int) -> "Iterator[Any]":
    """The tasks of a job's other elements, in an order of this element's own, so that helpers do not race for each."""
    with open(path, "rb") as file:
        elements = int(base.parse(file.readline())["elements"])
        file.seek(elements * (OFFSET_WIDTH + 1), os.SEEK_CUR)
        lines = file.readlines()
    for other in sorted(set(range(elements)) - {number}, key=lambda other: hash((number, other))):
        for wanted in json.loads(lines[other].decode("utf-8")):  # not before: of most, others will be quicker
            yield wanted


def wait_for_job(path: bytes, number: int) -> "Tuple[Dict[str, Any], List[Any]]":
    """As `read_job`, with patience: what the login node wrote may be seen here later. :raises OSError, ValueError:"""
    deadline = time.monotonic() + SPEC_PATIENCE_S
    while True:
        try:
            return read_job(path, number)
        except (OSError, ValueError):
            if time.monotonic() > deadline:
                raise
            time.sleep(base.RETRY_S)
            try:
                os.listdir(os.path.dirname(path))  # a listing makes a network file system look again
            except OSError:
                pass


def job(arguments: "List[str]") -> int:
    """Run an element's tasks; the exit code says nothing of them.

    :param arguments: the job's file, the number of the element, of the restart, and the seconds since the job's start.
    """
    # The session stays as it is: PBS knows the processes of a job by it, and would never end those of another.
    wake = base.catch_signals(signal.SIGUSR2)
    path, number = base.raw(arguments[0]), int(arguments[1])
    try:
        head, tasks = wait_for_job(path, number)
        folder, restart, elapsed = os.path.dirname(path), int(arguments[2]), float(arguments[3])
        runner = JobRunner(head, folder, number, restart, elapsed, lambda: other_tasks(path, number))
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write("hsm: cannot run this job: %s: %s\n" % (base.shown(path), error))
        return 2
    for wanted in tasks:
        runner.enqueue(wanted)
    runner.read_requests()
    poll = select.poll()
    poll.register(wake, select.POLLIN)

    def hear(wait: "Optional[float]") -> bool:
        """Wait for signals and heed them; was one of them the end?"""
        ended = False
        for _ in poll.poll(None if wait is None else wait * 1000.0 + 0.5):
            for number in os.read(wake, 65536):
                if number in (signal.SIGTERM, signal.SIGINT):
                    ended = True
                    runner.terminate()
                elif number == signal.SIGUSR1:
                    runner.warn()
                elif number == signal.SIGUSR2:
                    runner.read_requests()
        return ended

    def told_to_end(wait: float) -> bool:
        """Was the end, or is it within this time, among the signals?"""
        deadline = time.monotonic() + wait
        while not runner.stopping and time.monotonic() < deadline:
            hear(deadline - time.monotonic())
        return runner.stopping

    runner.told_to_end = told_to_end
    while True:
        runner.turn()
        if runner.done():
            runner.output.flush()
            return 0
        hear(runner.wait_s(time.monotonic()))


def main(argv: "List[str]") -> int:
    """The command line: what an element has to know."""
    if len(argv) == 5:
        return job(argv[1:])
    sys.stderr.write("usage: python3 start_job.py FILE ELEMENT RESTART SECONDS, or: start_job.py news\n")
    return 2
