"""`hsm test` on PBS: it names the flavour, and the first thing that is wrong with its remedy."""

from __future__ import annotations

import pytest


def tried(site, *words):
    """`hsm test here`: its exit code and what it said."""
    return site.hsm("test", "here", *words)


def test_a_cluster_that_is_well(site):
    """Every stage, up to a task from end to end; the release is named."""
    code, said = tried(site)
    assert code == 0, said
    for fact in ("OpenPBS", "answers", "takes and starts jobs", "arrays of"):
        assert fact in said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"queue": "wrkq"}, "there is no queue 'wrkq'"),
        ({"queue": "closed"}, "queue closed is not enabled"),
    ],
)
def test_a_queue_that_will_not_do(own_site, source, said):
    """One that is not there, with the nearest; one that takes nothing."""
    own_site.configure(**source)
    code, printed = tried(own_site)
    assert code == 1, printed
    assert said in printed
    assert "set `queue`" in printed


def test_a_walltime_that_is_too_long(own_site):
    """The queue's own limit, and how to keep it."""
    own_site.configure({"walltime": "1h"}, queue="small")
    code, said = tried(own_site)
    assert code == 1, said
    assert "may run for 00:10:00, and resources.walltime is 01:00:00" in said
    assert "ask for less in resources.walltime" in said


def test_a_server_that_is_down(own_site):
    """Its own words."""
    own_site.cluster.stop()
    code, said = tried(own_site)
    assert code == 1, said
    assert "cannot connect to server pbshost" in said


def test_commands_of_another(own_site):
    """Something that has the names, and is no PBS."""
    for path in (own_site.beside / "bin").iterdir():
        path.write_text("#!/bin/sh\necho 'Unknown option: version' >&2; exit 2\n")
    code, said = tried(own_site)
    assert code == 1, said
    assert "is not that of PBS" in said
