"""A host that answers nonsense, or nothing, or without end: contained, and never taken for in sync."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import pytest
from hsm_sync import courier
from hsm_sync.there.main import MARK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsm_core.contract import Channel, Completed, SyncVerdict
from hsm_core.errors import NoSourceError
from hsm_core.toolkit import LocalHost


class Liar(LocalHost):
    """Says what it is told to say, whatever it is asked."""

    name = "liar"
    is_here = False

    def __init__(self, *outputs: bytes, code: int = 0, errors: bytes = b"") -> None:
        self.outputs = list(outputs)
        self._code = code
        self._errors = errors

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", cwd: Optional[str] = None, timeout_s: float = 60.0
    ) -> Completed:
        output = self.outputs.pop(0) if len(self.outputs) > 1 else self.outputs[0]
        return Completed(self._code, output, self._errors)

    def start(self, argv: Sequence[str], *, cwd: Optional[str] = None, stderr: Optional[str] = None) -> Channel:
        code = f"import sys; sys.stdin.buffer.read(); sys.stdout.buffer.write({self.outputs[-1]!r})"
        return super().start([sys.executable, "-c", code])


def said(**answer: Any) -> bytes:
    """An answer as it goes over the line."""
    return f"{MARK}{json.dumps(answer)}\n".encode()


PLACE = said(path="/there", exists=True)
COUNTS = {"missing": 0, "modified": 0, "stale": 0, "edited": 0, "extra": 0}
GOOD: Dict[str, Any] = {
    **{kind: [] for kind in COUNTS},
    "path": "/there",
    "exists": True,
    "counts": COUNTS,
}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "gives no answer: exit code 0"),
        (b"Welcome to server1!\n", "gives no answer: Welcome to server1!"),
        (MARK.encode() + b"{garbage", "its answer is damaged"),
        (MARK.encode() + b"[" * 100_000, "its answer is damaged"),
        (MARK.encode() + b"[]", "its answer is damaged"),
        (said(), "its answer has no path"),
        (said(path="/there"), "its answer has no exists"),
        (said(**{**GOOD, "counts": {}}), "its answer has no missing"),
        (said(**{**GOOD, "counts": {**COUNTS, "missing": -1}}), "counts"),
        (said(**{**GOOD, "counts": {**COUNTS, "missing": "0"}}), "counts"),
        (said(**{**GOOD, "counts": []}), "counts"),
        (said(**{**GOOD, "exists": "yes"}), "exists"),
        (said(**{**GOOD, "path": "there"}), "path"),
        (said(**{**GOOD, "path": "/there/../etc"}), "path"),
        (said(**{**GOOD, "missing": "train.py"}), "missing"),
        (said(**{**GOOD, "missing": [3]}), "missing"),
        (said(**{**GOOD, "extra": ["../../etc/passwd"]}), "extra"),
        (said(**{**GOOD, "extra": ["/etc/passwd"]}), "extra"),
        (said(**{**GOOD, "extra": ["a\0b"]}), "extra"),
        (said(**{**GOOD, "extra": ["a" * 10_000]}), "extra"),
        (said(**{**GOOD, "modified": [str(n) for n in range(5000)]}), "too many modified"),
        (said(error="disk\x1b[2J on fire\n" + "x" * 5000), "disk?[2J on fire?"),
        (said(unknown=True), "its answer has no path"),
    ],
)  # fmt: skip
def test_an_answer_without_sense_is_not_verified(lab: Any, answer: bytes, words: str) -> None:
    """Each part must have its form; what has not is one line, fit for a terminal."""
    lab.host = Liar(PLACE, answer)
    (report,) = lab.reports()
    assert report.verdict is SyncVerdict.UNVERIFIED
    assert words in report.detail
    assert report.detail.isprintable()
    assert len(report.detail) < 500


def test_noise_around_an_answer_is_not_the_answer(lab: Any) -> None:
    """Start-up files of a shell print what they like, before and after."""
    noise = b"Last login: today\nhsm-sync-0 {}\n\xff\xfe\n"
    lab.host = Liar(PLACE, noise + said(**GOOD) + b"bye\n")
    assert lab.content().verdict is SyncVerdict.IN_SYNC


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("/x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(GOOD)), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from([*sorted(GOOD), "lacks", "error", "unknown"]), _JSON, min_size=1))
def test_no_answer_breaks_anything(lab: Any, changes: Dict[str, Any]) -> None:
    """Whatever parts an answer has, there is a report; it is never "in sync" with files said to be missing."""
    lab.host = Liar(PLACE, said(**{**GOOD, **changes}))
    (report,) = lab.reports()
    if report.verdict is SyncVerdict.IN_SYNC:
        assert not report.missing
        assert not report.modified


def test_an_endless_answer_is_cut_off(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than any honest answer has is none."""
    monkeypatch.setattr(courier, "_MOST_BYTES", 10_000)
    lab.host = Liar(PLACE, said(**GOOD) + b"x" * 20_000)
    (report,) = lab.reports()
    assert (report.verdict, "without end" in report.detail) == (SyncVerdict.UNVERIFIED, True)


def test_only_what_was_asked_for_is_sent(lab: Any) -> None:
    """A host that asks for a checksum that is not in the project gets nothing."""
    lab.host = Liar(said(path="/there", exists=False, lacks=["0" * 64]))
    with pytest.raises(OSError, match="not asked for"):
        lab.plan()


def test_a_push_that_is_answered_with_nonsense_is_an_error(lab: Any) -> None:
    """What was sent may have arrived or not; nobody says that it has."""
    lab.host = Liar(said(path="/there", exists=False, lacks=[]), b"thank you\n")
    plan = lab.plan()
    with pytest.raises(OSError, match="gives no answer"):
        plan.apply(False, lambda sent: None)


def test_a_push_on_which_nothing_moves_is_ended(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that takes nothing more keeps nobody waiting for ever, and no process stays behind."""

    class Stuck(Liar):
        def start(self, argv: Sequence[str], *, cwd: Optional[str] = None, stderr: Optional[str] = None) -> Channel:
            self.channel = LocalHost.start(self, ["sleep", "300"])
            return self.channel

    monkeypatch.setattr(courier, "_STALL_S", 0.3)
    lab.write({"noise.bin": os.urandom(1_000_000)})
    from hsm_sync.here import look_here

    checksums: List[str] = [entry[0] for entry in look_here(str(lab.project)).manifest["files"].values()]
    lab.host = Stuck(said(path="/there", exists=False, lacks=sorted(set(checksums))))
    plan = lab.plan()
    with pytest.raises(TimeoutError, match="nothing moves"):
        plan.apply(False, lambda sent: None)
    assert lab.host.channel.wait(10.0) is not None


def test_a_machine_without_python_is_not_verified(lab: Any) -> None:
    """The message is the shell's own."""
    lab.options["python"] = "no-such-python"
    with pytest.raises(OSError, match="no-such-python"):
        lab.reports()


def test_a_home_that_cannot_be_written_is_one_line(lab: Any, tmp_path: Path) -> None:
    """A push there says what could not be written; nothing is left."""
    (lab.home / ".hsm").write_text("a file")
    plan = lab.plan()
    with pytest.raises(NoSourceError, match=r"server1: (Not a directory|File exists)"):
        plan.apply(False, lambda sent: None)
