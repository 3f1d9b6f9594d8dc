"""What a person asks of a sweep while it runs, and after: limits, retries, cancelling, letting it run alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest


def most_at_once(yard: Any) -> int:
    """The largest number of tasks that lived at one moment, by the ledger."""
    changes = sorted((entry.at, 1 if entry.word == "start" else -1) for entry in yard.ledger())
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def counts(yard: Any, sweep_id: str = "s") -> Dict[str, int]:
    """The tasks by state, those states that have any."""
    return {state: count for state, count in yard.facts(sweep_id)["counts"].items() if count}


# --- limits


def test_parallel_limit_caps_the_whole_sweep(yard: Any) -> None:
    """`--parallel-limit 2` over two sources of more slots: never more than two at once."""
    words = ("--sources", "local:a:3,local:b:3", "--parallel-limit", "2", "--max-tasks", "15")
    assert yard.hsm("run", "--sweep-id", "s", *words)[0] == 1
    assert most_at_once(yard) == 2
    yard.check_end(set(), exact=True)


def test_two_sources_share_one_sweep(yard: Any) -> None:
    """Two local sources both work, each within its slots."""
    assert yard.hsm("run", "--sweep-id", "s", "--sources", "local:a:2,local:b:1")[0] == 1
    assert most_at_once(yard) <= 3
    yard.check_end(set(), exact=True)
    assert {source["id"] for source in yard.facts()["sources"] if source["ended"]} == {"local:a", "local:b"}


def test_timeout_ends_the_whole_tree(yard: Any) -> None:
    """`--timeout`: what runs longer is ended with its children, even when it ignores TERM, and is `timeout`; exit 1."""
    yard.configure(env={"PAUSE": "300"})
    yard.declare(6)  # task_004 fails by itself, task_005 ignores TERM, task_006 has a child
    code, said = yard.hsm("run", "--sweep-id", "s", "--sources", "local:6", "--timeout", "0.5")
    assert code == 1, said
    assert counts(yard) == {"failed": 1, "timeout": 5}
    yard.check_nothing_left()


def test_retries_run_a_failing_program_again(yard: Any) -> None:
    """`--retries 2`: a program that always fails has three attempts, kept side by side; the others have one."""
    yard.declare(7)
    assert yard.hsm("run", "--sweep-id", "s", "--retries", "2")[0] == 1
    assert yard.attempts()["task_004"] == [1, 2, 3]
    assert sum(len(attempts) for attempts in yard.attempts().values()) == 9
    assert {attempt for index, attempt in yard.records() if index == 3} == {1, 2, 3}
    yard.check_ledger()


def test_a_class_of_failure_has_a_rule_of_its_own(yard: Any) -> None:
    """`retries.rules`: exit code 3 is tried again twice, after a pause each, and `explain` says by which rule."""
    yard.declare(4)
    config = json.loads((yard.root / "hsm_config.yaml").read_text())
    config["retries"] = {"back_off": 0.2, "rules": {"exit_3": {"times": 2}, "exit": {"times": 0}}}
    (yard.root / "hsm_config.yaml").write_text(json.dumps(config))
    assert yard.hsm("run", "--sweep-id", "s")[0] == 1
    assert yard.attempts() == {"task_001": [1], "task_002": [1], "task_003": [1], "task_004": [1, 2, 3]}
    waits = [event["again"]["not_before"] - event["t"] for event in yard.events("ended") if "again" in event]
    assert waits == pytest.approx([0.2, 0.4], abs=1e-3)
    assert "by the rule for exit_3; not before" in yard.hsm("explain", "s", "4")[1]
    yard.check_ledger()


def test_retry_failed_runs_only_what_failed(yard: Any) -> None:
    """`hsm complete --retry-failed` after the mistake was mended: the failed run again, nothing else; exit 0."""
    yard.declare(7)
    assert yard.hsm("run", "--sweep-id", "s")[0] == 1
    assert yard.hsm("complete", "s")[0] == 1, "nothing is missing, but something failed"
    program = yard.root / "task.py"
    program.write_text(program.read_text().replace("kind == 3", "False"))
    assert yard.hsm("complete", "s", "--retry-failed")[0] == 0
    assert counts(yard) == {"completed": 7}
    assert yard.attempts()["task_004"] == [1, 2]
    assert sum(len(attempts) for attempts in yard.attempts().values()) == 8
    yard.check_ledger()
    assert yard.hsm("complete", "s") == (0, "s: nothing is missing.\n")


def test_a_sweep_where_everything_fails_alike_is_held(yard: Any) -> None:
    """Ten failures of one kind and no success: nothing more is started, the reason is said, exit 1; then it goes on."""
    yard.configure(env={"ALL_FAIL": "1"})
    code, said = yard.hsm("run", "--sweep-id", "s", "--sources", "local:2")
    assert code == 1
    assert "ValueError: this one never works" in said
    facts = yard.facts()
    assert facts["state"] == "held"
    assert 10 <= facts["counts"]["failed"] < 30
    assert facts["counts"]["pending"] == 30 - facts["counts"]["failed"]
    yard.check_truth()
    code, _ = yard.hsm("complete", "s", "--keep-going")
    assert code == 1
    assert counts(yard) == {"failed": 30}
    assert {len(attempts) for attempts in yard.attempts().values()} == {1}, yard.attempts()


def test_keep_going_does_not_hold(yard: Any) -> None:
    """`--keep-going`: all of them are tried."""
    yard.configure(env={"ALL_FAIL": "1"})
    assert yard.hsm("run", "--sweep-id", "s", "--keep-going")[0] == 1
    assert counts(yard) == {"failed": 30}


def test_max_failures_and_canaries_stop_a_sweep(yard: Any) -> None:
    """`--max-failures 2` holds after two failures, `--canary` after one task; both say why, exit 1."""
    yard.configure(env={"ALL_FAIL": "1"})
    code, said = yard.hsm("run", "--sweep-id", "s", "--sources", "local:1", "--max-failures", "2")
    assert (code, yard.facts()["state"]) == (1, "held")
    assert "max_failures is 2" in said
    assert counts(yard)["failed"] < 10
    code, said = yard.hsm("run", "--sweep-id", "c", "--sources", "local:4", "--canary")
    assert (code, yard.facts("c")["state"]) == (1, "held")
    assert "its canary failed: ValueError: this one never works" in said
    assert counts(yard, "c") == {"failed": 1, "pending": 29}
    (source,) = yard.facts("c")["sources"]
    assert source["health"] == "disabled"


# --- cancelling


@pytest.fixture
def busy(yard: Any) -> Any:
    """A sweep of six long tasks, three at a time: of the first five, one ignores TERM and one fails."""
    yard.configure(env={"PAUSE": "300"})
    yard.declare(6)
    yard.controller = yard.start("run", "--sweep-id", "s", "--sources", "local:3")
    yard.until(lambda: len(yard.attempts()) >= 3 and yard.facts()["counts"]["running"] >= 3)
    return yard


def test_cancel_tasks_through_their_controller(busy: Any) -> None:
    """One that runs is ended, one that waits never starts, and the sweep goes on with the others."""
    code, said = busy.hsm("cancel", "s", "task_002", "6")
    assert code == 0, said
    busy.until(lambda: counts(busy).get("cancelled") == 2)
    (busy.beside / "go").touch()
    assert busy.end(busy.controller) == 1
    assert counts(busy) == {"cancelled": 2, "completed": 3, "failed": 1}
    assert "task_006" not in busy.attempts()
    busy.check_nothing_left()


def test_cancel_a_sweep_through_its_controller(busy: Any) -> None:
    """Everything ends, what never ran included; the controller ends by itself; `complete` brings it back."""
    assert busy.hsm("cancel", "s")[0] == 0
    assert busy.end(busy.controller) == 1
    assert counts(busy) == {"cancelled": 6}
    assert busy.facts()["state"] == "cancelled"
    busy.check_nothing_left()
    assert busy.hsm("cancel", "s") == (0, "s is over (cancelled); nothing to cancel.\n")
    (busy.beside / "go").touch()
    assert busy.hsm("complete", "s")[0] == 1
    assert counts(busy) == {"completed": 5, "failed": 1}
    busy.check_ledger()


def test_cancel_without_a_controller_ends_what_still_runs(busy: Any) -> None:
    """The controller was killed, its tasks run on: cancelling ends them, trees and all, and says so in the journal."""
    busy.controller.kill()
    busy.controller.wait()
    assert len(busy.processes()) >= 4
    code, said = busy.hsm("cancel", "s")
    assert code == 0, said
    assert counts(busy) == {"cancelled": 6}
    busy.check_nothing_left()


def test_cancel_one_without_a_controller_leaves_the_others(busy: Any) -> None:
    """Only the task that is named ends; the others run on, and are adopted later."""
    busy.controller.kill()
    busy.controller.wait()
    code, said = busy.hsm("cancel", "s", "1")
    assert code == 0, said
    assert counts(busy)["cancelled"] == 1
    assert busy.runners()
    (busy.beside / "go").touch()
    # What a person cancelled comes back with `complete`: it is missing.
    assert busy.hsm("complete", "s")[0] == 1
    assert counts(busy) == {"completed": 5, "failed": 1}
    assert busy.attempts()["task_001"] == [1, 2]
    assert all(len(attempts) == 1 for task, attempts in busy.attempts().items() if task != "task_001")
    busy.check_ledger()


def test_cancel_adopted_tasks(busy: Any) -> None:
    """The tasks of a dead controller, adopted by the next one, are ended when a person asks that one."""
    busy.controller.kill()
    busy.controller.wait()
    heir = busy.start("complete", "s")
    busy.until(lambda: len(busy.events("opened")) == 2 and busy.facts()["controller"]["alive"])
    assert busy.hsm("cancel", "s")[0] == 0
    assert busy.end(heir) == 1
    assert counts(busy) == {"cancelled": 6}
    busy.check_nothing_left()


def test_adopted_tasks_are_not_run_again(busy: Any) -> None:
    """The next controller waits for the tasks that still run, keeps within their slots, and runs the rest."""
    busy.controller.kill()
    busy.controller.wait()
    heir = busy.start("complete", "s")
    busy.until(lambda: len(busy.events("opened")) == 2)
    (busy.beside / "go").touch()
    assert busy.end(heir) == 1
    assert counts(busy) == {"completed": 5, "failed": 1}
    assert most_at_once(busy) <= 3
    busy.check_end(set(), exact=True)


def test_other_sources_finish_what_one_began(busy: Any) -> None:
    """`complete --sources` elsewhere: the old source keeps what still runs there, the new one gets the rest."""
    busy.controller.kill()
    busy.controller.wait()
    heir = busy.start("complete", "s", "--sources", "local:other:1")
    busy.until(lambda: len(busy.events("opened")) == 2)
    (busy.beside / "go").touch()
    assert busy.end(heir) == 1
    assert counts(busy) == {"completed": 5, "failed": 1}
    busy.check_end(set(), exact=True)
    ended = {source["id"]: source["ended"] for source in busy.facts()["sources"]}
    assert ended["local:local"] >= 3
    assert ended["local:other"] >= 1
    assert sum(ended.values()) == 6


# --- health


def test_sources_are_asked_how_they_are(busy: Any) -> None:
    """At every `health_check_interval` the runner tells of its machine; `monitor health` and the log show it."""
    busy.hsm("cancel", "s")
    busy.end(busy.controller)
    busy.configure(env={"PAUSE": "300"}, health_check_interval=0.1)
    again = busy.start("run", "--sweep-id", "h", "--sources", "local:1", "--max-tasks", "1")
    busy.until(lambda: busy.layout("h").summary.exists() and busy.facts("h")["sources"][0]["facts"])
    (source,) = json.loads(busy.hsm("monitor", "health", "h", "--json")[1])["sources"]
    assert source["health"] == "healthy"
    assert source["facts"]["disk_free_mb"] >= 0
    assert abs(source["facts"]["clock_skew_s"]) < 5.0
    busy.until(lambda: "disk_free_mb" in busy.layout("h").health_log.read_text())
    assert busy.hsm("cancel", "h")[0] == 0
    busy.end(again)


# --- pausing


def test_pause_lets_run_what_runs_and_starts_nothing_more(busy: Any) -> None:
    """What runs ends as it would; nothing more starts until `resume`, and then everything does, once."""
    assert busy.hsm("pause", "s")[0] == 0
    started = sum(map(len, busy.attempts().values()))
    (busy.beside / "go").touch()
    busy.until(lambda: counts(busy).keys() <= {"completed", "failed", "pending"})
    assert busy.facts()["state"] == "paused"
    assert sum(map(len, busy.attempts().values())) == started < 6
    assert busy.controller.poll() is None
    assert busy.hsm("resume", "s")[0] == 0
    assert busy.end(busy.controller) == 1
    assert counts(busy) == {"completed": 5, "failed": 1}
    busy.check_ledger()
    assert {len(attempts) for attempts in busy.attempts().values()} == {1}


def test_a_pause_survives_its_controller(busy: Any) -> None:
    """The next controller adopts what runs and starts nothing; a pause, and its end, need no controller."""
    busy.controller.kill()
    busy.controller.wait()
    code, said = busy.hsm("pause", "s")
    assert code == 0, said
    heir = busy.start("complete", "s")
    busy.until(lambda: len(busy.events("opened")) == 3)
    (busy.beside / "go").touch()
    busy.until(lambda: counts(busy).keys() <= {"completed", "failed", "pending"})
    assert counts(busy).get("pending", 0) >= 1
    assert "hsm resume s" in busy.said(heir)
    heir.kill()
    heir.wait()
    assert busy.facts()["state"] == "paused"
    code, said = busy.hsm("resume", "s")
    assert "hsm complete s" in said
    assert busy.facts()["state"] == "interrupted"
    assert busy.hsm("complete", "s")[0] == 1
    assert counts(busy) == {"completed": 5, "failed": 1}
    busy.check_ledger()


# --- in the background


def test_detached_it_gives_the_terminal_back(yard: Any) -> None:
    """`--detach` returns when the sweep is held by a process of its own; status, cancel and complete work on it."""
    yard.configure(env={"PAUSE": "300"})
    yard.declare(6)
    code, said = yard.hsm("run", "--sweep-id", "s", "--sources", "local:6", "--detach")
    assert code == 0, said
    yard.until(lambda: yard.facts()["counts"]["running"] >= 5)
    facts = yard.facts()
    assert facts["state"] == "running"
    assert facts["controller"]["alive"]
    assert str(facts["controller"]["pid"]) in said
    assert yard.hsm("cancel", "s")[0] == 0
    yard.until(lambda: not yard.facts()["controller"]["alive"])
    assert counts(yard) == {"cancelled": 5, "failed": 1}
    yard.check_nothing_left()
    (yard.beside / "go").touch()
    assert yard.hsm("complete", "s", "--detach")[0] == 0
    yard.until(lambda: yard.facts()["finished"] == 6 and not yard.facts()["controller"]["alive"])
    assert counts(yard) == {"completed": 5, "failed": 1}
    yard.check_nothing_left()


def test_detaching_what_is_held_says_by_whom(busy: Any) -> None:
    """A second controller cannot be detached: the reason comes back to the terminal, exit 5."""
    code, said = busy.hsm("complete", "s", "--detach")
    assert code == 5, said
    assert f"process {busy.controller.pid}" in said


# --- unkind surroundings


NAMES = ["two words", "it's", 'a "quote"', "line\nbreak", "$(touch oops)", "ünï 💥", "; echo -n", "{n}", "-rf"]


@pytest.mark.parametrize("name", NAMES)
def test_a_project_path_may_be_anything(make_yard: Callable[[Path], Any], tmp_path: Path, name: str) -> None:
    """Spaces, quotes, line breaks, shell words: a sweep runs there as anywhere, and nothing is executed."""
    yard = make_yard(tmp_path / name)
    yard.declare(4)
    assert yard.hsm("run", "--sweep-id", "s")[0] == 1
    assert counts(yard) == {"completed": 3, "failed": 1}
    assert yard.hsm("status", "s")[0] == 0
    assert not [path for path in tmp_path.rglob("oops*")]
    yard.check_end(set(), exact=True)


ENVIRONMENTS: List[Dict[str, str]] = [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "TZ": "Pacific/Kiritimati"},
    {"TZ": "Nowhere/Atall", "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "20"},
    {"PYTHONOPTIMIZE": "1", "PYTHONDONTWRITEBYTECODE": "1"},
]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: "=".join(next(iter(environment.items()))))
def test_any_locale_and_time_zone(
    make_yard: Callable[[Path], Any], tmp_path: Path, environment: Dict[str, str]
) -> None:
    """An ASCII locale, a strange time zone, a tiny terminal: sweeps run and are shown, without a traceback."""
    yard = make_yard(tmp_path / "prøject 💥")
    yard.environment = environment
    yard.declare(4)
    assert yard.hsm("run", "--sweep-id", "s")[0] == 1
    assert counts(yard) == {"completed": 3, "failed": 1}
    for words in (("status", "s"), ("status", "--all"), ("monitor", "recent")):
        code, said = yard.hsm(*words)
        assert code == 0, said


def test_without_a_home(yard: Any) -> None:
    """HOME and PATH may be missing, as under cron."""
    yard.declare(4)
    code, said = yard.hsm("run", "--sweep-id", "s", wrap=("/usr/bin/env", "-u", "HOME", "-u", "PATH", "-u", "USER"))
    assert code == 1, said
    assert counts(yard) == {"completed": 3, "failed": 1}
