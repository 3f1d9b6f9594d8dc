"""`kill -9` at any moment: of the controller, of the runner, of both."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from typing import Any, Set, Tuple

import pytest

MOMENTS = 51
KILLS = 2
"""How often one sweep is killed before it may end."""
SPAN_S = 0.9
"""How long after a command began the last moment is: a sweep's whole life on a slow machine, and a little more."""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_at_a_random_moment(yard: Any, moment: int) -> None:
    """Wherever kill -9 strikes, and strikes again, no record is lost, nothing lives twice, and complete ends it."""
    choice = random.Random(moment)
    target = ("controller", "runner", "both")[moment % 3]
    recorded: Set[Tuple[int, int]] = set()
    words = ("run", "--sweep-id", "s", "--sources", "local:3")
    for _ in range(KILLS):
        controller = yard.start(*words)
        # The moments lie where something happens: from the first file of the sweep on.
        yard.until(yard.begun)
        with contextlib.suppress(Exception):
            controller.wait(choice.uniform(0.0, SPAN_S))
        runners = yard.runners()
        if target in ("controller", "both"):
            _kill(controller.pid)
        if target in ("runner", "both"):
            for runner in runners:
                _kill(runner)
        if target == "runner":
            assert yard.end(controller) in (0, 1), yard.said(controller)
        else:
            controller.wait()
        if yard.begun():
            words = ("complete", "s")
            if yard.state().total:
                recorded |= yard.check_truth()
    code, said = yard.hsm(*words)
    assert code == 1, said
    yard.check_end(recorded, exact=target == "controller")
