"""CPU a task of the engine alone: observe, decide, reduce. No journal, no processes: `python benchmarks/engine.py`."""

from __future__ import annotations

import time
from typing import List, Sequence

from hsm_core.contract import (
    Acceptance,
    Assignment,
    Attempt,
    Capabilities,
    Observation,
    ObservationKind,
    SourceView,
    SubmitResult,
    TaskAnswer,
)
from hsm_core.engine.engine import Engine, Submit
from hsm_core.engine.events import make
from hsm_core.engine.reduce import replay

TASKS = 10_000
SOURCE = "kind:only"
TASK_S = 0.002


class First:
    """Always the first source."""

    def assign(self, tasks: Sequence[int], sources: Sequence[SourceView], limit: int) -> Sequence[Assignment]:
        """As many as fit."""
        return [(task, sources[0].id) for task in tasks[: sources[0].free]]


def run(ends_a_message: int) -> float:
    """Microseconds a task, with so many starts and ends in each message of the source."""
    created = make("created", 1.0, sweep_id="s", uid="u", total=TASKS)
    engine = Engine(replay([created, make("opened", 1.0, epoch=1)]), First())
    engine.join(SOURCE, Capabilities(2, None, push=True, shares_files=True), 2, 1.0)
    now, spent = 1.0, 0.0
    queue: List[Attempt] = []
    while engine.state.finished < TASKS:
        began = time.process_time()
        _, instructions = engine.step(now)
        spent += time.process_time() - began
        for instruction in instructions:
            if isinstance(instruction, Submit):
                token, asked = instruction.token, instruction.attempts
                queue += asked
                result = SubmitResult([TaskAnswer(attempt, Acceptance.ACCEPTED, {"r": 1}) for attempt in asked])
                began = time.process_time()
                engine.answered(SOURCE, token, asked, result, now)
                spent += time.process_time() - began
        now += TASK_S * ends_a_message / 2
        seen: List[Observation] = []
        for attempt in queue[:ends_a_message]:
            facts = {"at": now, "pid": 7, "slot": 0, "host": "here"}
            seen.append(Observation(attempt, ObservationKind.STARTED, facts))
            record = {**facts, "state": "completed", "exit_code": 0, "started_at": now, "duration_s": TASK_S}
            seen.append(Observation(attempt, ObservationKind.ENDED, record))
        del queue[:ends_a_message]
        began = time.process_time()
        engine.observe(SOURCE, seen, now)
        engine.well(SOURCE, now, "poll")
        spent += time.process_time() - began
    return spent / TASKS * 1e6


if __name__ == "__main__":
    for ends in (1, 2, 8, 64):
        print(f"{ends:3} ends a message: {min(run(ends) for _ in range(3)):6.1f} µs a task")
