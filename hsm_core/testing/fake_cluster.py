"""A scheduler in this process, with a dialect of its own, which really runs scripts, and misbehaves when it is told to.

For tests of `BatchSource`, and as the smallest example of a dialect. Jobs are child processes of the test.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..contract import Acceptance, Completed
from ..errors import ConfigError
from ..runner.runner import processes, signal_process
from ..toolkit import LocalHost
from ..toolkit.dialect import (
    ENDED_STATES,
    Dialect,
    Elements,
    JobRequest,
    JobSeen,
    JobState,
    Limits,
    Listing,
    Output,
    Submission,
    directive_problem,
)

__all__ = ["Element", "FakeCluster", "FakeDialect", "FakeHost"]

_TICK_S = 0.01


class FakeDialect(Dialect):
    """The words of the fake cluster. Nothing of it is like any real scheduler's, on purpose."""

    name = "Fake"
    index_variable = "FAKE_INDEX"
    restart_variable = "FAKE_RESTART"

    def leaks(self, variable: str) -> bool:
        """The cluster's own variables."""
        return variable.startswith("FAKE_")

    def directives(self, job: JobRequest) -> Sequence[str]:
        """`#FAKE key value`, a line each."""
        values: Dict[str, Any] = {
            "name": job.name,
            "size": job.size,
            "output": job.output,
            "folder": job.folder,
            "at-once": job.at_once,
            "after": ",".join(job.after) or None,
            "walltime": job.walltime_s,
            "cpus": job.cpus,
            "gpus": job.gpus or None,
            "exclude": ",".join(job.exclude) or None,
            "partition": job.options.get("partition"),
        }
        for key, value in values.items():
            problem = directive_problem(str(value))
            if problem:
                raise ConfigError(f"{key}: {problem}")
        return [f"#FAKE {key} {value}" for key, value in values.items() if value is not None]

    def submit(self, job: JobRequest, script: str) -> Sequence[str]:
        """`fake-submit SCRIPT`."""
        return ["fake-submit", script]

    def read_submission(self, output: Output) -> Submission:
        """`job ID`, somewhere."""
        found = re.search(r"^job (\d+)$", output.stdout, re.MULTILINE)
        words = (output.stderr or output.stdout).strip()
        if found and output.returncode == 0:
            return Submission(Acceptance.ACCEPTED, found.group(1))
        if words.startswith("refused:"):
            return Submission(Acceptance.REJECTED, reason=words)
        if words.startswith("full:"):
            return Submission(Acceptance.LIMIT, reason=words)
        return Submission(Acceptance.INDETERMINATE, reason=words)

    def queue(self, user: str, names: Sequence[str]) -> Sequence[str]:
        """`fake-queue`: all there is."""
        return ["fake-queue"]

    def read_queue(self, output: Output) -> Listing:
        """`ID|INDEX|NAME|STATE|REASON|NODE`."""
        if output.returncode != 0:
            return Listing(complete=False, problem=output.stderr.strip() or "no answer")
        jobs: List[JobSeen] = []
        garbage: List[str] = []
        for line in output.stdout.splitlines():
            fields = line.split("|")
            if len(fields) != 6:
                garbage.append(line)
                continue
            job, index, name, word, reason, node = fields
            states = {state.value: state for state in JobState}
            jobs.append(
                JobSeen(
                    job,
                    [int(index)] if index else [],
                    name,
                    states.get(word.partition(" ")[0].lower(), JobState.UNKNOWN),
                    word,
                    reason,
                    node,
                )
            )
        queued = sum(job.state not in ENDED_STATES for job in jobs)
        return Listing(jobs, complete=not garbage, queued=queued, garbage=garbage)

    def accounting(self, user: str, jobs: Mapping[str, str], since: float) -> Optional[Sequence[str]]:
        """`fake-accounts NAME…`."""
        return ["fake-accounts", *jobs]

    def read_accounting(self, output: Output) -> Listing:
        """As the queue; return code 9 says that there are no accounts."""
        return Listing(available=False) if output.returncode == 9 else self.read_queue(output)

    def look_up(self, job: str) -> Sequence[str]:
        """`fake-show ID`."""
        return ["fake-show", job]

    def read_look_up(self, output: Output, user: str) -> Listing:
        """As the queue; return code 8 says that there is no such job."""
        if output.returncode == 8:
            return Listing()
        listing = self.read_queue(output)
        return listing if listing.jobs else Listing(complete=False, problem=listing.problem or "no answer")

    def cancel(self, targets: Sequence[Elements]) -> Sequence[Sequence[str]]:
        """`fake-cancel ID[.INDEX]…`."""
        return [["fake-cancel", *_words(targets)]] if targets else []

    def nudge(self, targets: Sequence[Elements]) -> Sequence[Sequence[str]]:
        """`fake-nudge ID[.INDEX]…`."""
        return [["fake-nudge", *_words(targets)]] if targets else []

    def limits(self, user: str, options: Mapping[str, Any]) -> Sequence[Sequence[str]]:
        """`fake-limits`."""
        return [["fake-limits"]]

    def read_limits(self, outputs: Sequence[Output], user: str, options: Mapping[str, Any]) -> Limits:
        """`ARRAY QUEUED`, 0 for as many as wanted."""
        if not outputs or outputs[0].returncode != 0:
            return Limits(problem="Fake does not say its limits")
        array, queued = map(int, outputs[0].stdout.split())
        return Limits(array, queued or None)

    def ping(self) -> Sequence[str]:
        """`fake-ping`."""
        return ["fake-ping"]

    def read_ping(self, output: Output) -> str:
        """Well with return code 0."""
        return "" if output.returncode == 0 else output.stderr.strip() or "no answer"


