"""From an attempt to what is run: parameters, command, files."""

from __future__ import annotations

from typing import Dict, Optional, Protocol

from ..command import CommandTemplate
from ..contract import Attempt, TaskSpec
from ..space import Space
from ..store.layout import task_id
from .settings import Settings

__all__ = ["TaskMaker", "command_of", "task_maker"]


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


def task_maker(settings: Settings, space: Space, sweep_dir: str) -> TaskMaker:
    """A function that makes tasks; nothing is made before it is needed.

    :param sweep_dir: the sweep's folder here, absolute.
    """
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
            resources=settings.resources,
        )

    return make
