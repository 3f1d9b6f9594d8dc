"""What tasks are given on a real Slurm: more memory for what ran out of it, and what groups of tasks ask for."""

from __future__ import annotations

import sys

import pytest


def configure(site, **on_oom):
    """Tasks have 64 MB at first, and may be given more."""
    site.configure({"memory": "64M"})
    path = site.root / "hsm_config.yaml"
    path.write_text(path.read_text()[:-1] + ', "retries": {"on_oom": ' + str(on_oom).replace("'", '"') + "}}")


EATS = f"""[ "$n" != 1 ] || exec {sys.executable} -c 'x = bytearray(150 << 20); print("enough")'"""


def test_out_of_memory_runs_again_with_more(strict_site):
    """64 MB are too few, 128 too, 256 enough: three attempts, each with what it was given, and no retry is charged."""
    site = strict_site
    configure(site, times=3, factor=2)
    site.declare(2)
    site.behave(EATS)
    code, said = site.hsm("run", "--sources", "here", "--sweep-id", "s")
    assert code == 0, said
    site.check(once=False)
    assert sorted(site.ledger()) == [(0, 1), (1, 1), (1, 2), (1, 3)]
    scripts = sorted((site.layout.root / "scripts" / "job_scripts").glob("*.sh"))
    given = sorted(int(line[14:-1]) for path in scripts for line in path.read_text().splitlines() if "--mem=" in line)
    assert given == [64, 128, 256]
    code, told = site.hsm("explain", "s", "task_002")
    assert code == 0
    assert "out of memory with 64 MB; 128 MB next" in told


@pytest.mark.parametrize("bound", [{"times": 1}, {"times": 3, "most": "100M"}])
def test_more_has_an_end(strict_site, bound):
    """After so many times, or with the most that it may have, a task has failed."""
    site = strict_site
    configure(site, **bound)
    site.declare(2)
    site.behave(EATS)
    code, said = site.hsm("run", "--sources", "here", "--sweep-id", "s")
    assert code == 1, said
    assert sorted(site.ledger()) == [(0, 1), (1, 1), (1, 2)]
    assert site.facts()["counts"]["failed"] == 1


def test_groups_of_tasks_ask_for_what_they_need(site):
    """Tasks for which a condition holds are an array of their own, with their own directives, modules and partition."""
    site.configure({"cpus": 1}, partition="debug")
    site.declare(
        6,
        resources={
            "walltime": "2m",
            "groups": [
                {"where": "n >= 4", "cpus": 2, "options": {"partition": "short", "setup": ["export GROUP=big"]}}
            ],
        },
    )
    site.behave('echo "$n $SLURM_CPUS_PER_TASK $SLURM_JOB_PARTITION $GROUP" >> "$SITE/seen"')
    site.run("here")
    seen = sorted((site.beside / "seen").read_text().splitlines())
    assert seen == [*(f"{n} 1 debug " for n in range(4)), *(f"{n} 2 short big" for n in (4, 5))]
    assert site.counted()["sbatch"] == 2
