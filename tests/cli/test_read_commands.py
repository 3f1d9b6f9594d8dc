"""status, monitor, logs, explain and plugins, typed at recorded sweeps."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable

import pytest

from hsm_core.contract import TaskState
from hsm_core.engine.events import make
from hsm_core.testing.recorded import RecordedSweep

Type = Callable[..., Any]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project that the commands are typed in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def finished(project: Path) -> RecordedSweep:
    """A sweep of three tasks, the second of which failed twice."""
    sweep = RecordedSweep(project)
    sweep.play(0)
    sweep.assign(1)
    sweep.start(1)
    sweep.end(1, {"charged": True, "reason": "exit code 1"}, state="failed", exit_code=1)
    sweep.play(1, state="failed", exit_code=1, signature="ValueError: too big")
    sweep.play(2)
    sweep.close()
    return sweep


def test_status_shows_state_counts_sources_failures_and_what_to_type(type_hsm: Type, finished: RecordedSweep) -> None:
    """One look says how the sweep ended and what a person can do now; nothing says plain `Completed`."""
    answer = type_hsm("status", "sweep_1")
    assert answer.code == 0
    for words in (
        "Completed with failures",
        "3/3 (100.0%)",
        "local",
        "task_002  exit code 1: ValueError: too big",
        "hsm logs sweep_1 task_002",
        "hsm complete sweep_1 --retry-failed",
    ):
        assert words in answer.out
    assert answer.err == ""


def test_status_json_has_the_promised_keys(type_hsm: Type, finished: RecordedSweep) -> None:
    """The keys that scripts rely on are there, every state has its number, and numbers sum to the total."""
    facts = json.loads(type_hsm("status", "sweep_1", "--json").out)
    for key in ("sweep_id", "state", "total", "counts", "started_at", "finished_at", "sources"):
        assert key in facts
    assert facts["state"] == "completed_with_failures"
    assert set(facts["counts"]) == {state.value for state in TaskState}
    assert sum(facts["counts"].values()) == facts["total"] == 3


def test_without_an_id_the_latest_sweep_is_taken_and_said(type_hsm: Type, project: Path) -> None:
    """A missing id means the newest sweep, and standard error says which that is."""
    RecordedSweep(project, sweep_id="old", now=1000.0).close("interrupted")
    RecordedSweep(project, sweep_id="new", now=2000.0).close("interrupted")
    answer = type_hsm("status", "--json")
    assert json.loads(answer.out)["sweep_id"] == "new"
    assert "new" in answer.err
    assert json.loads(type_hsm("status", "o", "--json").out)["sweep_id"] == "old"


def test_status_all_lists_every_sweep_newest_first(type_hsm: Type, project: Path) -> None:
    """`--all` has a line for each sweep; one whose journal is damaged is named and hides no other."""
    RecordedSweep(project, sweep_id="first", now=1000.0).close("interrupted")
    RecordedSweep(project, sweep_id="second", now=2000.0).close("interrupted")
    broken = RecordedSweep(project, sweep_id="broken", now=3000.0)
    broken.close("interrupted")
    broken.layout.summary.unlink()
    journal = broken.layout.journal / "0001.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'{"e":"opened"', b'["e":"opened"'))
    answer = type_hsm("status", "--all", "--json")
    assert [facts["sweep_id"] for facts in json.loads(answer.out)] == ["second", "first"]
    assert "broken" in answer.err
    plain = type_hsm("monitor", "recent", "--limit", "2").out
    assert "second" in plain
    assert "first" not in plain


def test_no_sweeps_is_an_answer_for_all_and_an_error_for_one(type_hsm: Type, project: Path) -> None:
    """An empty project has an empty list, and no latest sweep."""
    (project / "hsm_config.yaml").write_text("")
    assert json.loads(type_hsm("status", "--all", "--json").out) == []
    assert "hsm run" in type_hsm("status", "--all").out
    answer = type_hsm("status")
    assert (answer.code, answer.out) == (3, "")
    assert "hsm run" in answer.err


def test_outside_a_project_the_remedy_is_named(type_hsm: Type, project: Path) -> None:
    """Without hsm_config.yaml here or above, every reading command exits 3 with one line and what to do."""
    for words in (["status"], ["logs", "x", "1"], ["explain", "x", "1"], ["export"], ["monitor", "watch"]):
        answer = type_hsm(*words)
        assert answer.code == 3
        assert "hsm config init" in answer.err


@pytest.mark.parametrize("word", ["../x", "", "-x", "a/b"])
def test_an_impossible_id_is_a_usage_error(type_hsm: Type, finished: RecordedSweep, word: str) -> None:
    """An id that would leave the outputs folder is refused before anything is read."""
    assert type_hsm("explain", "--", word, "1").code == 2


def test_a_sweep_whose_controller_died_is_interrupted(type_hsm: Type, project: Path) -> None:
    """The journal still says running; a dead controller and its remedy are seen all the same."""
    sweep = RecordedSweep(project)
    sweep.assign(0)
    sweep.start(0)
    running = json.loads(type_hsm("status", "--json").out)
    assert (running["state"], running["controller"]["alive"]) == ("running", True)
    sweep.crash()
    dead = json.loads(type_hsm("status", "--json").out)
    assert (dead["state"], dead["eta_s"]) == ("interrupted", None)
    assert "hsm complete sweep_1" in type_hsm("status").out


def test_status_without_a_summary_reads_the_journal(type_hsm: Type, finished: RecordedSweep) -> None:
    """The summary only saves time: without it, or with a damaged or late one, the answer is the same."""
    truth = type_hsm("status", "sweep_1", "--json").out
    summary = finished.layout.summary
    late = summary.read_text().replace('"position":[1,', '"position":[1,1')
    older = summary.read_text().replace('"eta_s"', '"eta"')
    for text in ("", "garbage", '{"hsm_summary": 99}', late, older):
        summary.write_text(text)
        assert type_hsm("status", "sweep_1", "--json").out == truth
    summary.unlink()
    assert type_hsm("status", "sweep_1", "--json").out == truth


def test_explain_tells_the_whole_story(type_hsm: Type, finished: RecordedSweep) -> None:
    """Assignment, start, end with its record, the retry and why: all in words, in order."""
    answer = type_hsm("explain", "sweep_1", "2")
    story = [
        "task_002 of sweep_1: failed",
        "declared",
        "attempt 1: assigned to local:local",
        "attempt 1: accepted",
        "attempt 1: started on here, process 101",
        "exit code 1",
        "goes back to wait",
        "attempt 2: assigned",
        "ValueError: too big",
        "Files: ",
    ]
    places = [answer.out.find(words) for words in story]
    assert -1 not in places
    assert places == sorted(places)
    facts = json.loads(type_hsm("explain", "sweep_1", "task_002", "--json").out)
    assert facts["state"] == "failed"
    assert [fact["event"] for fact in facts["evidence"]].count("ended") == 2


def test_explain_knows_every_event(type_hsm: Type, project: Path) -> None:
    """Lost, withdrawn, refused, held, cancelled: each leaves its words, and only at the tasks that it is about."""
    sweep = RecordedSweep(project)
    sweep.assign(0, 1)
    sweep.start(0)
    sweep.commit(
        make("lost", sweep.now, task=(0, 1), reason="NODE_FAIL"),
        make("observed", sweep.now, task=(1, 1), kind="held", reason="JobHeldAdmin"),
        make("withdrawn", sweep.now, task=(1, 1), reason="its runner died"),
        make("refused", sweep.now, source="local:local", tasks=[(2, 1)], acceptance="rejected", reason="no GPU"),
        make("held", sweep.now, reason="all fail"),
        make("paused", sweep.now, reason="at lunch"),
        make("resumed", sweep.now, reason="all fed"),
        make("cancelling", sweep.now, tasks=[2]),
    )
    sweep.close("held")
    told = {number: type_hsm("explain", "sweep_1", str(number)).out for number in (1, 2, 3)}
    assert "NODE_FAIL" in told[1]
    assert "JobHeldAdmin" in told[2]
    assert "its runner died" in told[2]
    assert "no GPU" in told[3]
    assert "asked to cancel it" in told[3]
    assert "cancel" not in told[1]
    assert all(word in text for text in told.values() for word in ("all fail", "at lunch", "all fed"))


def test_a_paused_sweep_says_so_and_how_to_go_on(type_hsm: Type, project: Path) -> None:
    """`status` says paused, why, whether anybody runs it, and the command; pausing it again changes nothing."""
    sweep = RecordedSweep(project)
    sweep.play(0)
    sweep.commit(make("paused", sweep.now, reason="at lunch"))
    sweep.close("interrupted", "SIGTERM")
    answer = type_hsm("status", "sweep_1")
    for words in ("Paused", "at lunch; nobody runs it now", "hsm resume sweep_1"):
        assert words in answer.out
    assert "paused already" in type_hsm("pause", "sweep_1").out
    assert json.loads(type_hsm("status", "sweep_1", "--json").out)["state"] == "paused"


def test_monitor_health_tells_since_when_why_and_how_the_machine_is(type_hsm: Type, project: Path) -> None:
    """Health, its age and reason, and the last facts, from the files alone; programs get them as JSON."""
    sweep = RecordedSweep(project)
    sweep.play(0)
    facts = {"latency_s": 0.012, "load_1m": 3.5, "cpus": 8, "disk_free_mb": 2048, "inodes_free": 1000}
    facts["clock_skew_s"] = -2.5
    sweep.commit(
        make("measured", sweep.now, source="local:local", facts=facts),
        make("barred", sweep.now, source="local:local", reason="its canary failed: exit code 1", until=None),
    )
    measured_at = sweep.now
    sweep.close("interrupted")
    answer = type_hsm("monitor", "health", "sweep_1")
    for words in ("Disabled", "12ms", "3.5/8", "2.0 G", "1,000", "-2.5s", "its canary failed: exit code 1"):
        assert words in " ".join(answer.out.split())
    answered = json.loads(type_hsm("monitor", "health", "sweep_1", "--json").out)
    (source,) = answered["sources"]
    assert (source["id"], source["health"], source["facts"]) == ("local:local", "disabled", facts)
    assert source["since"] == source["facts_at"] == measured_at
    assert type_hsm("monitor", "health", "sweep_1", "--watch").code == 0, "it is over, and so is the watching"


def test_tasks_that_are_not_there_are_not_found(type_hsm: Type, finished: RecordedSweep) -> None:
    """A number beyond the sweep exits 3, a word that names no task 2; both say what there is."""
    for command in ("logs", "explain"):
        beyond = type_hsm(command, "sweep_1", "4")
        assert (beyond.code, "task_001 to task_003" in beyond.err) == (3, True)
        assert type_hsm(command, "sweep_1", "4x").code == 2


def test_logs_prints_both_streams_or_one(type_hsm: Type, finished: RecordedSweep) -> None:
    """Both files with a heading each; one alone comes without, ready for a pipe."""
    finished.write(0, "stdout.log", "printed\n")
    finished.write(0, "stderr.log", "warned\n")
    assert type_hsm("logs", "sweep_1", "1").out == "==> stdout <==\nprinted\n==> stderr <==\nwarned\n"
    assert type_hsm("logs", "sweep_1", "task_001", "--stdout").out == "printed\n"
    assert type_hsm("logs", "sweep_1", "task_1", "--stderr").out == "warned\n"


def test_logs_finds_earlier_attempts(type_hsm: Type, finished: RecordedSweep) -> None:
    """Older attempts are in attempts/N; the newest in the task's folder; any other number is not found."""
    finished.write(1, "attempts/1/stdout.log", "first\n")
    finished.write(1, "stdout.log", "second\n")
    finished.write(1, "status.yaml", 'state: "failed"\nattempt: 2\n')
    assert type_hsm("logs", "sweep_1", "2", "--stdout", "--attempt", "1").out == "first\n"
    assert type_hsm("logs", "sweep_1", "2", "--stdout", "--attempt", "2").out == "second\n"
    answer = type_hsm("logs", "sweep_1", "2", "--attempt", "3")
    assert (answer.code, "newest is 2" in answer.err) == (3, True)


