"""What a runner tells of its machine, and what of that is believed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from hsm_core.runner.runner import machine_facts
from hsm_core.toolkit.vitals import read_vitals


def test_a_machine_says_how_it_is(tmp_path: Path) -> None:
    """Load, cores, room on the disk of the sweep: numbers, cheap to know."""
    before = time.time()
    vitals = read_vitals(machine_facts(os.fsencode(tmp_path)), before, 0.0)
    assert vitals["disk_free_mb"] > 0
    assert vitals["cpus"] >= 1
    assert vitals["load_1m"] >= 0.0
    assert abs(vitals["clock_skew_s"]) < 5.0


def test_a_disk_that_is_gone_hides_only_itself() -> None:
    """What cannot be learned is left out; the clock is still told."""
    assert "disk_free_mb" not in machine_facts(b"/nowhere/at/all")
    assert "time" in machine_facts(b"/nowhere/at/all")


def test_skew_is_the_difference_in_the_middle_of_the_way() -> None:
    """A clock five seconds ahead, asked over a line of two seconds."""
    assert read_vitals({"time": 1006.0}, 1000.0, 2.0) == {"latency_s": 2.0, "clock_skew_s": 5.0}


@pytest.mark.parametrize("facts", [None, [], "x", {"load_1m": "much", "time": float("nan"), "cpus": True, "odd": 1}])
def test_nonsense_is_left_out(facts: Any) -> None:
    """An old runner, or a strange one, leaves the latency, which is measured here."""
    assert read_vitals(facts, 1000.0, 0.25) == {"latency_s": 0.25}
