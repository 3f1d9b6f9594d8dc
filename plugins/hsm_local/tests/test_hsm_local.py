"""What the package `hsm_local` offers to the core."""

from __future__ import annotations

import jsonschema
import pytest
from hsm_local.plugin import DEFAULT_SLOTS, OPTIONS_SCHEMA, hsm_discover_sources, hsm_source_types

from hsm_core.contract import DiscoverRequest, SourceSpec


def test_offers_one_kind():
    """The kind is `local`, it is no batch system, and its schema is a valid one."""
    (offered,) = hsm_source_types()
    assert (offered.kind, offered.family, offered.api) == ("local", "", (1, 0))
    jsonschema.Draft7Validator.check_schema(offered.options_schema)


def test_is_always_discovered():
    """This machine is found without asking anything."""
    assert hsm_discover_sources(DiscoverRequest("/nowhere")) == [SourceSpec("local", "local")]


@pytest.mark.parametrize("spec", [SourceSpec("local", "local"), SourceSpec("local", "local", slots=7)])
def test_slots(spec, tmp_path):
    """`local` alone has four slots on every machine, `local:7` has seven."""
    from hsm_core.contract import SourceContext

    (offered,) = hsm_source_types()
    source = offered.factory(spec)
    source.open(SourceContext("sweep_1", str(tmp_path / "sweep"), str(tmp_path), spec))
    try:
        assert source.capabilities().slots == (spec.slots or DEFAULT_SLOTS)
    finally:
        source.close()


@pytest.mark.parametrize(
    "options", [{}, {"gpus": "auto"}, {"gpus": 2}, {"gpus": [0, "GPU-1a"]}, {"pin_cores": True, "grace": 2.5}]
)
def test_good_options(options):
    """Options that the README names are taken."""
    jsonschema.validate(options, OPTIONS_SCHEMA)


@pytest.mark.parametrize("options", [{"gpu": 1}, {"gpus": "all"}, {"gpus": -1}, {"gpus": [0, 0]}, {"grace": -1}])
def test_bad_options(options):
    """A misspelt option, or a value that means nothing, is refused before anything starts."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(options, OPTIONS_SCHEMA)