def test_logs_of_a_task_that_never_ran_says_so(type_hsm: Type, finished: RecordedSweep) -> None:
    """No output has a reason, and the command that tells it."""
    answer = type_hsm("logs", "sweep_1", "3")
    assert answer.code == 3
    assert "has not started" in answer.err
    assert "hsm explain sweep_1 task_003" in answer.err
    finished.write(2, "stdout.log", "")
    assert type_hsm("logs", "sweep_1", "3").code == 0


def test_logs_follow_ends_with_the_task(type_hsm: Type, project: Path) -> None:
    """`--follow` prints what comes and stops when the exit record is there; not a byte is missed."""
    sweep = RecordedSweep(project)
    sweep.assign(0)
    sweep.start(0)
    sweep.write(0, "stdout.log", "one\n")
    sweep.write(0, "status.yaml", 'state: "running"\n')

    def go_on() -> None:
        sweep.write(0, "stdout.log", "one\ntwo\n")
        sweep.write(0, "status.yaml", 'state: "completed"\n')

    timer = threading.Timer(0.3, go_on)
    timer.start()
    answer = type_hsm("logs", "sweep_1", "1", "--follow", "--stdout")
    timer.join()
    assert answer.out == "one\ntwo\n"
    sweep.crash()


def test_watch_through_a_pipe_prints_a_line_a_change_and_ends(type_hsm: Type, project: Path) -> None:
    """`monitor watch` follows a sweep in lines, says each change once, and ends when its controller lets go."""
    sweep = RecordedSweep(project)
    sweep.play(0)

    def end() -> None:
        sweep.play(1)
        sweep.play(2)
        sweep.close()

    timer = threading.Timer(0.5, end)
    timer.start()
    answer = type_hsm("monitor", "watch", "--interval", "0.2")
    timer.join()
    lines = answer.out.splitlines()
    assert len(set(lines)) == len(lines) >= 2
    assert lines[0].startswith("sweep_1: running")
    assert lines[-1] == "sweep_1: completed, 3/3 (100.0%): 3 completed"


