"""kill -9 of the controller, at each step of a submission and at random: no task is lost, none runs twice."""

from __future__ import annotations

import random
import signal
import subprocess
from typing import Callable, List

import pytest

from .site import BatchSite

__all__ = ["CrashesOfAController"]

# Kills its own process at one step, `FAULT_AT`: no line of hsm knows of it.
_PLUGIN = """\
import os, signal
from hsm_core.store.journal import writer
from hsm_core.toolkit.local_host import LocalHost

step = os.environ.get("FAULT_AT", "")
WATCHED = ("mkdir", os.environ.get("FAULT_SUBMIT", ""))

def reached(name):
    if name == step:
        os.kill(os.getpid(), signal.SIGKILL)

def around(what, call, *args, **more):
    reached("before " + what)
    done = call(*args, **more)
    reached("after " + what)
    return done

put, run, write_all = LocalHost.put, LocalHost.run, writer.write_all

def put_file(self, data, path, **more):
    name = os.path.basename(os.fspath(path))
    return around("script" if name.endswith(".sh") else name, put, self, data, path, **more)

def run_command(self, argv, **more):
    name = next((word for word in argv if word in WATCHED), "")
    return around("submit" if name == WATCHED[1] else name, run, self, argv, **more)

def write_event(fd, data, offset=0):
    for event in ("assigned", "accepted"):
        if b'{"e":"%s"' % event.encode() in data:
            return around(event, write_all, fd, data, offset)
    return write_all(fd, data, offset)

LocalHost.put, LocalHost.run, writer.write_all = put_file, run_command, write_event
"""

_STEPS = [
    f"{when} {what}"
    for what in ("assigned", "mkdir", "plan.json", "tasks.jsonl", "script", "submit", "accepted")
    for when in ("before", "after")
]
_AT_RANDOM = 10
_SEED = 20261123
_KILL = "kill -KILL $(ps -o ppid= -p $$)"
"""`kill -9` of the controller, by a command that it runs."""


class CrashesOfAController:
    """Tests of controllers that die. They take a fixture `make_sites` besides: `make_sites("cluster", 3)`."""

    @pytest.mark.slow
    def test_at_each_step_of_a_submission(self, make_sites: Callable[..., List[BatchSite]]) -> None:
        """Before and after each file, each call and each line of the journal: `hsm complete` finishes the sweep."""
        sites = make_sites("cluster", len(_STEPS))
        begun = []
        for site, step in zip(sites, _STEPS):
            site.declare(3)
            env = {"FAULT_AT": step, "FAULT_SUBMIT": site.cluster.commands[0], "PYTHONPATH": _install(site)}
            begun.append(site.start("run", "--sources", "here", "--sweep-id", "s", env=env))
        for site, process, step in zip(sites, begun, _STEPS):
            assert process.wait(120) == -signal.SIGKILL, (step, site.said(process))
        again = [site.start("complete", "s") for site in sites]
        for site, process in zip(sites, again):
            site.completes(process)
            assert site.submitted() == 1, "what the scheduler has, or was never told, is not submitted twice"
            assert {attempt for _, attempt in site.ledger()} == {1}

    @pytest.mark.parametrize("when", ["before", "during", "after"])
    def test_around_the_submission(self, site: BatchSite, when: str) -> None:
        """Killed by the command that submits, before it, while it was taken and not yet answered, or right after."""
        site.declare(8)
        site.behave("sleep 1")
        site.break_command(
            site.cluster.commands[0],
            {
                "before": f"{_KILL}; exit 1",
                "during": f'real "$@" >/dev/null; {_KILL}; exit 0',
                "after": f'real "$@"; ( sleep 0.2; {_KILL} ) & exit 0',
            }[when],
        )
        process = site.begin()
        assert process.wait(60) == -signal.SIGKILL, site.said(process)
        site.completes(site.start("complete", "s"))
        assert site.submitted() == (2 if when == "before" else 1)

    @pytest.mark.slow
    def test_at_random(self, site: BatchSite) -> None:
        """Killed again and again while a sweep runs, and nothing is lost or doubled."""
        rng = random.Random(_SEED)
        site.declare(48)
        site.behave("sleep 3")
        process = site.begin("here:8")
        site.until((site.layout.private / "settings.json").exists)  # what is killed before has declared nothing
        for _ in range(_AT_RANDOM):
            try:
                process.wait(rng.uniform(0.2, 1.8))
                raise AssertionError(f"it ended by itself: {site.said(process)}")
            except subprocess.TimeoutExpired:
                site.kill(process)
            process = site.start("complete", "s")
        site.completes(process)

    def test_leaving_and_coming_back(self, site: BatchSite) -> None:
        """The controller is gone while all of its jobs end: what they left is taken from their records."""
        site.declare(6)
        site.behave(site.gate)
        process = site.begin()
        site.began(6)
        site.kill(process)
        site.open_gate()
        site.until(lambda: not site.cluster.jobs(), "the queue is empty")
        site.completes(site.start("complete", "s"))
        assert site.submitted() == 1


def _install(site: BatchSite) -> str:
    """Install the plugin that kills, for the commands that are told where it is."""
    place = site.beside / "installed"
    info = place / "hsm_fault-1.dist-info"
    info.mkdir(parents=True)
    (place / "hsm_fault_of_a_test.py").write_text(_PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hsm-fault\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[hsm]\nfault = hsm_fault_of_a_test\n")
    return str(place)
