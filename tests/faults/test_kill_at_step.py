"""A controller that dies at each step of a submission: before, in the middle of and after each write, each call.

What dies there is the real command. A plugin that only these tests install kills its own process at the step that it is
told; no line of hsm knows of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PLUGIN = '''\
"""Kills its own process at one step: `FAULT_AT` is WHEN:WHAT:NUMBER, as in before:assigned:2."""
import os, signal
from hsm_core.hookspecs import hookimpl
from hsm_core.store import lease, sweeps
from hsm_core.store.journal import writer

when, what, number = os.environ["FAULT_AT"].split(":")
left = int(number)

def reached(here, name):
    global left
    if (here, name) == (when, what):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

write_all = writer.write_all

def torn_write_all(fd, data, offset=0):
    for event in EVENTS:
        if b'{"e":"%s"' % event.encode() in data:
            reached("before", event)
            if (when, what) == ("torn", event) and left == 1:
                write_all(fd, data[: len(data) - 7], offset)
            reached("torn", event)
    write_all(fd, data, offset)
    for event in EVENTS:
        if b'{"e":"%s"' % event.encode() in data:
            reached("after", event)

EVENTS = ("created", "opened", "joined", "assigned", "accepted", "started", "ended", "closed")
writer.write_all = torn_write_all

create_exclusive = lease.create_exclusive

def hold(path, data):
    reached("before", "lease")
    create_exclusive(path, data)
    reached("after", "lease")

lease.create_exclusive = hold
rename = os.rename

def rename_sweep(source, target):
    reached("before", "making")
    rename(source, target)
    reached("after", "making")

sweeps.os.rename = rename_sweep

@hookimpl(hookwrapper=True)
def hsm_submit(source, request):
    reached("before", "submit")
    yield
    reached("after", "submit")

@hookimpl(hookwrapper=True)
def hsm_poll(source, handles):
    reached("before", "poll")
    yield
    reached("after", "poll")
'''

STEPS = [
    *(f"{when}:{what}:1" for what in ("making", "lease") for when in ("before", "after")),
    *(f"{when}:{event}:1" for event in ("created", "joined") for when in ("before", "torn", "after")),
    *(
        f"{when}:{event}:{number}"
        for event in ("assigned", "accepted", "started", "ended")
        for when in ("before", "torn", "after")
        for number in (1, 3)
    ),
    *(f"{when}:{call}:{number}" for call in ("submit", "poll") for when in ("before", "after") for number in (1, 2)),
    *(f"{when}:closed:1" for when in ("before", "torn", "after")),
]


@pytest.fixture
def faulty(yard: Any) -> Any:
    """A yard whose commands find one more plugin installed."""
    site = yard.beside / "site"
    info = site / "hsm_fault-1.dist-info"
    info.mkdir(parents=True)
    (site / "hsm_fault_of_a_test.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hsm-fault\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[hsm]\nfault = hsm_fault_of_a_test\n")
    yard.site = site
    return yard


def with_fault(site: Path, step: str) -> Any:
    """The environment in which a command dies at a step."""
    import os

    paths = [str(site), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {"PYTHONPATH": os.pathsep.join(path for path in paths if path), "FAULT_AT": step}


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_of_a_submission(faulty: Any, step: str) -> None:
    """A controller that dies there, and the next one that dies there again, cost nothing: every task runs once."""
    faulty.declare(12)
    recorded = set()
    words = ("run", "--sweep-id", "s", "--sources", "local:3")
    for _ in range(2 if step.endswith(":1") else 1):
        code, said = faulty.hsm(*words, env=with_fault(faulty.site, step))
        assert code in (-9, 1), said
        if faulty.begun():
            words = ("complete", "s")
        if faulty.state().total:
            recorded |= faulty.check_truth()
    code, said = faulty.hsm(*words)
    assert code == 1, said
    faulty.check_end(recorded, exact=True)


def test_the_steps_are_reached(faulty: Any) -> None:
    """The plugin that kills is loaded and does kill, else the tests above would prove nothing."""
    code, _ = faulty.hsm("run", "--sweep-id", "s", env=with_fault(faulty.site, "after:ended:1"))
    assert code == -9
    assert faulty.facts()["state"] == "interrupted"
