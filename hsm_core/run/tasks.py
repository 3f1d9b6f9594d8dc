"""From an attempt to what is run: parameters, command, files."""

from __future__ import annotations

from typing import Callable

from ..command import CommandTemplate
from ..contract import Attempt, TaskSpec
from ..space import Space
from ..store.layout import task_id
from .settings import Settings

__all__ = ["command_of", "task_maker"]


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


def task_maker(settings: Settings, space: Space, sweep_dir: str) -> Callable[[Attempt], TaskSpec]:
    """A function that makes tasks, one attempt at a time; nothing is made before it is needed.

    :param sweep_dir: the sweep's folder on the host where tasks run, absolute.
    """
    template = command_of(settings, space, sweep_dir)
    total = settings.total

    def make(attempt: Attempt) -> TaskSpec:
        index, number = attempt
        name = task_id(index, total)
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
