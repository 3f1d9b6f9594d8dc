"""A paused sweep on a real Slurm: its queue is empty, and what runs goes on."""

from __future__ import annotations

import subprocess


def test_a_pause_takes_the_queue_back_and_lets_run_what_runs(site):
    """Paused, no job of the sweep waits at Slurm and none that runs is ended; resumed, each task has run once."""
    site.configure(tasks_per_job=1)
    site.declare(200)
    site.behave(site.gate)
    controller = site.begin()
    site.until(lambda: site.ledger() and site.facts()["counts"]["running"] == len(site.ledger()) < 200)
    code, said = site.hsm("pause", "s")
    assert code == 0, said
    site.until(lambda: site.facts()["counts"]["pending"] == 200 - site.facts()["counts"]["running"])
    running = len(site.ledger())
    assert site.facts()["state"] == "paused"
    site.open_gate()
    site.until(lambda: site.facts()["counts"]["completed"] == running)
    site.until(lambda: not subprocess.run(["squeue", "-h"], stdout=subprocess.PIPE, check=True).stdout)
    assert len(site.ledger()) == running
    code, said = site.hsm("resume", "s")
    assert code == 0, said
    code, said = site.end(controller)
    assert code == 0, said
    assert sorted(entry[0] for entry in site.ledger()) == list(range(200))
