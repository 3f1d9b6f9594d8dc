"""What a dialect is asked for, and what one that says nothing of a matter gets."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from hsm_core.contract import SourceContext, SourceSpec
from hsm_core.testing.fake_cluster import FakeCluster, FakeDialect, FakeHost
from hsm_core.toolkit import BatchSource
from hsm_core.toolkit.dialect import Dialect, JobRequest, Output, script_text


class Flavoured(FakeDialect):
    """A scheduler that comes in flavours, told apart by what it prints."""

    def version(self) -> Sequence[str]:
        """`fake-ping` will do."""
        return ["fake-ping"]

    def for_version(self, output: Output) -> Dialect:
        """There is but one, and it answers."""
        return Sweet() if output.returncode == 0 else self


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
