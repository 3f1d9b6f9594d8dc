"""A sweep with an empty store."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_core.store.layout import ProjectLayout, SweepLayout
from hsm_core.store.sweeps import create


@pytest.fixture
def project(tmp_path: Path) -> ProjectLayout:
    """A project's folder that has nothing in it."""
    return ProjectLayout(tmp_path / "my project")


@pytest.fixture
def sweep(project: ProjectLayout) -> SweepLayout:
    """A sweep whose folders were just made."""
    layout = project.sweep("sweep_20231201_143022")
    create(layout)
    return layout
