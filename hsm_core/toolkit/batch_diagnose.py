"""What the stages of `hsm test` have in common on every cluster: commands that are there, a scheduler that answers."""

from __future__ import annotations

import difflib
import os
import time
from typing import Iterable, NoReturn, Sequence

from ..contract import DiagnoseContext, SourceSpec, Stage
from ..errors import NoSourceError
from .batch_scheduler import Scheduler
from .budget import CallBudget, budget_dir
from .dialect import Dialect, Output
from .local_host import LocalHost

__all__ = ["Bench"]

_NOT_FOUND = 127
_CALLS_PER_MINUTE = 30
_CONNECT_S = 60.0


class Bench:
    """A cluster that is looked at, through its commands on the host that it is driven over, or here."""

    def __init__(self, dialect: Dialect, spec: SourceSpec, context: DiagnoseContext) -> None:
        self.host = host = context.host or LocalHost()
        self.dialect = dialect
        self.spec = spec
        self.context = context
        self.scheduler = Scheduler(host, dialect, CallBudget(budget_dir(dialect.name, os.environ), _CALLS_PER_MINUTE))

    def way(self) -> Sequence[Stage]:
        """What is looked at first: the host, where there is one between us and the scheduler."""
        return () if self.host.is_here else (Stage("host", self._knock, _CONNECT_S),)

    def _knock(self) -> str:
        self.host.run(["true"], timeout_s=_CONNECT_S)
        began = time.monotonic()
        self.host.run(["true"], timeout_s=_CONNECT_S)
        return f"{self.host.name}: a command takes {(time.monotonic() - began) * 1000:.0f} ms"

    def default(self, variable: str) -> str:
        """What a person has set for all their jobs, on the host; empty when nothing."""
        return self.scheduler.environment.get(variable, "")

    def find(self, commands: Sequence[str], remedy: str) -> Output:
        """What the last of these commands says of its version. :raises NoSourceError: one of them is not there."""
        output = Output(0, "", "")
        for command in commands:
            output = self.scheduler.ask([command, "--version"])
            if output.returncode == _NOT_FOUND:
                raise NoSourceError(f"{command}: no such command on {self.host.name}", remedy)
        return output

    def reach(self, remedy: str) -> Output:
        """What the scheduler answers. :raises NoSourceError: it does not."""
        output = self.scheduler.ask(self.dialect.ping())
        problem = self.dialect.read_ping(output)
        if problem:
            raise NoSourceError(problem, remedy)
        return output

    def setting(self, option: str) -> str:
        """Where an option of this source stands."""
        return f"set `{option}` of {self.spec.name} under `sources:` in hsm_config.yaml"

    def missing(self, what: str, name: str, there: Iterable[str]) -> NoReturn:
        """An option names something that is not there. :raises NoSourceError: with what is, and what was meant."""
        known = list(there)
        near = difflib.get_close_matches(name, known, 1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        said = f"there is no {what} {name!r} for you; there are: {', '.join(known) or 'none'}"
        raise NoSourceError(said, meant + self.setting(what))
