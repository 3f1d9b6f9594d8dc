"""What the package `hsm_pbs` offers to the core, and where it finds a cluster."""

from __future__ import annotations

import os

import jsonschema
import pytest
from hsm_pbs.plugin import OPTIONS_SCHEMA, hsm_discover_sources, hsm_source_types

from hsm_core.contract import DiscoverRequest, SourceSpec
from hsm_core.errors import NoSourceError

HERE = DiscoverRequest("/")


def test_offers_one_kind_of_batch_system():
    """The kind is `pbs`, `hpc` finds it, and its schema is a valid one."""
    (offered,) = hsm_source_types()
    assert (offered.kind, offered.family, offered.api) == ("pbs", "batch", (1, 0))
    jsonschema.Draft7Validator.check_schema(offered.options_schema)


@pytest.mark.parametrize("options", [{}, {"queue": "gpu", "account": "lab"}, {"select": "host=n1", "place": "excl"}])
def test_good_options(options):
    """Options that the guide names are taken."""
    jsonschema.validate(options, OPTIONS_SCHEMA)


@pytest.mark.parametrize("options", [{"partition": "gpu"}, {"queue": ""}, {"account": "a\nb"}, {"charge_project": 1}])
def test_bad_options(options):
    """A misspelt option, or a value that could not be a directive, is refused before anything starts."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(options, OPTIONS_SCHEMA)


def test_a_cluster_is_found(cluster):
    """Where the commands are PBS's and the server answers."""
    assert hsm_discover_sources(HERE) == [SourceSpec("pbs", "pbs")]


def test_a_cluster_that_does_not_answer_is_told_of(own_cluster):
    """The person hears that there is one, and why it is not used."""
    own_cluster.stop()
    with pytest.raises(NoSourceError, match=r"there is PBS here, but: .*cannot connect"):
        hsm_discover_sources(HERE)


def test_commands_of_another_scheduler(tmp_path, monkeypatch):
    """Slurm's own `qsub`, `qstat` and `qdel` are no PBS: nothing is found, and nothing complained of."""
    for name in ("qsub", "qstat", "qdel"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'Unknown option: version' >&2; exit 2\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert hsm_discover_sources(HERE) == []
    monkeypatch.setenv("PATH", os.devnull)
    assert hsm_discover_sources(HERE) == []
