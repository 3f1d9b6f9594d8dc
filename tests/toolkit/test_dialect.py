"""What a dialect is asked for, and what one that says nothing of a matter gets."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

import pytest

from hsm_core.contract import Completed, SourceContext, SourceSpec
from hsm_core.errors import NoSourceError
from hsm_core.testing.fake_cluster import FakeCluster, FakeDialect, FakeHost
from hsm_core.toolkit import BatchSource
from hsm_core.toolkit.batch_scheduler import Scheduler
from hsm_core.toolkit.budget import CallBudget
from hsm_core.toolkit.dialect import Dialect, JobRequest, Output, script_text


class Flavoured(FakeDialect):
    """A scheduler that comes in flavours, told apart by what it prints."""

    def version(self) -> Sequence[str]:
        """`fake-ping` will do."""
        return ["fake-ping"]

    def for_version(self, output: Output) -> Optional[Dialect]:
        """There is but one, and it answers."""
        return Sweet() if output.returncode == 0 else None


class Sweet(FakeDialect):
    """One of the flavours, which starts jobs in another folder."""

    release = "Sweet 1.0"

    def prologue(self, job: JobRequest) -> Sequence[str]:
        """Go where the job is to run."""
        return [f"cd {job.folder}"]


def test_the_flavour_is_asked_for_and_spoken(cluster: FakeCluster, tmp_path: Path) -> None:
    """An open source knows what it talks to, says so, and speaks its words from then on."""
    spec = SourceSpec("fake", "main")
    source = BatchSource(FakeHost(cluster), Flavoured(), spec)
    assert source.capabilities().about == ""
    source.open(SourceContext("s", str(tmp_path), str(tmp_path), spec))
    assert source.capabilities().about == "Sweet 1.0"
    source.close()


def test_a_command_of_another_scheduler_is_told_at_once(cluster: FakeCluster, tmp_path: Path) -> None:
    """A command that only has the name is no scheduler, and a source is not opened on it."""
    cluster.spoil["ping"] = lambda done: Completed(2, b"", b"usage: ping HOST")
    spec = SourceSpec("fake", "main")
    with pytest.raises(NoSourceError, match="is not that of Fake"):
        BatchSource(FakeHost(cluster), Flavoured(), spec).open(SourceContext("s", str(tmp_path), str(tmp_path), spec))


class Wordy(FakeDialect):
    """A scheduler whose listings can be had in two forms."""

    def queue(self, user: str, names: Sequence[str]) -> Sequence[str]:
        """The rich form, which is broken here: there is no such command."""
        return ["echo", "rich", "{"]

    def plainer(self, command: Sequence[str]) -> Optional[Sequence[str]]:
        """The plain form."""
        return ["fake-queue"] if "rich" in command else None


def test_an_answer_that_cannot_be_read_is_asked_for_in_plain_words(cluster: FakeCluster, tmp_path: Path) -> None:
    """Once, and only where there is a plainer form."""
    budget = CallBudget(tmp_path / "budget", 1_000_000)
    listing = Scheduler(FakeHost(cluster), Wordy(), budget).queue([])
    assert listing.complete
    assert cluster.count("fake-queue") == 1


def test_a_prologue_comes_before_what_a_person_wrote() -> None:
    """What the scheduler does not do by itself is done before modules and setup."""
    job = JobRequest(name="n", command=("true",), folder="/p", output="/o", setup=("echo setup",))
    lines = script_text(Sweet(), job).splitlines()
    assert lines.index("cd /p") < lines.index("echo setup")


def test_orders_that_are_not_obeyed() -> None:
    """Without words of its own a dialect believes the exit code, and quotes the last line."""
    assert FakeDialect().read_order(Output(0, "", "chatter")) == ""
    assert FakeDialect().read_order(Output(3, "", "one\ntwo\n")) == "ended with 3: two"
    assert FakeDialect().read_order(Output(3, "", "")) == "ended with 3: no message"
