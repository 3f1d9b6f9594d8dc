"""`hsm test`: a source is tried stage by stage, each timed and bounded, and those after a failure are not tried.

What a kind of source looks at by itself comes first (`SourceType.diagnose`), then one task, as a sweep would run it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Callable, Iterator, List, NamedTuple, Optional

from ..config import LoadedConfig
from ..contract import DiagnoseContext, SkipStage, SourceSpec, Stage
from ..errors import HsmError
from ..plugins import Plugins
from ..store.views.words import one_line, span
from .trial import Trial

__all__ = ["FAILED", "OK", "SKIPPED", "StageEnd", "diagnose"]

OK = "ok"
FAILED = "FAILED"
SKIPPED = "skipped"


class StageEnd(NamedTuple):
    """What came of one stage.

    :param state: `ok`, `FAILED` or `skipped`.
    :param found: one line: what was found, what is wrong, or why nothing was looked at.
    :param hint: what to do about a failure; empty when nobody knows.
    """

    name: str
    state: str
    seconds: float
    found: str
    hint: str = ""


def diagnose(
    spec: SourceSpec,
    config: LoadedConfig,
    plugins: Plugins,
    patience_s: float,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[StageEnd]:
    """Try a source; each stage is yielded as it ends.

    Whoever stops listening ends the task that is under way. Nothing of it stays in the project.

    :param patience_s: how long the one task may take from its submission to its end.
    :param say: takes lines on what is being waited for, from any thread.
    :raises NoSourceError: no plugin offers this kind, or the kind of host that it is driven over.
    """
    kind = plugins.source_type(spec.kind)
    with contextlib.ExitStack() as at_end:
        host = plugins.make_host(spec)
        if host is not None:
            _at_end(at_end, host.close)
        context = DiagnoseContext(
            str(config.project_dir), config.config.resources, say, lambda function: _at_end(at_end, function), host
        )
        trial = Trial(spec, config, plugins, patience_s, say)
        at_end.callback(trial.end)
        stages: List[Stage] = []
        if kind.diagnose is not None:
            stages += kind.diagnose(spec, context)
        failed = ""
        for stage in (*stages, *trial.stages()):
            if failed:
                yield StageEnd(stage.name, SKIPPED, 0.0, f"not tried, because of: {failed}")
                continue
            say(f"{stage.name} …")
            end = _try(stage)
            if end.state == FAILED:
                failed = stage.name
            yield end


def _at_end(stack: contextlib.ExitStack, function: Callable[[], None]) -> None:
    def call() -> None:
        with contextlib.suppress(Exception):  # a plugin's tidying up changes nothing of what was found
            function()

    stack.callback(call)


def _try(stage: Stage) -> StageEnd:
    """Do a stage's work with the clock running."""
    found: List[Optional[str]] = []
    errors: List[Exception] = []

    def work() -> None:
        try:
            found.append(stage.work())
        except Exception as error:
            # A stage is somebody else's code: whatever comes out of it is its failure.
            errors.append(error)

    thread = threading.Thread(target=work, name=f"stage {stage.name}", daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(stage.timeout_s)
    seconds = time.monotonic() - began
    if found:
        return StageEnd(stage.name, OK, seconds, one_line(found[0] or ""))
    if not errors:
        return StageEnd(stage.name, FAILED, seconds, f"no answer within {span(stage.timeout_s)}")
    error = errors[0]
    if isinstance(error, SkipStage):
        return StageEnd(stage.name, SKIPPED, seconds, one_line(error))
    if isinstance(error, HsmError):
        return StageEnd(stage.name, FAILED, seconds, one_line(error.message), one_line(error.hint or ""))
    return StageEnd(stage.name, FAILED, seconds, one_line(f"{type(error).__name__}: {error}"))
