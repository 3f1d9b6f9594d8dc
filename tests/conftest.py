"""What holds for every test of the core."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure: tests that are slow show in `--durations`.
settings.register_profile("core", deadline=None)
settings.load_profile("core")
