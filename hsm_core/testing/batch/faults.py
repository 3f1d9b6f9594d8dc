"""Commands that fail, hang and lie: no task is lost, none runs twice, nothing is made up."""

from __future__ import annotations

import time

import pytest

from .site import BatchSite

__all__ = ["FaultsOfACluster"]


class FaultsOfACluster:
    """Tests of a cluster on which things go wrong."""

    # --- submissions

    @pytest.mark.parametrize(
        "lie",
        [
            'real "$@" >/dev/null; echo "{timeout}" >&2; exit 1',
            'real "$@"; exit 1',
            'real "$@" >/dev/null; exit 0',
            'real "$@"; echo "*** Maintenance on Monday ***"; exit 0',
            'echo "{timeout}" >&2; exit 1',
            'echo "{down}" >&2; exit 1',
            "kill -KILL $$",
            "exit 0",
        ],
        ids=[
            "accepts-then-times-out",
            "accepts-then-fails",
            "says-nothing",
            "banner",
            "times-out",
            "down",
            "dies",
            "mute",
        ],
    )
    def test_a_submission_that_goes_wrong(self, site: BatchSite, lie: str) -> None:
        """Accepted or not, and whatever it said: the job is looked for by its name, and every task runs once."""
        for word, said in site.cluster.refusals.items():
            lie = lie.replace(f"{{{word}}}", said)
        site.break_command(site.cluster.commands[0], lie)
        site.declare(6)
        site.run()
        assert 1 <= site.submitted() <= 2

    def test_a_submission_that_is_refused_for_now(self, site: BatchSite) -> None:
        """A limit is waited out, and charges nobody."""
        site.break_command(site.cluster.commands[0], f'echo "{site.cluster.refusals["limit"]}" >&2; exit 1')
        site.declare(4)
        site.run()
        assert {attempt for _, attempt in site.ledger()} == {1}

    # --- listings

    @pytest.mark.parametrize(
        "lie",
        [
            'echo "{timeout}" >&2; exit 1',
            "exit 0",
            'real "$@" | head -c 200',
            "echo 'DNS is slow today'; echo '|||||||'; real \"$@\"",
            'real "$@" | tr e x',
            "exit 1",
        ],
        ids=["fails", "empty", "torn", "banner", "garbled", "mute"],
    )
    def test_listings_that_are_wrong_from_some_moment_on(self, site: BatchSite, lie: str) -> None:
        """What the queue says or does not say is no end of a task: records are."""
        site.declare(6)
        site.behave("sleep 4")
        process = site.begin()
        site.began(6)
        site.break_command(
            site.cluster.commands[1], lie.replace("{timeout}", site.cluster.refusals["timeout"]), always=True
        )
        code, said = site.end(process)
        assert code == 0, said
        site.check()

    def test_a_queue_that_cannot_be_read_is_given_nothing(self, site: BatchSite) -> None:
        """Who could not look for what was accepted does not submit; it begins when that works."""
        site.declare(3)
        ask = site.cluster.commands[1]
        down = f'echo "{site.cluster.refusals["down"]}" >&2; exit 1'
        site.break_command(ask, f'[ "$1" != --version ] || {{ real "$@"; exit; }}; {down}', always=True)
        process = site.begin("here")
        site.until(lambda: site.cluster.refusals["down"].splitlines()[-1].partition(": ")[2] in site.said(process))
        assert site.submitted() == 0
        site.mend()
        code, said = site.end(process)
        assert code == 0, said
        site.check()

    def test_a_queue_that_hangs(self, site: BatchSite) -> None:
        """A question without an answer keeps nobody from reading records."""
        site.declare(4)
        site.behave("sleep 3")
        process = site.begin()
        site.began(4)
        site.break_command(site.cluster.commands[1], "exec sleep 15")
        code, said = site.end(process)
        assert code == 0, said
        site.check()

    def test_a_queue_that_forgets_a_running_job(self, site: BatchSite) -> None:
        """A listing without the job, for a while, ends nothing and repeats nothing."""
        site.configure(lost_grace=2)
        site.declare(3)
        site.behave("sleep 12")
        process = site.begin("here")
        site.began(3)
        site.break_command(site.cluster.commands[1], "exit 0", always=True)
        time.sleep(7)
        site.mend()
        assert site.end(process)[0] == 0, site.said(process)
        site.check()

    # --- the cluster

    def test_a_scheduler_that_is_down_for_a_while(self, site: BatchSite) -> None:
        """It answers nobody while tasks run, and again later: the sweep waits, and completes."""
        site.declare(12)
        site.behave("sleep 1")
        process = site.begin("here:6")
        site.began(3)
        site.cluster.stop()
        time.sleep(4)
        site.cluster.start()
        code, said = site.end(process)
        assert code == 0, said
        site.check()

    def test_no_scheduler_at_all(self, site: BatchSite) -> None:
        """`hpc` is no cluster that does not answer: the person hears so, and nothing is begun."""
        site.declare(2)
        site.leave_undescribed()
        site.cluster.stop()
        try:
            code, said = site.end(site.begin("hpc"))
        finally:
            site.cluster.start()
        assert code == 4, said
        assert "here, but: " in said, said

    def test_a_scheduler_that_is_down_at_the_beginning(self, site: BatchSite) -> None:
        """A cluster that was named is waited for, and then arrays are as large as they may be."""
        site.declare(5)
        site.cluster.stop()
        try:
            process = site.begin()
            site.until(lambda: "limits" in site.said(process) or "onnect" in site.said(process), "it says why it waits")
        finally:
            site.cluster.start()
        code, said = site.end(process)
        assert code == 0, said
        site.check()
        assert site.submitted() == 1

    def test_commands_that_are_not_there(self, site: BatchSite) -> None:
        """A machine without the commands says so, before anything is submitted."""
        site.declare(2)
        for path in (site.beside / "bin").iterdir():
            path.write_text("#!/bin/sh\nexit 127\n")
        code, said = site.end(site.begin())
        assert code == 4, said
