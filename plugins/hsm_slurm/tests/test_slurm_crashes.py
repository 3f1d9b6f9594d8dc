"""kill -9 of the controller, on Slurm."""

from __future__ import annotations

from hsm_core.testing.batch import CrashesOfAController


class TestCrashes(CrashesOfAController):
    """At each step of a submission, and at random."""