def _words(targets: Sequence[Elements]) -> List[str]:
    return [word for job, indices in targets for word in ([f"{job}.{i}" for i in indices] if indices else [job])]


@dataclass
class Element:
    """One element of a job in the fake cluster."""

    job: str
    index: Optional[int]
    name: str
    script: str
    directives: Mapping[str, str]
    word: str = "waiting"
    reason: str = ""
    node: str = ""
    restart: int = 0
    process: Optional[subprocess.Popen[bytes]] = None
    began: float = 0.0

    @property
    def over(self) -> bool:
        """It has ended, in whatever way."""
        return self.word.partition(" ")[0] in {state.value for state in ENDED_STATES}


@dataclass
class FakeCluster:
    """The scheduler.

    :param slots: elements that run at once.
    :param limits: array size, and jobs a user may have, 0 for any number.
    :param spoil: by command (`submit`): takes the true output and returns, or raises, what is seen instead.
    """

    slots: int = 4
    limits: Tuple[int, int] = (1000, 0)
    accounting: bool = True
    elements: List[Element] = field(default_factory=list)
    accounts: List[Element] = field(default_factory=list)
    calls: List[List[str]] = field(default_factory=list)
    spoil: Dict[str, Callable[[Completed], Completed]] = field(default_factory=dict)
    on: bool = True
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._ids = 0
        self._closed = False
        self._processes: List[subprocess.Popen[bytes]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End everything."""
        self._closed = True
        self._thread.join()
        for process in self._processes:
            _kill(process, signal.SIGKILL)
            process.wait()

    # --- what tests do to it

    def element(self, number: int = 0) -> Element:
        """The element that was submitted as this one, in order."""
        return self.elements[number]

    def count(self, command: str) -> int:
        """How often a command was run."""
        return [call[0] for call in self.calls].count(command)

    def end(self, element: Element, word: str, number: int = signal.SIGTERM, grace_s: float = 2.0) -> None:
        """End an element from outside: all of its processes get the signal, and KILL after a while."""
        with self._lock:
            element.reason = ""
            if element.process is not None:
                _kill(element.process, number)
                try:
                    element.process.wait(grace_s)
                except subprocess.TimeoutExpired:
                    _kill(element.process, signal.SIGKILL)
                    element.process.wait()
            element.word = word

    def forget(self, element: Element, accounts: bool = True) -> None:
        """An element leaves the queue without a trace."""
        with self._lock:
            self.elements.remove(element)
            if accounts:
                self.accounts.append(element)

    def restart(self, element: Element) -> None:
        """Kill it, and start it again, as an administrator's requeue does."""
        with self._lock:
            self.end(element, "waiting", signal.SIGKILL)
            element.process = None
            element.restart += 1

    # --- its commands

    def command(self, argv: Sequence[str]) -> Completed:
        """Run one of them."""
        verb = argv[0].partition("-")[2]
        with self._lock:
            self.calls.append(list(argv))
            done: Completed = getattr(self, f"_do_{verb}")(*argv[1:])
            spoil = self.spoil.get(verb)
            return spoil(done) if spoil is not None else done

    def _do_submit(self, script: str) -> Completed:
        text = Path(script).read_text()
        directives = dict(re.findall(r"^#FAKE (\S+) (.*)$", text, re.MULTILINE))
        if int(directives.get("gpus", 0)) > 8:
            return Completed(1, b"", b"refused: there are 8 GPUs")
        size = int(directives["size"])
        if size > self.limits[0]:
            return Completed(1, b"", b"refused: the array is too large")
        self._ids += 1
        for index in range(size):
            one = Element(str(self._ids), index if size > 1 else None, directives["name"], text, directives)
            self.elements.append(one)
        return Completed(0, b"Welcome to Fake!\njob %d\n" % self._ids, b"")

    def _do_queue(self) -> Completed:
        return _listing(self.elements)

    def _do_show(self, job: str) -> Completed:
        found = [one for one in self.elements if one.job == job]
        return _listing(found) if found else Completed(8, b"", b"no such job")

    def _do_accounts(self, *names: str) -> Completed:
        if not self.accounting:
            return Completed(9, b"", b"no accounts")
        return _listing([one for one in (*self.accounts, *self.elements) if one.name in names])

    def _do_cancel(self, *targets: str) -> Completed:
        for element in self._named(targets):
            if not element.over:
                self.end(element, "cancelled by us")
        return Completed(0, b"", b"")

    def _do_nudge(self, *targets: str) -> Completed:
        for element in self._named(targets):
            if element.process is not None and element.process.poll() is None:
                element.process.send_signal(signal.SIGUSR2)
        return Completed(0, b"", b"")

    def _do_limits(self) -> Completed:
        return Completed(0, b"%d %d" % self.limits, b"")

    def _do_ping(self) -> Completed:
        return Completed(0, b"", b"")

    def _named(self, targets: Sequence[str]) -> List[Element]:
        return [one for one in self.elements if one.job in targets or f"{one.job}.{one.index}" in targets]

    # --- its work

    def _run(self) -> None:
        while not self._closed:
            time.sleep(_TICK_S)
            with self._lock:
                self._tick()

    def _tick(self) -> None:
        running = [one for one in self.elements if one.word == "running"]
        for one in running:
            assert one.process is not None
            if one.process.poll() is not None:
                one.word = "done"
            elif "walltime" in one.directives and time.monotonic() - one.began > float(one.directives["walltime"]):
                self.end(one, "timeout")
        for one in self.elements:
            if self.on and one.word == "waiting" and self._may_start(one):
                self._start(one)
        self.most_at_once = max(self.most_at_once, sum(one.word == "running" for one in self.elements))

    def _may_start(self, element: Element) -> bool:
        running = [one for one in self.elements if one.word == "running"]
        siblings = sum(one.job == element.job for one in running)
        after = element.directives.get("after", "").split(",")
        return (
            len(running) < self.slots
            and siblings < int(element.directives.get("at-once", self.slots))
            and all(one.over for one in self.elements if one.job in after)
        )

    def _start(self, element: Element) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("FAKE_")}
        if element.index is not None:
            env["FAKE_INDEX"] = str(element.index)
        env["FAKE_RESTART"] = str(element.restart)
        with open(f"{element.directives['output']}/{element.index or 0}.log", "ab") as log:
            element.process = subprocess.Popen(
                ["/bin/bash", "-c", element.script],
                cwd=element.directives["folder"],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(element.process)
        element.word, element.node, element.began = "running", f"node{(element.index or 0) % 3}", time.monotonic()


class FakeHost(LocalHost):
    """This machine, with the fake cluster's commands."""

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__()
        self._cluster = cluster

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", cwd: Optional[str] = None, timeout_s: float = 60.0
    ) -> Completed:
        """Run a command of the cluster, or any other."""
        command = list(argv)
        while command[:1] == ["env"] and command[1:2] == ["-u"]:
            command = ["env", *command[3:]]
        command = command[1:] if command[:1] == ["env"] and command[1:2] and command[1].startswith("fake-") else command
        if command[0].startswith("fake-"):
            return self._cluster.command(command)
        return super().run(argv, input=input, cwd=cwd, timeout_s=timeout_s)


def _listing(elements: Sequence[Element]) -> Completed:
    lines = [
        "|".join([one.job, "" if one.index is None else str(one.index), one.name, one.word, one.reason, one.node])
        for one in elements
    ]
    return Completed(0, "".join(f"{line}\n" for line in lines).encode(), b"")


def _kill(leader: subprocess.Popen[bytes], number: int) -> None:
    """Signal every process of an element, as schedulers do, the leader first."""
    if leader.poll() is not None:
        return
    others = [process.pid for process in processes() if process.session == leader.pid and process.pid != leader.pid]
    for pid in (leader.pid, *others):
        signal_process(pid, number)
