"""The contract's laws as tests: a source that passes them can be trusted with a sweep.

A plugin's test module holds a subclass, and pytest does the rest:

    from hsm_core.testing.conformance import SourceConformance

    class TestMySource(SourceConformance):
        kind = "mine"

        def make_source(self, spec):
            return MySource(spec)

Needs pytest (`pip install hsm-core[testing]`), which nothing else in the core does. The laws are listed in
`docs/reference/conformance.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

# Before they are imported, so that a law that fails shows the values it compared.
pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("lab", "rig", "delivery", "evidence", "adoption", "ending", "manners"))
)

from .adoption import AdoptionLaws  # noqa: E402
from .delivery import DeliveryLaws  # noqa: E402
from .ending import EndingLaws  # noqa: E402
from .evidence import EvidenceLaws  # noqa: E402
from .lab import Lab, Subject  # noqa: E402
from .manners import MannersLaws  # noqa: E402
from .rig import Rig  # noqa: E402

__all__ = ["Lab", "Rig", "SourceConformance", "Subject"]


class SourceConformance(DeliveryLaws, EvidenceLaws, AdoptionLaws, EndingLaws, MannersLaws):
    """Every law of sources. Subclass it, name it `Test…`, and say in `make_source` how a source is made."""

    @pytest.fixture
    def lab(self, tmp_path: Path) -> Iterator[Lab]:
        """A sweep's folder and a yard; whatever still runs at the end of the test is ended."""
        with Lab(self, tmp_path) as made:
            yield made
