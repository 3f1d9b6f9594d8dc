"""`hsm test` of a cluster, and the script of a dry run: with recorded answers, and on a real Slurm."""

from __future__ import annotations

import json

import pytest
from hsm_slurm.diagnose import stages

from hsm_core.contract import Completed, DiagnoseContext, SkipStage, SourceSpec, TaskResources
from hsm_core.errors import HsmError

PARTITIONS = """\
PartitionName=debug AllowGroups=ALL Default=YES MaxTime=UNLIMITED State=UP TotalCPUs=32
PartitionName=short AllowGroups=ALL Default=NO MaxTime=1-00:05:00 State=UP TotalCPUs=32
PartitionName=old AllowGroups=ALL Default=NO MaxTime=UNLIMITED State=INACTIVE TotalCPUs=32
"""
CONFIG = """\
AccountingStorageEnforce = associations,limits
AccountingStorageType   = accounting_storage/slurmdbd
ClusterName             = citest
"""
ROWS = "citest|lab||normal,high|\ncitest|rich||normal|\nother|else||best|\n"


class Recorded:
    """A login node where each command prints what it is told to, by its first two words."""

    name = "login1"
    is_here = False

    def __init__(self, **answers):
        self.answers = {
            "env -0": (0, "HOME=/root\0", ""),
            "true": (0, "", ""),
            "id -un": (0, "me\n", ""),
            "sbatch --version": (0, "slurm 23.02.7\n", ""),
            "squeue --version": (0, "slurm 23.02.7\n", ""),
            "scancel --version": (0, "slurm 23.02.7\n", ""),
            "scontrol --version": (0, "slurm 23.02.7\n", ""),
            "scontrol ping": (0, "Slurmctld(primary) at head is UP\n", ""),
            "scontrol show partition": (0, PARTITIONS, ""),
            "scontrol show config": (0, CONFIG, ""),
            "sacctmgr": (0, ROWS, ""),
            "sbatch --test-only": (0, "", "sbatch: Job 7 to start at 2026-11-23T17:10:00 using 1 processors\n"),
            **answers,
        }
        self.given = b""

    def run(self, argv, *, input=b"", cwd=None, timeout_s=60.0):
        """What was recorded."""
        line = " ".join(argv)
        fitting = max((words for words in self.answers if line.startswith(words)), key=len)
        self.given = input or self.given
        answer = self.answers[fitting]
        if answer is None:
            raise FileNotFoundError(2, "No such file or directory", argv[0])
        code, out, err = answer
        return Completed(code, out.encode(), err.encode())

    def close(self):
        """Nothing to give up."""


@pytest.fixture(autouse=True)
def _own_budget(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("SBATCH_PARTITION", "SBATCH_ACCOUNT", "SBATCH_QOS"):
        monkeypatch.delenv(name, raising=False)


def look(stage, host=None, resources=None, **options):
    """What one stage finds; "skipped" or the failure and its remedy."""
    context = DiagnoseContext("/project", resources or TaskResources(), host=host or Recorded())
    found = {one.name: one for one in stages(SourceSpec("slurm", "here", None, options), context)}
    try:
        return found[stage].work()
    except SkipStage as skip:
        return f"skipped: {skip}"
    except HsmError as error:
        return f"{error.message} ({error.hint})"


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("tools", "sbatch, squeue, scancel, scontrol: slurm 23.02.7"),
        ("controller", "Slurmctld(primary) at head is UP"),
        ("partition", "debug: up, at most UNLIMITED"),
        ("account", "accounts: lab, rich; qos: high, normal"),
        ("request", "Job 7 to start at 2026-11-23T17:10:00 using 1 processors"),
    ],
)
def test_each_stage_says_what_it_found(stage, words):
    """On a cluster where all is well, each line is worth reading."""
    assert look(stage) == words


@pytest.mark.parametrize(
    ("stage", "answers", "options", "words"),
    [
        ("tools", {"squeue --version": None}, {}, "squeue: no such command on login1 (go where"),
        ("controller", {"scontrol ping": (1, "Slurmctld(primary) at head is DOWN\n", "")}, {}, "is DOWN (is slurmctld"),
        ("partition", {}, {"partition": "shrt"}, "there are: debug, short, old (did you mean 'short'? set `partition`"),
        ("partition", {}, {"partition": "old"}, "partition old is INACTIVE"),
        ("partition", {"scontrol show partition": (0, "PartitionName=a MaxTime=1:00:00\n", "")}, {}, "no default"),
        ("partition", {"scontrol show partition": (1, "", "slurm_load_partitions error: Oh\n")}, {}, "Oh"),
        ("account", {}, {"account": "ritch"}, "there is no account 'ritch' for you; there are: lab, rich"),
        ("account", {}, {"account": "rich", "qos": "high"}, "there is no qos 'high' for you; there are: normal"),
        ("account", {"sacctmgr": (0, "", "")}, {}, "me has no account on this cluster (ask"),
        ("request", {"sbatch --test-only": (1, "", "sbatch: error: Invalid qos specification\n")}, {}, "(set `qos`"),
    ],
)
def test_each_failure_has_its_remedy(stage, answers, options, words):
    """What is wrong is named, with what there is instead, and what to do."""
    assert words in look(stage, Recorded(**answers), **options)


@pytest.mark.parametrize(
    "config", ["AccountingStorageType = accounting_storage/none\n", CONFIG.replace("associations,limits", "none")]
)
def test_accounts_that_do_not_count_are_skipped(config):
    """Where nothing is enforced, no account can be wrong."""
    assert look("account", Recorded(**{"scontrol show config": (0, config, "")}), account="x").startswith("skipped: ")


