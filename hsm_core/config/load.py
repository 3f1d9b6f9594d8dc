"""Finding and reading `hsm_config.yaml`, with the user's own file below it.

Facts about a machine (its interpreter, its sources) may live in `~/.config/hsm/config.yaml`; where both files say
something, the project's wins, key by key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ..errors import NotFoundError
from ..yamlfile import Document, Mark, Problem, check, load, raise_problems
from ..yamlfile import Path as KeyPath
from .model import HsmConfig, read_config
from .schema import SCHEMA

__all__ = [
    "FILE_NAME",
    "Layers",
    "LoadedConfig",
    "check_source",
    "find_project",
    "load_config",
    "read_layers",
    "user_file",
]

FILE_NAME = "hsm_config.yaml"
_SECTIONS = frozenset(SCHEMA["properties"])


@dataclass(frozen=True)
class Layers:
    """Configuration files, the strongest first, read as one.

    :param data: their contents merged, key by key; lists and single values are not mixed.
    """

    documents: Tuple[Document, ...]
    data: Dict[str, Any]

    def origin(self, path: KeyPath) -> Optional[Document]:
        """The file that the value at `path` comes from, None when no file has it."""
        return next((document for document in self.documents if _has(document.data, path)), None)

    def mark(self, path: KeyPath = ()) -> Mark:
        """Where the value at `path`, or the last thing on the way there, begins."""
        return self._nearest(path).mark(path)

    def key_mark(self, path: KeyPath = ()) -> Mark:
        """Where the key of the value at `path`, or of the last thing on the way there, is."""
        return self._nearest(path).key_mark(path)

    @property
    def warnings(self) -> Tuple[Problem, ...]:
        """The warnings of all the files."""
        return tuple(warning for document in self.documents for warning in document.warnings)

    def _nearest(self, path: KeyPath) -> Document:
        for length in range(len(path), -1, -1):
            document = self.origin(path[:length])
            if document is not None:
                return document
        return Document(FILE_NAME, {})


@dataclass(frozen=True)
class LoadedConfig:
    """A checked configuration and where it came from.

    :param warnings: values that may not be what their writer meant.
    """

    config: HsmConfig
    layers: Layers
    project_dir: Path

    @property
    def warnings(self) -> Tuple[Problem, ...]:
        """Values that may not be what their writer meant."""
        return self.layers.warnings


def find_project(start: Path) -> Path:
    """The nearest folder, from `start` upwards, that holds a `hsm_config.yaml`.

    :raises NotFoundError: when there is none.
    """
    start = Path(os.path.abspath(start))
    for folder in (start, *start.parents):
        if os.path.isfile(folder / FILE_NAME):
            return folder
    raise NotFoundError(
        f"{start}: no {FILE_NAME} here or in any folder above", "run `hsm config init` in the project's folder"
    )


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the user's own configuration would be, whether it exists or not."""
    base = environ.get("XDG_CONFIG_HOME", "")
    # The XDG rules: a relative path there is to be ignored.
    folder = Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~")) / ".config"
    return folder / "hsm" / "config.yaml"


def read_layers(project_dir: Path, user: Optional[Path] = None) -> Layers:
    """The project's file and the user's, unchecked; either may be missing.

    :param user: the user's file, by default `user_file()`.
    :raises ConfigError: when one of them is not a YAML mapping.
    """
    candidates = (project_dir / FILE_NAME, user_file() if user is None else user)
    documents = tuple(load(path) for path in candidates if os.path.isfile(path))
    data: Dict[str, Any] = {}
    for document in reversed(documents):
        # A section all of whose lines are commented out is as good as absent.
        said = {key: value for key, value in document.data.items() if value is not None or key not in _SECTIONS}
        data = _merged(data, said)
    return Layers(documents, data)


def load_config(project_dir: Path, user: Optional[Path] = None) -> LoadedConfig:
    """Read and check the configuration of a project; without any file it is all defaults.

    :param user: the user's own file, by default `user_file()`.
    :raises ConfigError: when a file says something it must not; the message names file, line and column.
    """
    project_dir = Path(os.path.abspath(project_dir))
    layers = read_layers(project_dir, user)
    raise_problems(check(layers, SCHEMA))
    return LoadedConfig(read_config(layers.data, project_dir.name), layers, project_dir)


def check_source(layers: Layers, name: str, options_schema: Mapping[str, Any]) -> List[Problem]:
    """Hold one of `sources:` against the schema its kind's plugin brings.

    :param options_schema: `SourceType.options_schema`; it sees all of the entry but what is the core's.
    """
    return check(layers, options_schema, ("sources", name), ignore=("kind", "slots", "forecast"))


def _has(data: Any, path: KeyPath) -> bool:
    for step in path:
        known = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
        if step not in known:
            return False
        data = data[step]
    return True


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
