"""The source `ssh` keeps every law of sources, over a real sshd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

import pytest
from hsm_ssh.plugin import hsm_source_types
from hsm_ssh.testing.sshd import SshServer

from hsm_core.contract import Source, SourceSpec
from hsm_core.testing.conformance import Rig, SourceConformance


class TestSsh(SourceConformance):
    """Over the real runner, in real processes of what is another machine as far as anybody there can tell."""

    kind = "ssh"
    options: Mapping[str, Any] = {}

    @pytest.fixture(autouse=True)
    def reach(self, server: SshServer, tmp_path: Path) -> None:
        """The machine, and a folder of this test alone on it."""
        self.options = {**server.options, "host": server.name, "scratch": str(tmp_path / "scratch")}

    def make_source(self, spec: SourceSpec) -> Source:
        """As `hsm run --sources ssh:server1:N` makes it."""
        (offered,) = hsm_source_types()
        return offered.factory(spec)

    def kill_agent(self, rig: Rig) -> bool:
        """Kill the runner, on its machine."""
        (runner,) = Path(str(rig.spec.options["scratch"])).glob("*/.hsm/runners/*.json")
        host = rig.source.host()
        assert host is not None
        host.run(["kill", "-KILL", str(json.loads(runner.read_text())["pid"])])
        return True
