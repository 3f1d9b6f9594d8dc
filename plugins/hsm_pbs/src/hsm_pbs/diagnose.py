"""What `hsm test` looks at on a cluster before it opens it: commands and their flavour, server, queue, limits."""

from __future__ import annotations

import difflib
import os
from typing import Optional, Sequence

from hsm_core.contract import DiagnoseContext, Host, SourceSpec, Stage
from hsm_core.errors import NoSourceError
from hsm_core.toolkit.batch_scheduler import Scheduler
from hsm_core.toolkit.budget import CallBudget, budget_dir
from hsm_core.toolkit.dialect import Dialect

from .dialect import PbsDialect
from .limits import LIMITS_COMMANDS, read_described
from .problems import complaint
from .script import show_time

__all__ = ["stages"]

_NOT_FOUND = 127
_CALLS_PER_MINUTE = 30


def stages(host: Host, spec: SourceSpec, context: DiagnoseContext) -> Sequence[Stage]:
    """What is looked at, in order; every later question is in vain when an earlier one has no answer."""
    cluster = _Cluster(host, spec, context)
    return (
        Stage("tools", cluster.tools),
        Stage("server", cluster.server, 60.0),
        Stage("queue", cluster.queue, 60.0),
        Stage("limits", cluster.limits, 60.0),
    )


class _Cluster:
    """A cluster, looked at through its commands."""

    def __init__(self, host: Host, spec: SourceSpec, context: DiagnoseContext) -> None:
        self._host = host
        self._spec = spec
        self._context = context
        self._dialect: Dialect = PbsDialect()
        budget = CallBudget(budget_dir(self._dialect.name, os.environ), _CALLS_PER_MINUTE)
        self._scheduler = Scheduler(host, self._dialect, budget)
        context.at_end(host.close)

    def tools(self) -> str:
        """The commands are there, and of which flavour they are."""
        for command in ("qsub", "qdel"):
            if self._scheduler.ask([command, "--version"]).returncode == _NOT_FOUND:
                raise NoSourceError(
                    f"{command}: no such command on {self._host.name}",
                    "go where the commands of PBS are (a login node), or load its module: module load pbs",
                )
        self._dialect = self._scheduler.meet()
        return f"qsub, qstat, qdel: {self._dialect.release}"

    def server(self) -> str:
        """It answers."""
        output = self._scheduler.ask(self._dialect.ping())
        problem = self._dialect.read_ping(output)
        if problem:
            raise NoSourceError(problem, "is the PBS server down, or the wrong one asked? see: qstat -B")
        return output.stdout.strip().splitlines()[-1].split()[0] + " answers"

    def queue(self) -> str:
        """The one that is asked for is there, takes jobs, and lets them run as long as tasks may take."""
        outputs = [self._scheduler.ask(command) for command in LIMITS_COMMANDS]
        for output in outputs:
            if complaint(output):
                raise NoSourceError(complaint(output))
        server = next(iter(read_described(outputs[0]).values()), {})
        queues = read_described(outputs[1])
        name = str(self._spec.options.get("queue") or next(iter(server.get("default_queue", ())), ""))
        setting = f"set `queue` of {self._spec.name} under `sources:` in hsm_config.yaml"
        if name.partition("@")[0] not in queues:
            near = difflib.get_close_matches(name, queues, 1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise NoSourceError(
                f"there is no queue {name!r}; there are: {', '.join(queues) or 'none'}", meant + setting
            )
        found = queues[name.partition("@")[0]]
        for attribute, meaning in (("enabled", "it takes no jobs"), ("started", "jobs do not start there")):
            if next(iter(found.get(attribute, ())), "True") != "True":
                raise NoSourceError(f"queue {name} is not {attribute}: {meaning}", setting)
        most = next(iter(found.get("resources_max.walltime", ())), "")
        wanted = self._context.resources.walltime_s
        limit = _seconds(most)
        if wanted is not None and limit is not None and limit < wanted:
            raise NoSourceError(
                f"a job in {name} may run for {most}, and resources.walltime is {show_time(wanted)}",
                f"hsm config set resources.walltime {limit:g}s, or choose another queue",
            )
        return f"{name}: takes and starts jobs" + (f", at most {most}" if most else "")

    def limits(self) -> str:
        """What this user may have."""
        found = self._scheduler.limits(self._spec.options)
        if found.problem:
            raise NoSourceError(found.problem)
        queued = "as many jobs as you like" if found.queued is None else f"at most {found.queued} jobs"
        return f"arrays of {found.array_size}, {queued} in the queue"


def _seconds(time: str) -> Optional[float]:
    """Of `26:03:04`; None for what is no time."""
    parts = time.split(":")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return None
    hours, minutes, seconds = map(int, parts)
    return float(hours * 3600 + minutes * 60 + seconds)