def test_watch_of_a_finished_sweep_ends_at_once(type_hsm: Type, finished: RecordedSweep) -> None:
    """There is nothing to wait for; each JSON line is a whole object."""
    answer = type_hsm("monitor", "watch", "sweep_1", "--json")
    assert [json.loads(line)["sweep_id"] for line in answer.out.splitlines()] == ["sweep_1"]


def test_plugins_lists_the_broken_ones_too(type_hsm: Type, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that cannot be used is listed with its error, in the table and in JSON."""
    from hsm_core import plugins as loader

    found = loader.Plugins()
    found.infos = [
        loader.PluginInfo("local", "hsm-local", "1.0", kinds=["local"]),
        loader.PluginInfo("bad", "hsm-bad", "0.1", error="ImportError: no module"),
    ]
    monkeypatch.setattr(loader, "load", lambda: found)
    answer = type_hsm("plugins")
    assert "bad: ImportError: no module" in answer.out
    listed = json.loads(type_hsm("plugins", "--json").out)
    assert [{key: one[key] for key in ("name", "version", "kinds", "strategies", "error")} for one in listed] == [
        {"name": "local", "version": "1.0", "kinds": ["local"], "strategies": [], "error": ""},
        {"name": "bad", "version": "0.1", "kinds": [], "strategies": [], "error": "ImportError: no module"},
    ]
    found.infos = []
    assert "pip install" in type_hsm("plugins").out


def test_status_imports_nothing_heavy(finished: RecordedSweep) -> None:
    """Reading a finished sweep needs neither YAML nor schemas, plugins nor rich: that is what makes it quick."""
    code = (
        "import sys; sys.argv = ['hsm', 'status', 'sweep_1']\n"
        "from hsm_core.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'yaml', 'jsonschema', 'rich', 'structlog', 'ruamel', 'pluggy', 'hsm_core.engine.engine'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"
