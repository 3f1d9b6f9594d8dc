"""`hsm test`: stages in their order, timed and bounded; one task by way of the contract; nothing left behind."""

from __future__ import annotations

import threading
import types
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import pytest

from hsm_core.config import LoadedConfig, load_config
from hsm_core.contract import (
    Acceptance,
    Attempt,
    Capabilities,
    DiagnoseContext,
    Health,
    HealthReport,
    Observation,
    ObservationKind,
    PollResult,
    SkipStage,
    SourceContext,
    SourceSpec,
    SourceType,
    Stage,
    SubmitRequest,
    SubmitResult,
    SyncReport,
    SyncVerdict,
    TaskAnswer,
)
from hsm_core.errors import HsmError, NoSourceError
from hsm_core.hookspecs import hookimpl
from hsm_core.plugins import PluginInfo, Plugins, from_modules
from hsm_core.run.diagnose import StageEnd, diagnose

SPEC = SourceSpec("odd", "here")
_FAILED = {"state": "failed", "exit_code": 3}


class Odd:
    """A source that says whatever a test wants, and notes what it was asked.

    :param news: what the polls bring, one after another; the last goes on for ever.
    """

    def __init__(
        self,
        news: Sequence[Observation] = (Observation((0, 1), ObservationKind.ENDED, {"state": "completed"}),),
        answer: Acceptance = Acceptance.ACCEPTED,
        found: Tuple[Attempt, ...] = (),
        prints: str = "one task was here\n",
        health: Health = Health.HEALTHY,
    ) -> None:
        self.news = list(news)
        self.answer, self.found, self.prints, self.status = answer, found, prints, health
        self.calls: List[str] = []
        self.folder = Path()

    def open(self, context: SourceContext) -> None:
        """Remember where the sweep is."""
        self.calls.append("open")
        self.folder = Path(context.sweep_dir)

    def capabilities(self) -> Capabilities:
        """Files have to be brought home."""
        return Capabilities(slots=7, poll_interval_s=0.001)

    def health(self) -> HealthReport:
        """As the test wants."""
        return HealthReport(self.status, "as the test wants")

    def submit(self, request: SubmitRequest) -> SubmitResult:
        """One answer."""
        self.calls.append("submit")
        return SubmitResult([TaskAnswer((0, 1), self.answer, {}, "the test says so")])

    def find(self, token: str, attempts: Sequence[Attempt]) -> Mapping[Attempt, Any]:
        """What the test wants to be found."""
        return {attempt: {} for attempt in self.found}

    def poll(self, handles: Mapping[Attempt, Any]) -> PollResult:
        """The next piece of news."""
        if "cancel" in self.calls:
            return PollResult([Observation((0, 1), ObservationKind.WITHDRAWN)])
        return PollResult([self.news.pop(0) if len(self.news) > 1 else self.news[0]])

    def cancel(self, handles: Mapping[Attempt, Any], grace_s: float) -> None:
        """Noted."""
        self.calls.append("cancel")

    def collect(self, attempts: Mapping[Attempt, Any], into: str) -> None:
        """What the task printed."""
        self.calls.append("collect")
        folder = self.folder / "tasks" / "task_001"
        folder.mkdir()
        (folder / "stdout.log").write_text(self.prints)
        (folder / "stderr.log").write_text("first words\nlast words\n")

    def host(self) -> None:
        """There is none."""

    def close(self) -> None:
        """Noted."""
        self.calls.append("close")


@pytest.fixture
def config(tmp_path: Path) -> LoadedConfig:
    """A project without a word of configuration."""
    (tmp_path / "hsm_config.yaml").write_text("{}")
    return load_config(tmp_path)


def plugins(source: Odd, stages: Optional[Callable[[SourceSpec, DiagnoseContext], Iterable[Stage]]] = None) -> Plugins:
    """One kind of source."""
    module: Any = types.ModuleType("odd")
    kind = SourceType("odd", lambda spec: source, diagnose=stages)  # type: ignore[arg-type, return-value]
    module.hsm_source_types = hookimpl(specname="hsm_source_types")(lambda: [kind])
    return from_modules({"odd": module})


def states(ends: Iterable[StageEnd]) -> Dict[str, str]:
    """What came of each stage."""
    return {end.name: end.state for end in ends}


def fail(error: Exception) -> Callable[[], str]:
    """The work of a stage that raises."""

    def work() -> str:
        raise error

    return work


def test_a_kind_without_stages_is_opened_asked_and_given_one_task(config: LoadedConfig) -> None:
    """Any source can be tried by way of the contract alone, files brought home included, and nothing is left of it."""
    source = Odd()
    said: List[str] = []
    ends = list(diagnose(SPEC, config, plugins(source), 10.0, said.append))
    assert states(ends) == {"project": "skipped", "open": "ok", "health": "ok", "one task": "ok"}
    assert source.calls == ["open", "submit", "collect", "close"]
    assert ends[1].found == "7 slots"
    assert "one task: submitted" in said
    assert not (config.project_dir / "sweeps" / "outputs").exists()


def test_stages_of_the_kind_come_first_and_end_at_the_first_failure(config: LoadedConfig) -> None:
    """A stage that has nothing to look at stops nothing; after a failure nothing is tried, and the remedy is kept."""
    source = Odd()

    def stages(spec: SourceSpec, context: DiagnoseContext) -> Iterable[Stage]:
        yield Stage("tools", lambda: "all\nthere")
        yield Stage("gpus", fail(SkipStage("nobody asked for any")))
        yield Stage("account", fail(NoSourceError("there is no account 'x'", "ask for one")))

    ends = list(diagnose(SPEC, config, plugins(source, stages), 10.0))
    assert [(end.name, end.state, end.found, end.hint) for end in ends[:4]] == [
        ("tools", "ok", "all there", ""),
        ("gpus", "skipped", "nobody asked for any", ""),
        ("account", "FAILED", "there is no account 'x'", "ask for one"),
        ("project", "skipped", "not tried, because of: account", ""),
    ]
    assert source.calls == []


