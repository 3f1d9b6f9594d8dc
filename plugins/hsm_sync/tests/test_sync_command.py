"""`hsm sync`, `hsm config validate --check-sync` and the check before a run, as they are typed."""

from __future__ import annotations

import dataclasses
import json
import types
from typing import Any, List, Tuple

import hsm_sync.plugin
import pytest
from click.testing import CliRunner

import hsm_core.plugins
from hsm_core.cli import cli
from hsm_core.contract import Source, SourceContext, SourceSpec, SourceType
from hsm_core.errors import HsmError, NoSourceError
from hsm_core.hookspecs import hookimpl
from hsm_core.plugins import Plugins, from_modules
from hsm_core.run.copies import check_copies
from hsm_core.run.worker import Failed, Message, Opened, Said, Worker
from hsm_core.toolkit import LocalHost, PoolSource


def kinds(lab: Any) -> types.ModuleType:
    """A plugin with the kind `far`, on the machine of the lab, and `near`, on this one."""
    module = types.ModuleType("far")

    def types_() -> List[SourceType]:
        return [
            SourceType("far", lambda spec: PoolSource(lab.host, spec)),
            SourceType("near", lambda spec: PoolSource(LocalHost(), spec)),
            SourceType("dead", lambda spec: PoolSource(Dead(), spec)),
        ]

    vars(module)["hsm_source_types"] = hookimpl(types_)
    return module


class Dead(LocalHost):
    """A machine that cannot be reached."""

    is_here = False

    def run(self, *args: Any, **options: Any) -> Any:
        raise OSError("no route to host")


