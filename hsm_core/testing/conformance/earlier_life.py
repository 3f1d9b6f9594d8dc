"""A process that opens a source, submits tasks, says what it was given, and dies by `kill -9`.

`python -m hsm_core.testing.conformance.earlier_life`, started by `Lab.earlier_life` with its request on standard input.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Mapping

from .lab import Lab, Subject

__all__ = ["main"]


def load_subject(request: Mapping[str, Any]) -> Subject:
    """The test's own class, from its file: test modules can seldom be imported by name."""
    spec = importlib.util.spec_from_file_location("subject_of_an_earlier_life", request["file"])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Any = module
    for name in request["subject"].split("."):
        found = getattr(found, name)
    subject: Subject = found()
    subject.options = request["options"]
    return subject


def main() -> None:
    """Live as the request says, and die."""
    request = json.loads(sys.stdin.buffer.read())
    lab = Lab(load_subject(request), Path(request["root"]))
    rig = lab.rig(slots=request["slots"])
    tasks = [lab.task(index, verb, *words) for index, verb, words in request["tasks"]]
    rig.submit(*tasks)
    handles = [[*attempt, handle] for attempt, handle in rig.handles.items()]
    rig.started(*[task.index for task in tasks[: request["wait_for"]]])
    sys.stdout.write(json.dumps({"handles": handles, "token": rig.token}))
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
