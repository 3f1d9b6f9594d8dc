"""What the package `hsm_slurm` offers to the core."""

from __future__ import annotations

import jsonschema
import pytest
from hsm_slurm.plugin import OPTIONS_SCHEMA, hsm_source_types


def test_offers_one_kind_of_batch_system():
    """The kind is `slurm`, `hpc` finds it, and its schema is a valid one."""
    (offered,) = hsm_source_types()
    assert (offered.kind, offered.family, offered.api) == ("slurm", "batch", (1, 0))
    jsonschema.Draft7Validator.check_schema(offered.options_schema)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"partition": "gpu,long", "account": "lab"},
        {"constraint": "a&(b|c)"},
        {"tasks_per_job": 10, "poll": 30, "modules": ["cuda/12"]},
    ],
)
def test_good_options(options):
    """Options that the guide names are taken."""
    jsonschema.validate(options, OPTIONS_SCHEMA)


@pytest.mark.parametrize(
    "options", [{"partiton": "gpu"}, {"partition": ""}, {"account": "a\nb"}, {"qos": 1}, {"setup": ["a\nb"]}]
)
def test_bad_options(options):
    """A misspelt option, or a value that could not be a directive, is refused before anything starts."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(options, OPTIONS_SCHEMA)
