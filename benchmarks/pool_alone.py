"""The local source without engine, journal and views: `pool_alone.py FOLDER COUNT PROGRAM`.

Run with the Python of the environment of the benchmarks.
What `noop` shows beyond this is the controller's share. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from measure import own_cpu_s, rate, runner_of, task_times

from hsm_core.contract import ObservationKind, SourceContext, SourceSpec, SubmitRequest, TaskSpec
from hsm_core.toolkit import LocalHost, PoolSource


def main() -> None:
    """Submit everything at once and take what comes back."""
    folder, count, program = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    sweep = folder / "sweep"
    for name in ("tasks", ".hsm"):
        (sweep / name).mkdir(parents=True)
    spec = SourceSpec("local", "local", slots=2)
    source, news = PoolSource(LocalHost(), spec), threading.Event()
    source.open(SourceContext("sweep_benchmark", str(sweep), str(folder), spec, wake=news.set))
    tasks = [
        TaskSpec(index, 1, f"task_{index + 1:04d}", (program, f"p={index}"), files={"params.yaml": f"p: {index}\n"})
        for index in range(count)
    ]
    answers = source.submit(SubmitRequest("benchmark", tasks)).answers
    handles = {answer.attempt: answer.handle or {} for answer in answers}
    runner = runner_of()
    ended, cpu_s = 0, 0.0
    while ended < count and news.wait(10):
        news.clear()
        seen = source.poll(handles).observations
        ended += sum(observation.kind is ObservationKind.ENDED for observation in seen)
        cpu_s = own_cpu_s(runner) if runner else 0.0
    source.close()
    print(json.dumps({"ended": ended, "rate": rate(task_times(sweep)), "runner_cpu_ms": cpu_s / count * 1e3}))


if __name__ == "__main__":
    main()
