"""What `hsm test` looks at on a cluster before it opens it: commands and their flavour, server, queue, limits."""

from __future__ import annotations

from typing import Sequence

from hsm_core.contract import DiagnoseContext, SourceSpec, Stage
from hsm_core.errors import NoSourceError
from hsm_core.toolkit.batch_diagnose import Bench

from .dialect import PbsDialect
from .limits import LIMITS_COMMANDS
from .problems import complaint
from .records import read_objects
from .script import show_time

__all__ = ["stages"]


def stages(spec: SourceSpec, context: DiagnoseContext) -> Sequence[Stage]:
    """What is looked at, in order; every later question is in vain when an earlier one has no answer."""
    bench = Bench(PbsDialect(), spec, context)

    def tools() -> str:
        bench.find(("qsub", "qdel"), "go where the commands of PBS are (a login node), or: module load pbs")
        return f"qsub, qstat, qdel: {bench.scheduler.meet().release}"

    def server() -> str:
        answer = bench.reach("is the PBS server down, or the wrong one asked? see: qstat -B")
        return f"{answer.stdout.strip().splitlines()[-1].split()[0]} answers"

    def limits() -> str:
        found = bench.scheduler.limits(spec.options)
        if found.problem:
            raise NoSourceError(found.problem)
        queued = "as many jobs as you like" if found.queued is None else f"at most {found.queued} jobs"
        return f"arrays of {found.array_size}, {queued} in the queue"

    return (
        *bench.way(),
        Stage("tools", tools),
        Stage("server", server, 60.0),
        Stage("queue", lambda: _queue(bench), 60.0),
        Stage("limits", limits, 60.0),
    )


def _queue(bench: Bench) -> str:
    """The one that is asked for is there, takes jobs, and lets them run as long as tasks may take."""
    outputs = [bench.scheduler.ask(command) for command in LIMITS_COMMANDS]
    if any(map(complaint, outputs)):
        raise NoSourceError("; ".join(filter(None, map(complaint, outputs))))
    (_, server), *_ = [*read_objects(outputs[0].stdout), ("", {})]
    queues = dict(read_objects(outputs[1].stdout))
    name = str(bench.spec.options.get("queue") or next(iter(server.get("default_queue", ())), "")).partition("@")[0]
    if name not in queues:
        bench.missing("queue", name, queues)
    for attribute, meaning in (("enabled", "it takes no jobs"), ("started", "jobs do not start there")):
        if next(iter(queues[name].get(attribute, ())), "True") != "True":
            raise NoSourceError(f"queue {name} is not {attribute}: {meaning}", bench.setting("queue"))
    most = next(iter(queues[name].get("resources_max.walltime", ())), "")
    wanted = bench.context.resources.walltime_s
    # Both have two digits and no days: as text, with as many in front, they compare as times do.
    if most and wanted is not None and most.zfill(12) < show_time(wanted).zfill(12):
        raise NoSourceError(
            f"a job in {name} may run for {most}, and resources.walltime is {show_time(wanted)}",
            "ask for less in resources.walltime, or choose another queue",
        )
    return f"{name}: takes and starts jobs" + (f", at most {most}" if most else "")
