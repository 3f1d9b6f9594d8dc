"""From an attempt to what is run: parameters, command, files."""

from __future__ import annotations

from typing import Callable, Dict, Optional, Protocol, Tuple

from ..command import CommandTemplate
from ..config import read_resources
from ..contract import Attempt, TaskResources, TaskSpec
from ..space import Space, SweepFile
from ..store.layout import task_id
from .settings import Settings

__all__ = ["TaskMaker", "command_of", "resources_of", "task_maker"]


class TaskMaker(Protocol):
    """Makes tasks, one attempt at a time."""

    def __call__(self, attempt: Attempt, sweep_dir: Optional[str] = None) -> TaskSpec:
        """What to run for an attempt.

        :param sweep_dir: the sweep's folder as the task will see it, absolute; None: as here.
        """


def command_of(settings: Settings, space: Space, sweep_dir: str) -> CommandTemplate:
    """The command of every task. :raises ConfigError: when it, or a parameter of the space, cannot be passed."""
    return CommandTemplate(
        settings.command,
        settings.arg_style,
        names=space.names,
        python=settings.python,
        script=settings.script,
        sweep_dir=sweep_dir,
        origin="project.command",
    )


def resources_of(settings: Settings, sweep: SweepFile) -> Callable[[int], TaskResources]:
    """What each task asks for, by its index: the sweep's, and over them those of every group that it is in."""
    made: Dict[Tuple[bool, ...], TaskResources] = {}

    def find(index: int) -> TaskResources:
        if not sweep.groups:
            return settings.resources
        params = sweep.space.params(index)
        fits = tuple(bool(group.where.holds(params)) for group in sweep.groups)
        if fits not in made:
            found = settings.resources
            for group, member in zip(sweep.groups, fits):
                found = read_resources(group.resources, found) if member else found
            made[fits] = found
        return made[fits]

    return find


def task_maker(settings: Settings, sweep: SweepFile, sweep_dir: str) -> TaskMaker:
    """A function that makes tasks; nothing is made before it is needed.

    :param sweep_dir: the sweep's folder here, absolute.
    """
    space, find_resources = sweep.space, resources_of(settings, sweep)
    here = command_of(settings, space, sweep_dir)
    elsewhere: Dict[str, CommandTemplate] = {}
    total = settings.total

    def make(attempt: Attempt, sweep_dir: Optional[str] = None) -> TaskSpec:
        index, number = attempt
        name = task_id(index, total)
        template = here
        if sweep_dir is not None:
            if sweep_dir not in elsewhere:
                elsewhere[sweep_dir] = command_of(settings, space, sweep_dir)
            template = elsewhere[sweep_dir]
        argv, env, files = template.render(space.params(index), name, index, number)
        return TaskSpec(
            index,
            number,
            name,
            argv,
            env=env,
            files=files,
            timeout_s=settings.timeout_s,
            resources=find_resources(index),
        )

    return make
