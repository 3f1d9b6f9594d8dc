"""What each task asks for: the configuration, the sweep, and the groups that a task is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.api import Project, RunOptions
from hsm_core.contract import SourceType, TaskResources
from hsm_core.errors import ConfigError
from hsm_core.run.settings import Settings
from hsm_core.run.sources import check_task_options
from hsm_core.run.tasks import resources_of, task_maker
from hsm_core.store.layout import SweepLayout
from hsm_core.toolkit.batch_options import batch_schema, one_line
from hsm_core.toolkit.batch_request import job_request

SWEEP = """\
grid:
  model.size: [1, 2, 3]
  lr: [0.1, 0.2]
resources:
  memory: 2G
  options: {partition: cpu, setup: [a]}
  groups:
    - where: model.size > 1
      memory: 8G
      gpus: 1
      options: {partition: gpu}
    - where: model.size == 3 and lr > 0.1
      gpus: 4
      walltime: 1h
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with resources of its own."""
    (tmp_path / "hsm_config.yaml").write_text(
        "project: {command: ['true', '{args}']}\nresources: {cpus: 3, memory: 1G, options: {qos: low}}\n"
    )
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "sweep_config.yaml").write_text(SWEEP)
    return Project(tmp_path)


def test_groups_lie_over_the_sweep_and_the_sweep_over_the_configuration(project: Project) -> None:
    """What a layer leaves out stays, options one by one; of several groups the last one comes first."""
    prepared = project.prepare()
    find = resources_of(prepared.settings, prepared.sweep)
    base = TaskResources(3, 2048, options=(("partition", "cpu"), ("qos", "low"), ("setup", ("a",))))
    big = (("partition", "gpu"), ("qos", "low"), ("setup", ("a",)))
    assert [find(index) for index in range(6)] == [
        base,
        base,
        TaskResources(3, 8192, 1, options=big),
        TaskResources(3, 8192, 1, options=big),
        TaskResources(3, 8192, 1, options=big),
        TaskResources(3, 8192, 4, None, 3600.0, options=big),
    ]
    make = task_maker(prepared.settings, prepared.sweep, str(project.layout.outputs))
    assert make((5, 1)).resources == find(5)


def test_resources_are_kept_with_the_sweep(project: Project, tmp_path: Path) -> None:
    """Months later the same tasks ask for the same, lists and all."""
    prepared = project.prepare()
    layout = SweepLayout(tmp_path / "kept")
    layout.private.mkdir(parents=True)
    prepared.settings.write(layout)
    assert Settings.read(layout).resources == prepared.settings.resources


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("{where: nosuch == 1, gpus: 1}", "nosuch"),
        ("{where: lr >, gpus: 1}", "is not an expression"),
        ("{gpus: 1}", "where"),
        ("{where: lr > 0.1, memroy: 1G}", "memroy"),
        ("{where: lr > 0.1, memory: 4}", "a size with its unit"),
        ('{where: lr > 0.1, gpu_type: "a\\nb"}', "control characters"),
        ('{where: lr > 0.1, native: ["--x\\n#SBATCH --y"]}', "control characters"),
        ('{where: lr > 0.1, options: {setup: ["a\\nb"]}}', "control characters"),
    ],
)
def test_a_group_that_is_wrong_is_said_with_its_place(project: Project, group: str, words: str) -> None:
    """Conditions, keys and values of groups are checked like all else, before anything runs."""
    path = project.layout.sweep_config
    path.write_text(SWEEP.split("  groups:")[0] + f"  groups:\n    - {group}\n")
    with pytest.raises(ConfigError, match=words) as caught:
        project.prepare()
    assert "sweep_config.yaml:8:" in caught.value.message


def kinds() -> List[SourceType]:
    """A batch kind, and one that takes nothing from tasks."""
    schema = batch_schema({"partition": one_line("Where.")})
    make: Any = lambda spec: None  # noqa: E731 - nothing is opened
    return [SourceType("batch", make, schema), SourceType("local", make, {"properties": {"gpus": {}}})]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"partitoin": "gpu"}, "no source of this sweep takes 'partitoin' from a task"),
        ({"tasks_per_job": 3}, "no source of this sweep takes 'tasks_per_job'"),
        ({"gpus": 3}, "no source of this sweep takes 'gpus'"),
        ({"partition": 3}, "partition must be text on one line"),
        ({"partition": "a\nb"}, "partition must be text on one line"),
        ({"modules": "cuda"}, "modules"),
    ],
)
def test_an_option_that_no_source_takes_is_refused(options: Mapping[str, Any], words: str) -> None:
    """A slip in an option would otherwise send tasks to a place where they were not meant to go."""
    with pytest.raises(ConfigError, match=words):
        check_task_options([{}, options], kinds())


def test_options_that_a_source_takes_are_well() -> None:
    """One of the sweep's sources is enough."""
    check_task_options([{"partition": "gpu", "modules": ["cuda"], "setup": ["true"]}], kinds())


@given(st.dictionaries(st.sampled_from(["partition", "qos", "account"]), st.text(min_size=1)))
def test_options_of_a_task_are_those_of_its_job(options: Mapping[str, str]) -> None:
    """What a task wants takes the place of what the source has; the rest stays."""
    source = {"partition": "cpu", "modules": ["m"]}
    resources = TaskResources(options=tuple(sorted(options.items())))
    job = job_request(source, "n", resources, ["true"], folder="/", output="/")
    assert job.options == {**source, **options}
    assert job.modules == ("m",)


def test_a_run_refuses_options_that_nobody_takes(project: Project) -> None:
    """On this machine there are no partitions: a sweep that asks for one says so before it begins."""
    from hsm_core.plugins import load

    with pytest.raises(ConfigError, match="no source of this sweep takes 'qos'"):
        project.prepare(options=RunOptions(sources="local"), plugins=load())
