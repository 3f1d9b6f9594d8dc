"""docs/guides/results.md is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_core.report.rows import FIXED
from hsm_core.store.views import write_metadata
from hsm_core.testing.recorded import RecordedSweep

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("column", FIXED)
def test_every_fixed_column_is_explained(column: str) -> None:
    """The columns that every export has are in the guide's table."""
    assert f"`{column}`" in GUIDE


def test_every_file_of_a_sweep_is_explained(tmp_path: Path) -> None:
    """Whatever the views leave in the sweep's folder is in the guide's list, and nothing else is."""
    sweep = RecordedSweep(tmp_path, total=1)
    write_metadata(sweep.layout, {})
    sweep.play(0, state="failed", exit_code=1)
    sweep.commit({"e": "source", "t": sweep.now, "source": "local:local", "health": "degraded", "reason": "slow"})
    sweep.close()
    root = sweep.layout.root
    found = {str(path.relative_to(root)) for path in root.rglob("*.*") if ".hsm" not in path.parts}
    found = {path.replace("sources/local.log", "sources/NAME.log") for path in found if "." in Path(path).name}
    listed = {line.split("`")[1] for line in GUIDE.splitlines() if line.startswith("| `") and "." in line.split("`")[1]}
    assert found <= listed
    assert {path for path in listed if path.startswith("logs/")} <= {*found, "logs/controller.log"}