def test_a_stage_that_hangs_is_abandoned(config: LoadedConfig) -> None:
    """A stage is waited for as long as it says, and no longer."""
    gate = threading.Event()
    stages = lambda spec, context: [Stage("slow", lambda: str(gate.wait(60.0)), timeout_s=0.02)]  # noqa: E731
    first = next(iter(diagnose(SPEC, config, plugins(Odd(), stages), 10.0)))
    gate.set()
    assert (first.state, first.found) == ("FAILED", "no answer within 20ms")


def test_a_stage_that_raises_anything_is_one_line(config: LoadedConfig) -> None:
    """Somebody else's exception is a failure of its stage, named, without a traceback."""
    stages = lambda spec, context: [Stage("odd", fail(KeyError("a\nb")))]  # noqa: E731
    first = next(iter(diagnose(SPEC, config, plugins(Odd(), stages), 10.0)))
    assert (first.state, first.found) == ("FAILED", "KeyError: 'a\\nb'")


def test_what_a_kind_made_is_tidied_up_in_reverse(config: LoadedConfig) -> None:
    """Functions given to `at_end` are called when all is over, the last first, whatever one of them raises."""
    tidied: List[int] = []

    def stages(spec: SourceSpec, context: DiagnoseContext) -> Iterable[Stage]:
        context.at_end(lambda: tidied.append(1))
        context.at_end(fail(OSError("it is gone already")))  # type: ignore[arg-type]
        context.at_end(lambda: tidied.append(2))
        return [Stage("wrong", fail(OSError("no")))]

    list(diagnose(SPEC, config, plugins(Odd(), stages), 10.0))
    assert tidied == [2, 1]


@pytest.mark.parametrize(
    ("source", "stage", "words"),
    [
        (Odd(health=Health.UNHEALTHY), "health", "as the test wants"),
        (Odd(answer=Acceptance.LIMIT), "one task", "not taken (limit): the test says so"),
        (Odd(answer=Acceptance.INDETERMINATE), "one task", "nobody says why"),
        (Odd([Observation((0, 1), ObservationKind.LOST, None, "died")]), "one task", "lost: died"),
        (Odd([Observation((0, 1), ObservationKind.ENDED, _FAILED)]), "one task", "exit code 3: last words"),
        (Odd(prints="something else"), "one task", "what it printed is not in"),
    ],
)
def test_whatever_goes_wrong_is_said(config: LoadedConfig, source: Odd, stage: str, words: str) -> None:
    """A source that is ill, refuses, loses, fails or mislays the task does not pass."""
    ends = [end for end in diagnose(SPEC, config, plugins(source), 10.0) if end.state == "FAILED"]
    assert [end.name for end in ends] == [stage]
    assert words in ends[0].found
    assert source.calls[-1] == "close"


@pytest.mark.parametrize(
    ("verdict", "state"),
    [(SyncVerdict.DIFFERS, "FAILED"), (SyncVerdict.UNVERIFIED, "FAILED"), (SyncVerdict.WARNING, "ok")],
)
def test_the_copy_of_the_project_is_compared(config: LoadedConfig, verdict: SyncVerdict, state: str) -> None:
    """A copy that would refuse a run fails the test, with the command that mends it."""
    found = plugins(Odd())
    module: Any = types.ModuleType("sync")
    report = SyncReport("content", verdict, "1 file modified", "hsm sync")
    module.hsm_verify_sync = hookimpl(specname="hsm_verify_sync")(lambda source, request: report)
    found.add(PluginInfo("sync"), lambda: module)
    end = next(end for end in diagnose(SPEC, config, found, 10.0) if end.name == "project")
    assert end.state == state
    assert end.found.endswith("content: 1 file modified")
    assert end.hint == ("hsm sync" if state == "FAILED" else "")


def test_a_task_in_doubt_is_looked_for(config: LoadedConfig) -> None:
    """A submission without an answer is found by its token, as in a sweep."""
    source = Odd(answer=Acceptance.INDETERMINATE, found=((0, 1),))
    assert states(diagnose(SPEC, config, plugins(source), 10.0))["one task"] == "ok"


def test_a_task_that_takes_too_long_is_cancelled(config: LoadedConfig) -> None:
    """After the patience is over the task is ended, and what it waited for is said."""
    source = Odd([Observation((0, 1), ObservationKind.QUEUED, None, "Priority")])
    *_, last = diagnose(SPEC, config, plugins(source), 0.01)
    assert last.state == "FAILED"
    assert "last seen: Priority" in last.found
    assert "--timeout" in last.hint
    assert source.calls == ["open", "submit", "cancel", "close"]


def test_whoever_stops_listening_leaves_nothing(config: LoadedConfig) -> None:
    """Interrupted in the middle, the source is let go and the folder is gone."""
    source = Odd()
    trial = diagnose(SPEC, config, plugins(source), 10.0)
    assert [next(trial).name for _ in range(2)] == ["project", "open"]
    trial.close()  # type: ignore[attr-defined]
    assert source.calls == ["open", "close"]
    assert not (config.project_dir / "sweeps" / "outputs").exists()


def test_a_kind_that_is_not_installed_is_said(config: LoadedConfig) -> None:
    """Nothing is tried of a kind that nobody offers."""
    with pytest.raises(HsmError, match="no source kind 'nix'"):
        next(iter(diagnose(SourceSpec("nix", "x"), config, plugins(Odd()), 10.0)))
