"""What `hsm status` and `hsm monitor` show of a sweep: tables made from its facts, and what to type next."""

from __future__ import annotations

from typing import List, Mapping, Sequence, Tuple

from ..store.views.facts import Facts
from ..store.views.words import clock, one_line, span
from .tables import Column, Table

__all__ = [
    "ENDINGS",
    "change_text",
    "counts_text",
    "failure_lines",
    "health_table",
    "next_steps",
    "progress_text",
    "shown_counts",
    "sources_table",
    "sweep_table",
    "sweeps_table",
]

ENDINGS = ("completed", "failed", "timeout", "lost", "cancelled")
"""Final states in the order in which they are shown."""

_ALWAYS = ("completed", "failed", "running", "pending")
_SHOWN_FAILURES = 5


def sweep_table(facts: Facts) -> Table:
    """One sweep: its state, how far it is, how long it took and will take."""
    counts = facts["counts"]
    rows = [("Status", state_text(facts["state"]))]
    if facts["reason"] not in (None, "", "finished") and facts["state"] in (
        "held",
        "interrupted",
        "cancelled",
        "paused",
    ):
        rows.append(("Reason", one_line(facts["reason"])))
    rows.append(("Progress", progress_text(facts)))
    others = [state for state in counts if state not in _ALWAYS and counts[state]]
    rows += [(state.capitalize(), f"{counts[state]:,}") for state in (*_ALWAYS, *others)]
    rows.append(("Started", clock(facts["started_at"])))
    if facts["finished_at"] is not None:
        rows.append(("Finished", clock(facts["finished_at"])))
    rows.append(("Duration", span(facts["duration_s"])))
    if facts["finished_at"] is None:
        rows.append(("ETA", span(facts["eta_s"])))
    return Table((Column("Metric"), Column("Value", wide=True, state=True)), rows, f"Sweep Status: {facts['sweep_id']}")


def sources_table(facts: Facts) -> Table:
    """Its sources: how busy, how well, how fast."""
    rows: List[Sequence[str]] = []
    for source in facts["sources"]:
        health = source["health"] if source["open"] else "not in use"
        rows.append(
            (
                source["name"],
                f"{source['active']}/{source['slots']}",
                f"{source['completed']:,}",
                f"{source['failed']:,}",
                span(source["mean_duration_s"]),
                health.capitalize(),
                one_line(source["reason"]),
            )
        )
    columns = [
        Column("Source"),
        Column("Active", right=True),
        Column("Completed", right=True),
        Column("Failed", right=True),
        Column("Mean time", right=True),
        Column("Health", state=True),
    ]
    if any(row[-1] for row in rows):
        columns.append(Column("Reason", wide=True))
    else:
        rows = [list(row[:-1]) for row in rows]
    return Table(columns, rows, "Source Utilization:")


def health_table(facts: Facts, now: float) -> Table:
    """How its sources are, since when and why, and what they last said of their machines."""
    rows: List[Sequence[str]] = []
    for source in facts["sources"]:
        health = source["health"] if source["open"] else "not in use"
        told = source["facts"]
        rows.append(
            (
                source["name"],
                health.capitalize(),
                "-" if source["since"] is None else span(max(0.0, now - source["since"])),
                span(told.get("latency_s")),
                f"{told['load_1m']:g}/{told.get('cpus', '?')}" if "load_1m" in told else "-",
                f"{told['disk_free_mb'] / 1024:,.1f} G" if "disk_free_mb" in told else "-",
                f"{told['inodes_free']:,}" if "inodes_free" in told else "-",
                f"{told['clock_skew_s']:+.1f}s" if "clock_skew_s" in told else "-",
                "-" if source["facts_at"] is None else span(max(0.0, now - source["facts_at"])),
                one_line(source["reason"]),
            )
        )
    columns = [
        Column("Source"),
        Column("Health", state=True),
        Column("For", right=True),
        Column("Latency", right=True),
        Column("Load", right=True),
        Column("Disk free", right=True),
        Column("Inodes", right=True),
        Column("Clock", right=True),
        Column("Seen", right=True),
        Column("Reason", wide=True),
    ]
    return Table(columns, rows, f"Health of the sources of {facts['sweep_id']}:")


