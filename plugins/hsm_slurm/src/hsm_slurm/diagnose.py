"""What `hsm test` looks at on a cluster before it opens it: commands, controller, partition, account, request."""

from __future__ import annotations

from typing import Sequence

from hsm_core.contract import Acceptance, DiagnoseContext, SkipStage, SourceSpec, Stage
from hsm_core.errors import NoSourceError
from hsm_core.toolkit.batch_diagnose import Bench
from hsm_core.toolkit.batch_request import job_request
from hsm_core.toolkit.dialect import Output, script_text

from .dialect import SlurmDialect
from .limits import ENFORCED, limits_commands, read_config, rows
from .partitions import is_default, longest_s, partitions_command, read_partitions
from .problems import problem_of, read_submission
from .script import show_time

__all__ = ["stages"]

_COMMANDS = ("sbatch", "squeue", "scancel", "scontrol")
_REMEDIES = (
    ("account", "set `account` of the source; yours: sacctmgr show associations user=$USER"),
    ("partition", "set `partition` of the source; there are: sinfo"),
    ("qos", "set `qos` of the source; there are: sacctmgr show qos"),
    ("generic resource", "set resources.gpus and gpu_type as the cluster spells them: sinfo -o '%P %G'"),
    ("feature", "set `constraint` of the source; there are: sinfo -o '%P %f'"),
    ("time limit", "ask for less: resources.walltime"),
    ("memory", "ask for less: resources.memory; nodes have: sinfo -o '%P %m'"),
    ("node configuration", "ask for less: resources.cpus, memory or gpus; nodes have: sinfo -o '%P %c %m %G'"),
    ("option", "see resources.native: each is one long option of sbatch"),
    ("directive", "see resources.native: each is one long option of sbatch"),
)
"""Words of a refusal in small letters, and what to do about it; the first that fits counts."""


def stages(spec: SourceSpec, context: DiagnoseContext) -> Sequence[Stage]:
    """What is looked at, in order; every later question is in vain when an earlier one has no answer."""
    cluster = _Cluster(SlurmDialect(), spec, context)
    return (
        *cluster.way(),
        Stage("tools", cluster.tools),
        Stage("controller", cluster.controller, 60.0),
        Stage("partition", cluster.partition, 60.0),
        Stage("account", cluster.account, 120.0),
        Stage("request", cluster.request, 60.0),
    )


class _Cluster(Bench):
    """A cluster, looked at through its commands."""

    def tools(self) -> str:
        """The commands are there."""
        found = self.find(
            _COMMANDS, "go where Slurm's commands are (a login node), or load its module: module load slurm"
        )
        told = " ".join(found.stdout.split()) or "they do not say of which version"
        return f"{', '.join(_COMMANDS)}: {told}"

    def controller(self) -> str:
        """It answers."""
        answer = self.reach("is slurmctld down, or this machine no part of the cluster? see: scontrol ping")
        return "; ".join(line.strip() for line in answer.stdout.splitlines() if " is " in line)

    def partition(self) -> str:
        """Those that are asked for are there, take jobs, and let them run as long as tasks may take."""
        output = self.scheduler.ask(partitions_command())
        _must_be_well(output)
        there = read_partitions(output)
        asked = str(self.spec.options.get("partition") or self.default("SBATCH_PARTITION") or "")
        names = [name for name in asked.split(",") if name]
        if not names:
            names = [name for name, one in there.items() if is_default(one)]
            if not names:
                raise NoSourceError(
                    f"the cluster has no default partition; there are: {', '.join(there)}", self.setting("partition")
                )
        for name in names:
            if name not in there:
                self.missing("partition", name, there)
            if there[name].get("State", "UP") != "UP":
                raise NoSourceError(
                    f"partition {name} is {there[name]['State']}: jobs do not start there", self.setting("partition")
                )
        wanted = self.context.resources.walltime_s
        if wanted is not None and all(longest_s(there[name]) < wanted for name in names):
            most = there[names[0]]["MaxTime"]
            raise NoSourceError(
                f"a job in {','.join(names)} may run for {most}, and resources.walltime is {show_time(wanted)}",
                f"hsm config set resources.walltime {most}, or choose another partition",
            )
        return "; ".join(f"{name}: up, at most {there[name].get('MaxTime', '-')}" for name in names)

    def account(self) -> str:
        """The user may submit by the account and quality of service that are asked for."""
        options = self.spec.options
        account = str(options.get("account") or self.default("SBATCH_ACCOUNT") or "")
        qos = str(options.get("qos") or self.default("SBATCH_QOS") or "")
        user = self.scheduler.user
        show_config, show_associations, _ = limits_commands(user)
        output = self.scheduler.ask(show_config)
        _must_be_well(output)
        config = read_config(output)
        if config.get("AccountingStorageType", "").endswith("/none") or not config.get("AccountingStorageType"):
            raise SkipStage("the cluster keeps no accounts")
        if config.get(ENFORCED, "none") in ("", "none"):
            raise SkipStage("the cluster keeps accounts, but does not enforce them")
        listed = self.scheduler.ask(show_associations)
        _must_be_well(listed)
        mine = [row for row in rows(listed, 5) if row[0] == config.get("ClusterName", row[0])]
        if not mine:
            raise NoSourceError(f"{user} has no account on this cluster", "ask its administrators for one")
        accounts = {row[1]: row for row in mine}
        if account and account not in accounts:
            self.missing("account", account, accounts)
        qualities = {name for row in mine if account in ("", row[1]) for name in row[3].split(",") if name}
        if qos and qos not in qualities:
            self.missing("qos", qos, dict.fromkeys(sorted(qualities), None))
        words = [f"account {account}" if account else f"accounts: {', '.join(accounts)}"]
        words.append(f"qos {qos}" if qos else f"qos: {', '.join(sorted(qualities)) or 'none'}")
        return "; ".join(words)

    def request(self) -> str:
        """A job that asks for what tasks ask for could be submitted."""
        folder = self.context.project_dir if self.host.is_here else "/"
        job = job_request(
            self.spec.options,
            "hsm-test",
            self.context.resources,
            ("true",),
            folder=folder,
            output=folder,
        )
        sbatch, *words, _ = self.dialect.submit(job, "-")
        text = script_text(self.dialect, job)
        output = self.scheduler.ask([sbatch, "--test-only", *words], text.encode("utf-8"))
        if output.returncode == 0:
            return problem_of(Output(1, "", output.stderr)) or "it could be submitted"
        answer = read_submission(output)
        hint = next((remedy for word, remedy in _REMEDIES if word in answer.reason.lower()), None)
        if hint is None and answer.acceptance is not Acceptance.REJECTED:
            hint = "it may pass; `hsm run` would wait for it"
        raise NoSourceError(answer.reason, hint)


def _must_be_well(output: Output) -> None:
    if output.returncode != 0:
        raise NoSourceError(problem_of(output))
