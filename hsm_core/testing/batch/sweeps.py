"""Whole sweeps as a person runs them: every task is run once, and the scheduler is asked politely."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from .site import BatchSite

__all__ = ["SweepsOnACluster"]

_GUIDE = {"learning_rate": [0.001, 0.01, 0.1], "batch_size": [32, 64, 128], "hidden_dim": [64, 128, 256]}


class SweepsOnACluster:
    """Tests of a cluster on which nothing goes wrong."""

    @pytest.mark.parametrize("word", ["KIND", "hpc", "KIND:here:16", "here"])
    def test_the_guides_sweep(self, site: BatchSite, word: str) -> None:
        """Twenty-seven tasks are one array, by whatever name the cluster is called, and each runs once."""
        if word in ("KIND", "hpc"):
            site.leave_undescribed()
        (site.root / "sweeps" / "sweep_config.yaml").write_text(json.dumps({"grid": _GUIDE}))
        site.run(word.replace("KIND", site.cluster.kind))
        assert site.submitted() == 1
        (script,) = site.scripts()
        assert f"{site.cluster.array_directive}0-26{'%16' if word.endswith('16') else ''}\n" in script

    def test_a_single_task_is_a_plain_job(self, site: BatchSite) -> None:
        """There is no array of one."""
        site.declare(1)
        site.run()
        (script,) = site.scripts()
        assert site.cluster.array_directive not in script

    def test_packed_tasks_share_jobs(self, site: BatchSite) -> None:
        """With `tasks_per_job` one element runs several tasks after one another."""
        site.configure(tasks_per_job=10)
        site.declare(45)
        site.run("here")
        assert len({site.job_of(index) for index in range(45)}) == 5

    def test_queries_do_not_grow_with_tasks(self, site: BatchSite) -> None:
        """One query an interval for a hundred tasks."""
        site.declare(100)
        site.behave("sleep 2")
        began = time.monotonic()
        site.run()
        took = time.monotonic() - began
        submit, ask, *_ = site.cluster.commands
        counted = site.counted()
        assert counted[submit] == 1
        assert counted[ask] <= took / 2 + 8, (counted, took)

    def test_slots_are_kept(self, site: BatchSite) -> None:
        """No more tasks run at once than the source has slots, over several submissions."""
        site.declare(7)
        site.behave('echo s >> "$SITE/live"; sleep 0.5; echo e >> "$SITE/live"')
        site.run("here:2")
        alive = most = 0
        for word in (site.beside / "live").read_text().split():
            alive += 1 if word == "s" else -1
            most = max(most, alive)
        assert most <= 2

    def test_ends_are_told_truly(self, site: BatchSite) -> None:
        """Exit codes, signals and time limits are in the records, and in the counts."""
        site.declare(5)
        site.behave("case $n in 1) exit 3;; 2) kill -SEGV $$;; 3) sleep 60;; esac")
        code, said = site.end(site.begin("here", "--timeout", "2", "--keep-going"))
        assert code == 1, said
        assert site.counts("completed", "failed", "timeout") == (2, 2, 1), site.facts()["counts"]
        assert "exit_code: 3" in site.record(1)
        assert "signal: 11" in site.record(2)

    def test_nothing_of_an_outer_job_leaks(self, site: BatchSite, monkeypatch: pytest.MonkeyPatch) -> None:
        """A controller may itself run in a job: its variables change neither scripts nor tasks."""
        monkeypatch.setenv(site.cluster.job_variable, "12345")
        site.declare(2)
        site.run()
        assert "12345" not in {site.job_of(0), site.job_of(1)}

    def test_a_project_in_an_odd_folder(self, site: BatchSite) -> None:
        """Blanks, quotes and a percent sign in the project's path, and all of it still runs."""
        odd = site.root.parent / "a b'c\"d%j $HOME;é"
        os.rename(site.root, odd)
        site.root = odd
        site.declare(3)
        site.run()

    def test_where_tasks_run(self, site: BatchSite) -> None:
        """In the project's folder, with the path and the file mask of who submits, wherever jobs begin."""
        site.declare(2)
        site.behave(
            'echo "$PWD|$(umask)" > "$SITE/where.$n"; case ":$PATH:" in *":$SITE/bin:"*) touch "$SITE/path";; esac'
        )
        site.run()
        mask = os.umask(0)
        os.umask(mask)
        assert (site.beside / "where.1").read_text() == f"{site.root}|{mask:04o}\n"
        assert (site.beside / "path").exists()

    def test_setup_in_a_batch_shell(self, site: BatchSite) -> None:
        """Setup lines run in the job, `~` is the home folder, and tasks get the environment that they leave behind."""
        site.change_project(setup=["export WHERE=~", 'export MODE="a b"'])
        site.declare(2)
        site.behave('echo "$WHERE|$MODE" > "$SITE/setup.$n"')
        site.run("here")
        assert (site.beside / "setup.1").read_text() == f"{os.path.expanduser('~')}|a b\n"

    def test_modules_in_a_batch_shell(self, site: BatchSite, tmp_path: Path) -> None:
        """The command `module` that a setup line brings is found; what it loads reaches the tasks."""
        (tmp_path / "modules" / "init").mkdir(parents=True)
        (tmp_path / "modules" / "init" / "bash").write_text('module() { [ "$2" != none ] && export LOADED="$2"; }\n')
        site.change_project(setup=[f'. "{tmp_path}/modules/init/bash"', "module load cuda/12.2"])
        site.declare(2)
        site.behave('echo "$LOADED" > "$SITE/loaded.$n"')
        site.run("here")
        assert (site.beside / "loaded.1").read_text() == "cuda/12.2\n"

    def test_a_module_that_is_not_there(self, site: BatchSite) -> None:
        """The job ends before its task begins: after another try the task is refused, with the job's last line."""
        site.configure(modules=["none"], lost_grace=1)
        site.declare(1)
        code, said = site.end(site.begin("here"))
        assert code == 1, said
        assert site.ledger() == []
        assert "module: command not found" in said
        assert site.submitted() == 2

    def test_setup_that_fails_is_said(self, site: BatchSite) -> None:
        """The tasks fail, and the person reads what the line said."""
        site.change_project(setup=["echo no such module >&2; exit 4"])
        site.declare(2)
        code, said = site.end(site.begin("here"))
        assert code != 0
        assert "no such module" in said
        assert site.ledger() == []
