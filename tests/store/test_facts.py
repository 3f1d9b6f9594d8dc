"""The facts of a sweep, made from its events."""

from __future__ import annotations

from hsm_core.engine.events import make
from hsm_core.engine.reduce import replay
from hsm_core.store.views.facts import describe


def test_a_sweep_lasts_from_its_first_submission() -> None:
    """A cluster may tell of starts and ends only when all is over: the sweep did not take a millisecond for that."""
    record = {"state": "completed", "exit_code": 0, "duration_s": 0.001}
    facts = describe(
        replay(
            [
                make("created", 100.0, sweep_id="s", total=1),
                make("opened", 100.5, epoch=1),
                make("joined", 101.0, source="k:a", slots=1),
                make("assigned", 102.0, source="k:a", token="t", tasks=[(0, 1)]),
                make("started", 105.0, task=(0, 1)),
                make("ended", 105.001, task=(0, 1), record=record),
            ]
        )
    )
    assert facts["started_at"] == 102.0
    assert round(facts["duration_s"], 3) == 3.001


def test_a_source_that_takes_nothing_says_why() -> None:
    """Whoever looks at the status while tasks wait reads the source's words, until it takes tasks again."""
    events = [
        make("created", 1.0, sweep_id="s", total=2),
        make("opened", 1.0, epoch=1),
        make("joined", 1.0, source="k:a", slots=2),
        make("assigned", 2.0, source="k:a", token="t", tasks=[(0, 1)]),
        make(
            "refused", 2.0, source="k:a", tasks=[(0, 1)], acceptance="limit", reason="full", not_before=7.0, window=32
        ),
    ]
    assert describe(replay(events))["sources"][0]["reason"] == "full"
    events.append(make("assigned", 7.0, source="k:a", token="u", tasks=[(0, 1)]))
    events.append(make("accepted", 7.0, source="k:a", tasks=[(0, 1)], handle={}))
    assert describe(replay(events))["sources"][0]["reason"] == ""