@pytest.fixture
def plugins(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """The kinds of the lab and hsm_sync, instead of what is installed; we stand in the project."""
    loaded = from_modules({"far": kinds(lab), "sync": hsm_sync.plugin})
    assert [info.error for info in loaded.infos] == ["", ""]
    monkeypatch.setattr(hsm_core.plugins, "load", lambda: loaded)
    monkeypatch.chdir(lab.project)
    lab.write({"hsm_config.yaml": "sources:\n  server1: {kind: far}\n  desk: {kind: near}\n"})
    return loaded


def hsm(*words: str) -> Tuple[int, str]:
    """Type a command: its exit code and what it printed. :raises HsmError: as the program would print it."""
    result = CliRunner().invoke(cli, words)
    if isinstance(result.exception, HsmError):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


@pytest.mark.usefixtures("plugins")
def test_the_plan_is_shown_then_done(lab: Any) -> None:
    """Files, bytes, the place; and the second time there is nothing to send."""
    code, output = hsm("sync", "--target", "far:server1", "--dry-run")
    assert code == 0
    assert "send  train.py" in output
    assert "2 files to send (21 bytes)" in output
    assert not (lab.home / ".hsm").exists()
    code, output = hsm("sync", "--target", "server1")
    assert (code, "far:server1 has the project as it is here." in output) == (0, True)
    assert "nothing to send" in hsm("sync", "--target", "server1")[1]
    assert "uses the files here" in hsm("sync", "--target", "near")[1]


@pytest.mark.usefixtures("plugins")
def test_edits_there_are_refused_by_name(lab: Any) -> None:
    """Exit code 4, the files, the command that goes on; with --force it does, and says where the backup is."""
    hsm("sync", "--target", "server1")
    place = lab.locate()
    (place / "train.py").write_text("edited")
    with pytest.raises(NoSourceError, match=r"1 file changed there since it was sent: train\.py") as caught:
        hsm("sync", "--target", "server1")
    assert caught.value.exit_code == 4
    assert "hsm sync --force --target far:server1" in str(caught.value.hint)
    assert (place / "train.py").read_text() == "edited"
    code, output = hsm("sync", "--force", "--target", "server1")
    assert (code, "is kept in" in output) == (0, True)
    assert (place / "train.py").read_text() == "print('hello')\n"


@pytest.mark.usefixtures("plugins")
def test_one_target_that_fails_keeps_no_other_from_its_files(lab: Any) -> None:
    """Each is tried; the error is of the one that failed."""
    with pytest.raises(NoSourceError, match="dead:x: OSError: no route to host") as caught:
        hsm("sync", "--target", "dead:x,far:server1")
    assert caught.value.hint == "try: hsm test dead:x"
    assert lab.locate().exists()


@pytest.mark.usefixtures("plugins")
def test_the_check_names_what_differs_and_what_mends_it(lab: Any) -> None:
    """Exit code 1 until the project is there; sources with the files here say so."""
    code, output = hsm("config", "validate", "--check-sync")
    assert code == 1
    assert "far:server1: differs\n  content: there is no copy of the project in" in output
    assert "to mend it: hsm sync --target far:server1" in output
    assert "near:desk: uses the files here" in output
    hsm("sync", "--target", "server1")
    code, output = hsm("config", "validate", "--check-sync")
    assert (code, "far:server1: in sync\n  content: 2 files here and in" in output) == (0, True)
    lab.write({"train.py": "1", "new\n.py": "2"})
    code, output = hsm("config", "validate", "--check-sync", "--sources", "server1")
    assert code == 1
    assert "    missing   new\\n.py\n    modified  train.py\n" in output


@pytest.mark.usefixtures("plugins")
def test_the_check_as_json(lab: Any) -> None:
    """Every verdict and every file for programs."""
    hsm("sync", "--target", "server1")
    lab.write({"train.py": "1"})
    code, output = hsm("config", "validate", "--check-sync", "--json")
    far, near = json.loads(output)["sync"]
    assert (code, far["source"], far["verdict"], near["verdict"]) == (1, "far:server1", "differs", "in_sync")
    assert far["reports"][0]["modified"] == ["train.py"]
    assert far["reports"][0]["remedy"] == "hsm sync --target far:server1"


@pytest.mark.usefixtures("plugins")
def test_a_machine_that_cannot_be_reached_is_not_verified(lab: Any) -> None:
    """It says why, and is not in sync."""
    code, output = hsm("config", "validate", "--check-sync", "--sources", "dead:x")
    assert (code, "dead:x: not verified" in output, "no route to host" in output) == (1, True, True)


@pytest.mark.usefixtures("plugins")
def test_with_nothing_to_compare_nothing_is_claimed(lab: Any) -> None:
    """A project that runs here only: the message says how to name a machine."""
    with pytest.raises(NoSourceError, match="nothing to compare") as caught:
        hsm("config", "validate", "--check-sync", "--sources", "near")
    assert "--sources ssh:server1" in str(caught.value.hint)


def test_a_source_that_hangs_keeps_no_other_waiting(lab: Any, plugins: Plugins) -> None:
    """The check of several has one deadline for each."""
    import threading

    release = threading.Event()
    module = types.ModuleType("hanging")
    vars(module)["hsm_locate_project"] = hookimpl(
        lambda source, request: release.wait(30) and None if request.spec.name == "slow" else None
    )
    both = from_modules({"far": kinds(lab), "sync": hsm_sync.plugin, "hanging": module})
    specs = [SourceSpec("far", "slow"), SourceSpec("far", "server1")]
    slow, quick = check_copies(specs, str(lab.project), both, deadline_s=5.0)
    release.set()
    assert "has not answered" in slow.reports[0].detail
    assert "there is no copy" in quick.reports[0].detail


class Witness(PoolSource):
    """A source that remembers where it was told that the project is."""

    there: str = ""

    def open(self, context: SourceContext) -> None:
        self.there = context.remote_project_dir or ""


def opened(lab: Any, plugins: Plugins, source: Source, verify: bool = True) -> List[Message]:
    """What a worker says until the source may be used, or not."""
    import queue

    inbox: queue.Queue[Message] = queue.Queue()
    context = SourceContext(
        "s1", str(lab.project / "sweeps/outputs/s1"), str(lab.project), SourceSpec("far", "server1")
    )
    worker = Worker(source, context, plugins, inbox.put, lambda attempt: NotImplemented, {}, 60.0, verify=verify)
    worker.start()
    messages: List[Message] = []
    while not messages or isinstance(messages[-1], Said):
        messages.append(inbox.get(timeout=60))
    worker.close(30.0)
    return messages


def test_a_run_is_refused_until_the_project_is_there(lab: Any, plugins: Plugins) -> None:
    """Before anything starts: refused with the remedy; then used, in the folder that was verified, which is said."""
    spec = SourceSpec("far", "server1")
    (failed,) = opened(lab, plugins, Witness(lab.host, spec))
    assert isinstance(failed, Failed)
    assert "its copy of the project differs: content: there is no copy of the project in" in failed.reason
    assert "(hsm sync --target far:server1)" in failed.reason
    place = lab.push()
    source = Witness(lab.host, spec)
    said, ready = opened(lab, plugins, source)
    assert isinstance(said, Said)
    assert said.line.startswith("content: 2 files here and in")
    assert isinstance(ready, Opened)
    assert source.there == str(place)
    assert (place.parent / ".hsm" / f"{place.name}.uses" / "sweep.s1").exists()
    lab.write({"train.py": "changed"})
    assert isinstance(opened(lab, plugins, Witness(lab.host, spec))[-1], Failed)
    source = Witness(lab.host, spec)
    assert isinstance(opened(lab, plugins, source, verify=False)[-1], Opened)
    assert source.there == str(place)


def test_what_could_not_be_verified_is_refused(lab: Any, plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that answers the comparison with nonsense runs nothing."""
    lab.push()
    honest = lab.host.run

    def garbled(argv: Any, **options: Any) -> Any:
        done = honest(argv, **options)
        return dataclasses.replace(done, stdout=done.stdout.replace(b'"counts"', b'"count"'))

    monkeypatch.setattr(lab.host, "run", garbled)
    (failed,) = opened(lab, plugins, Witness(lab.host, SourceSpec("far", "server1")))
    assert isinstance(failed, Failed)
    assert "its copy of the project could not be verified: content: could not compare files" in failed.reason
