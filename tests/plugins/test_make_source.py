"""Sources over hosts: a kind that can be driven from elsewhere gets the host that its option names."""

from __future__ import annotations

import types
from typing import Any, List, Tuple

import pytest

from hsm_core.contract import HostType, SourceSpec, SourceType
from hsm_core.errors import NoSourceError
from hsm_core.hookspecs import hookimpl
from hsm_core.plugins import Plugins, from_modules


@pytest.fixture
def plugins() -> Plugins:
    """A kind that takes hosts, one that does not, and a kind of host; what they make says how it was made."""
    module: Any = types.ModuleType("made")
    module.hsm_source_types = hookimpl(
        lambda: [
            SourceType("batch", lambda spec: "here", over_host=lambda spec, host: ("over", host)),  # type: ignore
            SourceType("plain", lambda spec: "here"),  # type: ignore[arg-type,return-value]
        ]
    )
    module.hsm_host_types = hookimpl(
        lambda: [HostType("wire", lambda address, options: (address, options))]  # type: ignore[arg-type,return-value]
    )
    made = from_modules({"made": module})
    assert not made.infos[0].error
    return made


@pytest.mark.parametrize(
    ("kind", "options", "made"),
    [
        ("batch", {}, "here"),
        ("batch", {"host": "wire:me@login1:22", "host_options": {"a": 1}}, ("over", ("me@login1:22", {"a": 1}))),
        ("plain", {"host": "login1"}, "here"),
    ],
)
def test_the_host_is_made_by_its_own_plugin(plugins: Plugins, kind: str, options: Any, made: Tuple[str, Any]) -> None:
    """No plugin imports another: the core brings them together."""
    assert plugins.make_source(SourceSpec(kind, "x", options=options)) == made


def test_a_host_that_nobody_offers_is_told(plugins: Plugins) -> None:
    """With what is there; and one without its kind, with what to write."""
    problems: List[str] = []
    for host in ("pigeon:coop", "login1"):
        with pytest.raises(NoSourceError) as caught:
            plugins.make_source(SourceSpec("batch", "x", options={"host": host}))
        problems.append(f"{caught.value.message} {caught.value.hint}")
    assert "pigeon" in problems[0]
    assert "host: ssh:login1" in problems[1]
