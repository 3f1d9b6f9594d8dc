"""Plugins that watch a sweep, and plugins that compare the project's copies."""

from __future__ import annotations

import types
from typing import Any, Callable, Dict, List, Optional

import pytest

from hsm_core.contract import SourceContext, SourceSpec, SyncReport, SyncRequest, SyncVerdict
from hsm_core.hookspecs import hookimpl
from hsm_core.plugins import Plugins, from_modules
from hsm_core.run.observers import Observers
from hsm_core.run.worker import Failed, Message, Opened, Said, Worker
from hsm_core.toolkit import LocalHost, PoolSource


def _plugins(**hooks: Callable[..., Any]) -> Plugins:
    modules = {}
    for number, (name, function) in enumerate(hooks.items()):
        module = types.ModuleType(f"watching_{number}")
        setattr(module, name.split("__")[0], hookimpl(function))
        modules[name] = module
    return from_modules(modules)


def test_observers_see_every_event_in_order_and_one_that_raises_is_named_once() -> None:
    """A tracker that fails costs a sweep one line, and the other trackers nothing."""
    seen: List[int] = []
    lines: List[str] = []

    def bad(event: Dict[str, Any]) -> None:
        event.clear()  # nor may it change what others see
        raise ValueError("no network")

    observers = Observers([("bad", bad), ("good", lambda event: seen.append(event["t"]))], lines.append)
    observers.take([{"e": "note", "t": 1}, {"e": "note", "t": 2}])
    observers.take([{"e": "note", "t": 3}])
    observers.flush(0.0, force=True)
    assert seen == [1, 2, 3]
    assert lines == ["plugin bad failed on an event: ValueError: no network"]


def test_sync_reports_come_worst_first_and_a_verifier_that_fails_has_not_verified() -> None:
    """Could not verify is never in sync."""

    def fails(source: object, request: SyncRequest) -> SyncReport:
        raise OSError("no such host")

    plugins = _plugins(
        hsm_verify_sync__same=lambda source: SyncReport("git", SyncVerdict.IN_SYNC, "same commit"),
        hsm_verify_sync__fails=fails,
        hsm_verify_sync__differs=lambda request: SyncReport("content", SyncVerdict.DIFFERS, request.project_dir),
        hsm_verify_sync__silent=lambda: None,
    )
    reports = plugins.verify_sync(PoolSource(LocalHost(), SourceSpec("x", "x")), SyncRequest("here"))
    assert [report.verdict for report in reports] == [
        SyncVerdict.DIFFERS,
        SyncVerdict.UNVERIFIED,
        SyncVerdict.IN_SYNC,
    ]
    assert reports[0].detail == "here"
    assert "no such host" in reports[1].detail


class _Witness(PoolSource):
    """A source that remembers what it was opened with."""

    opened_at: Optional[str] = None

    def open(self, context: SourceContext) -> None:
        super().open(context)
        self.opened_at = context.remote_project_dir


def _open(plugins: Plugins, tmp_path: Any, source: Optional[PoolSource] = None, **options: Any) -> List[Message]:
    """The messages of a worker that opens a source, up to the one that says whether it may be used."""
    import queue

    inbox: queue.Queue[Message] = queue.Queue()
    spec = SourceSpec("x", "x", options=options)
    context = SourceContext("s", str(tmp_path), str(tmp_path), spec)
    source = source or PoolSource(LocalHost(), spec)
    worker = Worker(source, context, plugins, inbox.put, lambda attempt: NotImplemented, {}, 60.0, verify=True)
    worker.start()
    messages: List[Message] = []
    while not messages or isinstance(messages[-1], Said):
        messages.append(inbox.get(timeout=30))
    worker.close(30.0)
    return messages


def test_a_source_whose_copy_of_the_project_differs_is_not_used(tmp_path: Any) -> None:
    """The refusal names the verifier and the remedy."""
    report = SyncReport("content", SyncVerdict.DIFFERS, "train.py is older there", "hsm sync --target ssh:server1")
    (failed,) = _open(_plugins(hsm_verify_sync=lambda: report), tmp_path)
    assert isinstance(failed, Failed)
    assert failed.call == "open"
    assert failed.reason == (
        "open: its copy of the project differs: content: train.py is older there (hsm sync --target ssh:server1)"
    )


def test_a_differing_branch_only_warns(tmp_path: Any) -> None:
    """What is no more than a warning is said, and the source is used."""
    report = SyncReport("git", SyncVerdict.WARNING, "branch main here, dev there")
    said, opened = _open(_plugins(hsm_verify_sync=lambda: report), tmp_path)
    assert isinstance(said, Said)
    assert said.line == "git: branch main here, dev there"
    assert isinstance(opened, Opened)


@pytest.mark.parametrize(("options", "there"), [({}, None), ({"project": "/data/p"}, "/data/p")])
def test_the_project_is_where_it_is_configured_or_where_it_is_here(tmp_path: Any, options: Any, there: Any) -> None:
    """Without a plugin that knows better, `project` of a source is the folder that its tasks run in."""
    source = _Witness(LocalHost(), SourceSpec("x", "x"))
    (opened,) = _open(_plugins(), tmp_path, source, **options)
    assert isinstance(opened, Opened)
    assert source.opened_at == there


def test_a_plugin_locates_the_project_before_the_source_is_opened(tmp_path: Any) -> None:
    """Source and verifiers are told the same place; the source's host can be asked for it already."""
    asked: List[Any] = []

    def locate(source: Any, request: SyncRequest) -> str:
        asked.append((source.opened_at, source.host().name, request.project_dir))
        return "/there"

    def verify(request: SyncRequest) -> None:
        asked.append(request.remote_project_dir)

    source = _Witness(LocalHost(), SourceSpec("x", "x"))
    _open(_plugins(hsm_locate_project=locate, hsm_verify_sync=verify), tmp_path, source)
    assert asked == [(None, "local", str(tmp_path)), "/there"]
    assert source.opened_at == "/there"


def test_a_source_whose_project_cannot_be_located_is_not_used(tmp_path: Any) -> None:
    """A host that cannot be reached is tried again, each time told in one line, and the source is given up."""

    def locate() -> str:
        raise OSError("server1: no route to host")

    *said, failed = _open(_plugins(hsm_locate_project=locate), tmp_path)
    assert [type(message) for message in said] == [Said, Said]
    assert isinstance(failed, Failed)
    assert failed.reason == "open: OSError: server1: no route to host"