def sweeps_table(sweeps: Sequence[Facts]) -> Table:
    """Many sweeps, one line each."""
    rows = [
        (
            facts["sweep_id"],
            _short_state(facts),
            f"{facts['finished']:,}/{facts['total']:,}",
            clock(facts["started_at"] or facts["created_at"])[:16],
            span(facts["duration_s"]),
        )
        for facts in sweeps
    ]
    columns = (
        Column("Sweep", wide=True),
        Column("State", state=True),
        Column("Progress", right=True),
        Column("Started"),
        Column("Duration", right=True),
    )
    return Table(columns, rows)


def _short_state(facts: Facts) -> str:
    """`Completed`, `9 failed`, `Running, 2 failed`: fits into a line of 80 columns with the rest."""
    failed = _failed(facts)
    if facts["state"] == "completed_with_failures":
        return f"{failed:,} failed"
    return state_text(facts["state"]) + (f", {failed:,} failed" if failed else "")


def state_text(state: str) -> str:
    """A sweep's state in words."""
    return state.replace("_", " ").capitalize()


def progress_text(facts: Facts) -> str:
    """`15/27 (55.6%)`; never 100 % before the last task."""
    finished, total = facts["finished"], facts["total"]
    percent = 100.0 if finished == total else min(99.9, 100.0 * finished / total)
    return f"{finished:,}/{total:,} ({percent:.1f}%)"


def shown_counts(counts: Mapping[str, int]) -> List[Tuple[int, str]]:
    """`12 completed, 1 failed, 4 running, 10 waiting`: what is not zero, for a line that changes all the time.

    :param counts: state -> number of tasks, every state.
    """
    shown = {state: counts[state] for state in (*ENDINGS, "running")}
    shown["waiting"] = sum(counts.values()) - sum(shown.values())
    return [(count, word) for word, count in shown.items() if count]


def counts_text(counts: Mapping[str, int]) -> str:
    """`shown_counts` as words."""
    return ", ".join(f"{count:,} {word}" for count, word in shown_counts(counts))


def change_text(facts: Facts) -> str:
    """A sweep in one line, for whoever watches through a pipe."""
    eta = f"; about {span(facts['eta_s'])} left" if facts["eta_s"] is not None else ""
    state = facts["state"].replace("_", " ")
    return f"{facts['sweep_id']}: {state}, {progress_text(facts)}: {counts_text(facts['counts'])}{eta}"


def failure_lines(facts: Facts) -> List[str]:
    """The latest failures, a line each, newest last."""
    recent = facts["recent_failures"][-_SHOWN_FAILURES:]
    return [
        f"{failure['task_id']}  {failure['ended']}"
        + (f": {one_line(failure['signature'])}" if failure["signature"] != failure["ended"] else "")
        + (" (runs again)" if failure["again"] else "")
        for failure in recent
    ]


def next_steps(facts: Facts) -> List[str]:
    """Commands that a person may want now, with what they do."""
    sweep_id, state, counts = facts["sweep_id"], facts["state"], facts["counts"]
    steps = []
    if facts["recent_failures"]:
        failure = facts["recent_failures"][-1]
        # Summaries of sweeps before this fact was kept are of tasks that ran.
        word, what = ("logs", "what it printed") if failure.get("ran", True) else ("explain", "why it never ran")
        steps.append(f"hsm {word} {sweep_id} {failure['task_id']}    # {what}")
    if state == "running":
        steps.append(f"hsm monitor watch {sweep_id}    # follow it")
        return steps
    if state == "paused":
        steps.append(f"hsm resume {sweep_id}    # go on with it")
    elif state in ("interrupted", "held", "cancelled"):
        steps.append(f"hsm complete {sweep_id}    # go on with it")
    elif _failed(facts):
        steps.append(f"hsm complete {sweep_id} --retry-failed    # try again")
    elif counts["cancelled"]:
        steps.append(f"hsm complete {sweep_id}    # run what was cancelled")
    if counts["completed"]:
        steps.append(f"hsm export {sweep_id} --format csv    # the results")
    return steps


def _failed(facts: Facts) -> int:
    return sum(facts["counts"][state] for state in ("failed", "timeout", "lost"))
