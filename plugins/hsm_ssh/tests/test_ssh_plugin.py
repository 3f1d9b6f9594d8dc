"""What the package `hsm_ssh` offers to the core."""

from __future__ import annotations

import subprocess
import sys

import jsonschema
import pytest
from hsm_ssh.plugin import OPTIONS_SCHEMA, hsm_host_types, hsm_source_types

from hsm_core.contract import SourceSpec


def test_offers_a_host_and_a_source():
    """Both are of kind `ssh`, neither is a batch system, and their schemas are valid ones."""
    (host,), (source,) = hsm_host_types(), hsm_source_types()
    assert (host.kind, source.kind, source.family) == ("ssh", "ssh", "")
    for schema in (host.options_schema, source.options_schema):
        jsonschema.Draft7Validator.check_schema(schema)


def test_a_host_is_not_reached_before_it_is_used():
    """Making hosts and sources costs nothing, whatever they are called."""
    (offered,) = hsm_source_types()
    source = offered.factory(SourceSpec("ssh", "no-such-host.invalid"))
    host = source.host()
    assert (host.name, host.is_here) == ("no-such-host.invalid", False)
    host.close()


def test_costs_nothing_until_it_is_used():
    """paramiko and what it brings are not imported with the plugin."""
    code = "import hsm_ssh.plugin, sys; sys.exit('paramiko' in sys.modules or 'cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "options",
    [{}, {"host": "me@host", "project": "~/p", "gpus": "auto"}, {"scratch": "/data/x", "python": "/opt/python3"}],
)
def test_good_options(options):
    """Options that the guide names are taken."""
    jsonschema.validate(options, OPTIONS_SCHEMA)


@pytest.mark.parametrize("options", [{"user": "me"}, {"port": 22}, {"keepalive_interval": 0}, {"config_file": "a\nb"}])
def test_bad_options(options):
    """What belongs into the configuration of ssh, or means nothing, is refused before anything starts."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(options, OPTIONS_SCHEMA)
