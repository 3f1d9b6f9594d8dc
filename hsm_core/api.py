"""Projects and sweeps as Python objects: what the command line uses, and scripts and notebooks may.

from hsm_core.api import Project, RunOptions

project = Project.open(".")
finish = project.start(options=RunOptions(sources="local:4")).run()
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence, Tuple, Union

from .config import LoadedConfig, find_project, load_config
from .engine.engine import Finish
from .engine.state import SweepState
from .plugins import Plugins, load
from .run.conduct import Conduct, begin, conduct, replay_sweep
from .run.prepare import Prepared, RunOptions, prepare
from .run.wishes import Wish
from .store import sweeps
from .store.layout import ProjectLayout, SweepLayout

__all__ = ["Conduct", "Project", "RunOptions", "Sweep", "Wish"]


class Sweep:
    """A sweep on disk.

    :param plugins: what may run it; loaded when first needed if None.
    """

    def __init__(self, layout: SweepLayout, plugins: Optional[Plugins] = None) -> None:
        self.layout = layout
        self._plugins = plugins

    @property
    def id(self) -> str:
        """Its id, the name of its folder."""
        return self.layout.sweep_id

    def state(self) -> SweepState:
        """Everything that its journal says now."""
        return replay_sweep(self.layout)[0]

    def run(self, how: Optional[Conduct] = None) -> Tuple[Finish, SweepState]:
        """Be its controller until nothing is left to do. See `Conduct`.

        :raises SweepBusyError: another controller holds it.
        """
        return conduct(self.layout, how or Conduct(), self._plugins or load())


class Project:
    """A project: a folder with an hsm_config.yaml.

    :raises ConfigError: when the configuration cannot be used.
    """

    def __init__(self, root: Union[str, Path]) -> None:
        self.layout = ProjectLayout(root)
        self.config: LoadedConfig = load_config(self.layout.root)

    @classmethod
    def open(cls, start: Union[str, Path] = ".") -> Project:
        """The project that `start` is in. :raises NotFoundError: when there is none."""
        return cls(find_project(Path(start)))

    def prepare(
        self,
        sweep_file: Optional[Union[str, Path]] = None,
        options: Optional[RunOptions] = None,
        plugins: Optional[Plugins] = None,
    ) -> Prepared:
        """Check a sweep without beginning it. :param sweep_file: by default the project's own."""
        path = Path(sweep_file) if sweep_file is not None else self.layout.sweep_config
        return prepare(self.config, path, options or RunOptions(), plugins)

    def begin(self, prepared: Prepared, plugins: Optional[Plugins] = None) -> Sweep:
        """Make the folder of a sweep that was checked. :raises HsmError: it cannot be made; nothing is left behind."""
        return Sweep(begin(self.layout, prepared), plugins)

    def start(self, sweep_file: Optional[Union[str, Path]] = None, options: Optional[RunOptions] = None) -> Sweep:
        """Check a sweep and make its folder; `Sweep.run` runs it."""
        plugins = load()
        return self.begin(self.prepare(sweep_file, options, plugins), plugins)

    def sweep(self, prefix: Optional[str] = None) -> Sweep:
        """A sweep by its id or the beginning of it; the latest for None. :raises NotFoundError: no such sweep."""
        return Sweep(sweeps.find_sweep(self.layout, prefix))

    def sweeps(self) -> Sequence[Sweep]:
        """All sweeps, newest first."""
        return [Sweep(layout) for layout in sweeps.list_sweeps(self.layout)]
