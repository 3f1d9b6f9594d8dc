"""What the stages of `hsm test` have in common on every cluster: commands that are there, a scheduler that answers."""

from __future__ import annotations

import difflib
import os
from typing import Iterable, NoReturn, Sequence

from ..contract import DiagnoseContext, Host, SourceSpec
from ..errors import NoSourceError
from .batch_scheduler import Scheduler
from .budget import CallBudget, budget_dir
from .dialect import Dialect, Output

__all__ = ["Bench"]

_NOT_FOUND = 127
_CALLS_PER_MINUTE = 30


class Bench:
    """A cluster that is looked at, through its commands on a host, which is closed at the end."""

    def __init__(self, host: Host, dialect: Dialect, spec: SourceSpec, context: DiagnoseContext) -> None:
        self.host = host
        self.dialect = dialect
        self.spec = spec
        self.context = context
        self.scheduler = Scheduler(host, dialect, CallBudget(budget_dir(dialect.name, os.environ), _CALLS_PER_MINUTE))
        context.at_end(host.close)

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
