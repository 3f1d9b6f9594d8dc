"""The scheduler as `BatchSource` sees it: the one module that runs its commands, seldom, and never twice at once."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set

from ..contract import Acceptance, Host
from ..errors import NoSourceError
from .batch_jobs import Target
from .budget import CallBudget
from .dialect import ENDED_STATES, WAITING_STATES, Dialect, Elements, JobRequest, Limits, Listing, Output, Submission

__all__ = ["Scheduler"]

_QUERY_TIMEOUT_S = 40.0
"""Slurm's own clients give up after 9 to 18 s; a slow answer is better than none."""
_SUBMIT_TIMEOUT_S = 60.0
_NOT_FOUND = 127
"""The exit code of a shell, and of `env`, that finds no such command."""
_SLOWER = 1.5
_FASTEST_S, _SLOWEST_S = 5.0, 60.0


class Scheduler:
    """Runs a scheduler's commands on a host, and has its dialect read what they print.

    :param budget: shared with every other hsm of this user on this machine.
    :param fastest_s: between two queries of the queue, while things change.
    """

    def __init__(
        self,
        host: Host,
        dialect: Dialect,
        budget: CallBudget,
        fastest_s: float = _FASTEST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._dialect = dialect
        self._budget = budget
        self._fastest_s = fastest_s
        self._clock = clock
        self._interval_s = fastest_s
        self._next_query = float("inf")
        self._user = ""
        self._prefix: Optional[List[str]] = None
        self._environment: Optional[Dict[str, str]] = None

    # --- when

    def due(self) -> bool:
        """Whether it is time for a query, and the budget allows one, which is then counted."""
        return self._clock() >= self._next_query and self._budget.take()

    def asked(self, changed: bool) -> None:
        """A round of queries is over: the next comes soon when things change, later and later when they do not."""
        slowest = max(_SLOWEST_S, self._fastest_s)
        self._interval_s = self._fastest_s if changed else min(slowest, self._interval_s * _SLOWER)
        self._next_query = self._clock() + self._interval_s

    def hurry(self) -> None:
        """Something happened that the queue will show: do not wait longer than the shortest time."""
        self._interval_s = self._fastest_s
        self._next_query = min(self._next_query, self._clock() + self._fastest_s)

    # --- what

    def submit(self, job: JobRequest, script: str) -> Submission:
        """Submit a script. What is not certain is INDETERMINATE."""
        self._budget.take(urgent=True)
        try:
            output = self._run(self._dialect.submit(job, script), _SUBMIT_TIMEOUT_S, cwd=job.folder)
        except FileNotFoundError as error:
            return Submission(Acceptance.RETRY, reason=f"{error.filename or self._dialect.name}: command not found")
        except TimeoutError as error:
            return Submission(Acceptance.INDETERMINATE, reason=str(error))
        except OSError as error:
            return Submission(Acceptance.INDETERMINATE, reason=f"{type(error).__name__}: {error}")
        return self._dialect.read_submission(output)

    def queue(self, names: Sequence[str], counted: bool = False) -> Listing:
        """What the queue says of these jobs.

        :param counted: `due` has counted it.
        """
        if not counted:
            self._budget.take(urgent=True)
        return self._list(self._dialect.queue(self.user, names), self._dialect.read_queue)

    def accounting(self, jobs: Mapping[str, str], since: float) -> Listing:
        """What the accounts say of these jobs.

        :param jobs: name -> id, empty where it is not known.
        """
        command = self._dialect.accounting(self.user, jobs, since)
        if command is None:
            return Listing(available=False)
        self._budget.take(urgent=True)
        return self._list(command, self._dialect.read_accounting)

    def look_up(self, job: str) -> Optional[Listing]:
        """What the scheduler says of the job with this id, or None when the budget does not allow the question now.

        The answer may speak of another's job: ids are given again when a scheduler has lost its memory.
        """
        if not self._budget.take():
            return None
        user = self.user
        return self._list(self._dialect.look_up(job), lambda output: self._dialect.read_look_up(output, user))

    def cancel(self, targets: Sequence[Target]) -> None:
        """End these, or take them from the queue. :raises OSError: when the scheduler could not be told."""
        self._tell(self._dialect.cancel(self._under_our_name(targets)))

    def nudge(self, targets: Sequence[Target]) -> None:
        """Wake the runners of these. :raises OSError: when the scheduler could not be told."""
        self._tell(self._dialect.nudge(self._under_our_name(targets)))

    def limits(self, options: Mapping[str, Any]) -> Limits:
        """What this user may have."""
        outputs = []
        for command in self._dialect.limits(self.user, options):
            self._budget.take(urgent=True)
            outputs.append(self._output(command))
        return self._dialect.read_limits(outputs, self.user, options)

    def meet(self) -> Dialect:
        """Find out which flavour of the scheduler this is; its dialect, which is spoken from now on.

        :raises NoSourceError: the commands are not there, or belong to another.
        """
        self.check_commands()
        command = self._dialect.version()
        if command:
            self._budget.take(urgent=True)
            met = self._dialect.for_version(self._output(command))
            if met is None:
                raise NoSourceError(
                    f"{command[0]} on {self._host.name} is not that of {self._dialect.name}",
                    f"run hsm where the commands of {self._dialect.name} are",
                )
            self._dialect = met
        return self._dialect

    def ask(self, command: Sequence[str], input: bytes = b"") -> Output:
        """Any other question, which a dialect's own code puts; a command that is not there ends with 127."""
        self._budget.take(urgent=True)
        return self._output(command, input)

    def check_commands(self) -> None:
        """See whether the scheduler's commands are on the host. :raises NoSourceError: they are not."""
        self._budget.take(urgent=True)
        command = self._dialect.ping()
        if self._output(command).returncode == _NOT_FOUND:
            raise NoSourceError(
                f"{command[0]}: no such command on {self._host.name}",
                f"run hsm where the commands of {self._dialect.name} are",
            )

    def problem(self) -> str:
        """Empty when the scheduler answers, else one line for a person."""
        self._budget.take(urgent=True)
        return self._dialect.read_ping(self._output(self._dialect.ping()))

    @property
    def user(self) -> str:
        """Who we are on the host. :raises OSError: when it does not say."""
        if not self._user:
            self._user = self._host.run(["id", "-un"], timeout_s=20.0).stdout.decode("utf-8", "replace").strip()
        return self._user

    @property
    def environment(self) -> Mapping[str, str]:
        """What commands on the host find in their environment. :raises OSError: when it does not say."""
        if self._environment is None:
            shown = self._host.run(["env", "-0"], timeout_s=20.0).stdout.decode("utf-8", "surrogateescape")
            pairs = (line.partition("=") for line in shown.split("\0") if "=" in line)
            self._environment = {name: value for name, _, value in pairs}
        return self._environment

    # --- how

    def _under_our_name(self, targets: Sequence[Target]) -> List[Elements]:
        """Targets with the ids that they have now: under an id from before may be another's job.

        :raises OSError: when the scheduler does not say.
        """
        listing = self.queue([target.name for target in targets])
        if listing.problem:
            raise OSError(listing.problem)
        ids: Dict[str, Set[str]] = {}
        for row in listing.jobs:
            if row.state not in ENDED_STATES:
                ids.setdefault(row.name, set()).add(row.job)
        waits = {(row.name, i) for row in listing.jobs if row.state in WAITING_STATES for i in row.indices}
        found = []
        for name, indices, waiting in targets:
            wanted = [index for index in indices if (name, index) in waits] if waiting else indices
            if wanted or not waiting:
                found += [Elements(job, wanted) for job in sorted(ids.get(name, ()))]
        return found

    def _list(self, command: Sequence[str], read: Callable[[Output], Listing]) -> Listing:
        listing = read(self._output(command))
        plainer = self._dialect.plainer(command) if listing.garbage and not listing.complete else None
        if plainer is None:
            return listing
        self._budget.take(urgent=True)
        return read(self._output(plainer))

    def _tell(self, commands: Sequence[Sequence[str]]) -> None:
        for command in commands:
            self._budget.take(urgent=True)
            problem = self._dialect.read_order(self._run(command, _QUERY_TIMEOUT_S))
            if problem:
                raise OSError(f"{command[0]} {problem}")

    def _output(self, command: Sequence[str], input: bytes = b"") -> Output:
        """What a query printed; one that could not be made is an output too, with a return code of its own."""
        try:
            return self._run(command, _QUERY_TIMEOUT_S, input=input)
        except FileNotFoundError:
            return Output(_NOT_FOUND, "", f"{command[0]}: command not found")
        except OSError as error:
            return Output(-1, "", str(error))

    def _run(self, command: Sequence[str], timeout_s: float, cwd: Optional[str] = None, input: bytes = b"") -> Output:
        if self._prefix is None:
            self._prefix = self._without_leaks()
        done = self._host.run([*self._prefix, *command], input=input, cwd=cwd, timeout_s=timeout_s)
        return Output(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def _without_leaks(self) -> List[str]:
        """How to run a command without what an outer job left in the environment: when hsm itself runs in a job."""
        leaks = [name for name in self.environment if self._dialect.leaks(name)]
        return ["env", *(word for name in leaks for word in ("-u", name))] if leaks else []