@pytest.mark.parametrize(("hours", "well"), [(24, True), (25, False)])
def test_a_partition_must_let_tasks_run_as_long_as_they_may(hours, well):
    """Slurm takes a job that is longer than its partition allows, and never starts it."""
    found = look("partition", resources=TaskResources(walltime_s=3600.0 * hours), partition="short")
    assert found.startswith("short: up") is well
    assert ("resources.walltime is 1-01:00:00" in found) is not well


def test_what_is_tried_is_what_a_task_asks_for():
    """The request that Slurm judges has the directives of the sweep's jobs."""
    host = Recorded()
    look("request", host, TaskResources(cpus=3, memory_mb=500, native=("--nice=5",)), partition="short")
    for line in ("#SBATCH --cpus-per-task=3", "#SBATCH --mem=500M", "#SBATCH --partition=short", "#SBATCH --nice=5"):
        assert line in host.given.decode()


def test_a_value_that_would_begin_a_line_of_its_own_is_refused():
    """A directive with a line break never reaches sbatch."""
    assert "control character" in look("request", resources=TaskResources(native=("--nice=5\n#SBATCH --wrap=x",)))


# --- on the real thing


def test_a_real_cluster_passes_every_stage(site):
    """Up to one job from end to end, in the order in which things can go wrong; nothing of it stays."""
    site.configure({"cpus": 1, "walltime": "2m"}, partition="short")
    code, said = site.hsm("test", "hpc:here", "--json")
    (tried,) = json.loads(said)
    assert code == 0, said
    assert [(one["name"], one["state"]) for one in tried["stages"]] == [
        ("tools", "ok"),
        ("controller", "ok"),
        ("partition", "ok"),
        ("account", "skipped"),
        ("request", "ok"),
        ("project", "skipped"),
        ("open", "ok"),
        ("health", "ok"),
        ("one task", "ok"),
    ]
    assert not (site.root / "sweeps" / "outputs").exists()


@pytest.mark.parametrize(
    ("resources", "source", "stage", "hint"),
    [
        ({}, {"partition": "shrt"}, "partition", "did you mean 'short'?"),
        ({"walltime": "1h"}, {"partition": "short"}, "partition", "resources.walltime 00:05:00"),
        ({"gpus": 1, "gpu_type": "A100"}, {}, "request", "%G'"),
        ({"memory": "9000G"}, {}, "request", "ask for less"),
        ({}, {"constraint": "nosuch"}, "request", "`constraint`"),
        ({"native": ["--nosuch=1"]}, {}, "request", "resources.native"),
        ({}, {"modules": ["nosuch/1.0"]}, "one task", ""),
    ],
)
def test_what_a_real_cluster_refuses_is_said(site, resources, source, stage, hint):
    """The stage that fails is the one that is meant, and says the remedy."""
    site.configure(resources, **source)
    code, said = site.hsm("test", "here", "--json")
    assert code == 1, said
    failed = [one for one in json.loads(said)[0]["stages"] if one["state"] == "FAILED"]
    assert [one["name"] for one in failed] == [stage]
    assert hint in failed[0]["hint"]


def test_accounts_are_looked_at_where_they_count(accounted_site):
    """An account that the user does not have is found out before a sweep."""
    accounted_site.configure(account="nosuch")
    code, said = accounted_site.hsm("test", "here", "--json")
    failed = [one for one in json.loads(said)[0]["stages"] if one["state"] == "FAILED"]
    assert code == 1
    assert [one["name"] for one in failed] == ["account"]
    assert "there is no account 'nosuch' for you" in failed[0]["found"]


def test_a_controller_that_is_down_is_the_first_to_be_said(site):
    """Nothing is asked of a cluster that does not answer."""
    site.break_command(
        "scontrol", '[ "$1" != ping ] || { echo "Slurmctld(primary) at x is DOWN"; exit 1; }; real "$@"', always=True
    )
    code, said = site.hsm("test", "here")
    assert code == 1
    assert "controller     FAILED" in said
    assert "is DOWN" in said
    assert "one task       skipped" in said


def test_the_script_of_a_dry_run_is_the_script_of_the_run(site):
    """What `--dry-run -v` shows is what is written, but for the token."""
    site.configure({"cpus": 2, "walltime": "3m"}, partition="short", setup=["true"])
    site.declare(5)
    code, said = site.hsm("run", "--sources", "here:2", "--sweep-id", "s", "--dry-run", "-v")
    assert code == 0, said
    assert site.counted() == {}, "nobody is asked"
    site.run("here:2")
    (path,) = (site.layout.root / "scripts" / "job_scripts").glob("*.sh")
    token = path.stem.rpartition(".")[0]
    shown = said.replace("hsm-UID-1-1", token)
    assert f"slurm:here would be handed {path}:" in shown
    assert "".join(f"  {line}\n" for line in path.read_text().splitlines()) in shown


def test_config_init_names_the_cluster(site):
    """On a login node the first configuration has the cluster, with its default partition, and works as it stands."""
    (site.root / "hsm_config.yaml").unlink()
    code, said = site.hsm("config", "init", "--no-interactive", "--script", "task.sh", "--python", "/bin/sh")
    assert code == 0, said
    assert "SLURM" in said
    text = (site.root / "hsm_config.yaml").read_text()
    assert "  cluster:\n    kind: slurm\n    partition: debug\n" in text
    code, said = site.hsm("test", "hpc:cluster")
    assert code == 0, said
