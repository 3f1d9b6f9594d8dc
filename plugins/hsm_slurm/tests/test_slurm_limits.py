"""What a cluster allows, from what it prints."""

from __future__ import annotations

import pytest
from hsm_slurm.dialect import SlurmDialect

from hsm_core.toolkit.dialect import Limits, Output

CONFIG = """\
Configuration data as of 2026-11-23T10:51:55
AccountingStorageEnforce = {enforce}
ClusterName             = citest
MaxArraySize            = {array}
MaxJobCount             = 10000
SchedulerParameters     = {parameters}

Slurmctld(primary) at vm is UP
"""


def limits(array="1001", enforce="none", parameters="(null)", associations="", qos="", **options):
    """What the dialect reads from these answers."""
    config = CONFIG.format(array=array, enforce=enforce, parameters=parameters)
    outputs = [Output(0, text, "") for text in (config, associations, qos)]
    return SlurmDialect().read_limits(outputs, "me", options)


def test_the_size_of_arrays():
    """MaxArraySize is one more than the largest index, which is as many elements as there are from 0."""
    assert limits() == Limits(array_size=1001)


@pytest.mark.parametrize("array", ["0", "1"])
def test_no_arrays(array):
    """A site may switch arrays off."""
    assert limits(array).array_size == 1


def test_fewer_jobs_than_an_array_may_have():
    """The smallest of all numbers that limit an array counts."""
    assert limits("100001").array_size == 10_000
    assert limits("100001", parameters="bf_max_job_test=50,max_array_tasks=500").array_size == 500


def test_the_number_of_jobs_of_a_user():
    """It is read from the associations on this cluster, those that are asked for, and from the quality of service."""
    rows = "citest|lab||normal|200\nother|lab||normal|5\ncitest|rich||normal,high|\ncitest|lab|gpu|normal|50\n"
    assert limits(enforce="associations,limits", associations=rows).queued == 50
    assert limits(enforce="associations,limits", associations=rows, account="lab", partition="cpu").queued == 200
    assert limits(enforce="limits", associations=rows, account="rich").queued is None


def test_the_quality_of_service_limits_too():
    """Asked for, or the only one that there is."""
    rows = "citest|lab||normal|200\n"
    assert limits(enforce="limits", associations=rows, qos="normal|40\nhigh|7\n").queued == 40


def test_limits_that_are_not_enforced_are_none():
    """An association's number binds nobody as long as the controller does not look at it."""
    assert limits(enforce="none", associations="citest|lab||normal|2\n").queued is None


def test_without_an_answer_caution_and_a_word_about_it():
    """Nothing could be read: single jobs, and a line for the person."""
    output = Output(1, "", "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)")
    found = SlurmDialect().read_limits([output], "me", {})
    assert found.array_size == 1
    assert "connect failure" in found.problem
    assert SlurmDialect().read_limits([], "me", {}).array_size == 1
