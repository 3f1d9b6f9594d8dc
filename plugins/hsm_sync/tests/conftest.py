"""A project, and a machine whose files are elsewhere: this one, with another home."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import pytest
from hsm_sync.push import plan_push
from hsm_sync.verify import locate, verify

from hsm_core.contract import (
    Channel,
    Completed,
    PushPlan,
    PushRequest,
    Source,
    SourceSpec,
    SyncReport,
    SyncRequest,
)
from hsm_core.toolkit import LocalHost, PoolSource


class Elsewhere(LocalHost):
    """Commands run here, with another home folder and a locale without letters."""

    name = "server1"
    is_here = False

    def __init__(self, home: Path, python: Optional[str] = None) -> None:
        self.home = home
        self._env = ["env", f"HOME={home}", "LC_ALL=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0"]
        self.calls = 0

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", cwd: Optional[str] = None, timeout_s: float = 60.0
    ) -> Completed:
        self.calls += 1
        return super().run([*self._env, *argv], input=input, cwd=cwd, timeout_s=timeout_s)

    def start(self, argv: Sequence[str], *, cwd: Optional[str] = None, stderr: Optional[str] = None) -> Channel:
        self.calls += 1
        return super().start([*self._env, *argv], cwd=cwd, stderr=stderr)


class Lab:
    """A project here, a machine there, and the plugin between them."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "my project"
        self.home = folder / "home"
        self.home.mkdir()
        self.options: Dict[str, Any] = {}
        self.host: Any = Elsewhere(self.home)
        self.write({"train.py": "print('hello')\n", "lib/model.py": "x = 1\n", "hsm_config.yaml": "project: {}\n"})

    def write(self, files: Mapping[str, Any]) -> None:
        """Put files into the project."""
        for name, text in files.items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))

    @property
    def spec(self) -> SourceSpec:
        """The source as it would be asked for."""
        return SourceSpec("ssh", "server1", None, self.options)

    @property
    def source(self) -> Source:
        """A new source on the machine."""
        return PoolSource(self.host, self.spec)

    def locate(self, sweep_id: str = "") -> Path:
        """Where tasks would run."""
        path = locate(self.source, SyncRequest(str(self.project), self.spec, sweep_id=sweep_id))
        assert path is not None
        return Path(path)

    def reports(self) -> List[SyncReport]:
        """What the verifiers say."""
        source, request = self.source, SyncRequest(str(self.project), self.spec)
        there = locate(source, request)
        reports = verify(source, SyncRequest(str(self.project), self.spec, there))
        assert reports is not None
        return reports

    def content(self) -> SyncReport:
        """What the one of files says."""
        return next(report for report in self.reports() if report.verifier == "content")

    def plan(self, unfinished: Sequence[str] = ()) -> PushPlan:
        """What a push would do."""
        plan = plan_push(self.source, PushRequest(str(self.project), self.spec, tuple(unfinished)))
        assert plan is not None
        return plan

    def push(self, force: bool = False, unfinished: Sequence[str] = ()) -> Path:
        """Push, and say where to."""
        plan = self.plan(unfinished)
        plan.apply(force, lambda sent: None)
        return Path(plan.place)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A project here and a machine elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    return Lab(tmp_path)
