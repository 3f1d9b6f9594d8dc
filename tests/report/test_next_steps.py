"""What a person is told to type next."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from hsm_core.contract import TaskState
from hsm_core.report.status import next_steps


def facts(state: str, failures: Any = (), **counts: int) -> Dict[str, Any]:
    """Facts of a sweep, as far as they matter here."""
    every = {one.value: counts.get(one.value, 0) for one in TaskState}
    return {"sweep_id": "s", "state": state, "counts": every, "recent_failures": list(failures)}


@pytest.mark.parametrize(
    ("given", "commands"),
    [
        (facts("running"), ["monitor watch s"]),
        (facts("paused", pending=1), ["resume s"]),
        (facts("interrupted", pending=1), ["complete s"]),
        (facts("completed", completed=2), ["export s --format csv"]),
        (facts("completed_with_failures", lost=1, cancelled=1), ["complete s --retry-failed"]),
        (facts("completed_with_failures", completed=1, cancelled=1), ["complete s", "export s --format csv"]),
    ],
)
def test_the_next_command_fits_the_state(given: Dict[str, Any], commands: Any) -> None:
    """Each state has commands that help, and no others."""
    assert [step.partition("  ")[0][4:] for step in next_steps(given)] == commands


@pytest.mark.parametrize(("ran", "word"), [(True, "logs"), (False, "explain")])
def test_who_never_ran_has_printed_nothing(ran: bool, word: str) -> None:
    """The last failure's output is shown if there is any; else why there is none."""
    failure = {"task_id": "task_1", "ran": ran}
    assert next_steps(facts("running", [failure]))[0].startswith(f"hsm {word} s task_1 ")
