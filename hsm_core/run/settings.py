"""What a sweep was begun with, frozen beside its journal, so that `hsm complete` runs the same tasks months later."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from ..contract import SourceSpec, TaskResources
from ..errors import StoreError
from ..store.files import write_atomic
from ..store.layout import SweepLayout

__all__ = ["Settings"]

_FORMAT = 1


@dataclass(frozen=True)
class Settings:
    """How the tasks of a sweep are run; times in seconds.

    :param total: number of tasks, `--max-tasks` taken into account.
    :param digest: of the parameter space, to notice a changed sweep file.
    :param argv: the command line that began the sweep, which a controller in the background does not have.
    :param verify_sync: False is recorded: a person chose not to look.
    """

    project_dir: str
    total: int
    digest: str
    command: Tuple[str, ...]
    arg_style: str
    python: str
    script: Optional[str]
    env: Mapping[str, str]
    setup: Tuple[str, ...]
    sources: Tuple[SourceSpec, ...]
    argv: Tuple[str, ...] = ()
    strategy: str = "round_robin"
    seed: int = 0
    parallel_limit: Optional[int] = None
    retries: int = 0
    on_oom: Optional[Mapping[str, Any]] = None
    retry_rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    back_off_s: float = 0.0
    timeout_s: Optional[float] = None
    grace_s: float = 10.0
    hold_after: int = 10
    max_failures: Optional[int] = None
    canary: bool = False
    health_check_interval_s: float = 60.0
    result_collection_interval_s: float = 60.0
    keep_going: bool = False
    verify_sync: bool = True
    resources: TaskResources = field(default_factory=TaskResources)

    @property
    def longest_s(self) -> Optional[float]:
        """The longest that a task may run, as far as anybody said, seconds."""
        return min((limit for limit in (self.timeout_s, self.resources.walltime_s) if limit is not None), default=None)

    def write(self, layout: SweepLayout) -> None:
        """Keep them with the sweep. :raises OSError: when they cannot be written."""
        data = {"hsm_settings": _FORMAT, **dataclasses.asdict(self)}
        write_atomic(_path(layout), json.dumps(data, indent=1).encode("ascii"))

    @classmethod
    def read(cls, layout: SweepLayout) -> Settings:
        """Those of an earlier run. :raises StoreError: when they cannot be read."""
        path = _path(layout)
        try:
            data: Dict[str, Any] = json.loads(path.read_bytes())
            known = {field.name for field in dataclasses.fields(cls)}
            values = {key: value for key, value in data.items() if key in known}
            values["sources"] = tuple(SourceSpec(**spec) for spec in values["sources"])
            values["resources"] = _resources(values.get("resources") or {})
            values.setdefault("argv", ())
            for key in ("command", "setup", "argv"):
                values[key] = tuple(values[key])
            return cls(**values)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(
                f"cannot read how {layout.sweep_id} was begun: {path}: {error}", "was its folder copied whole?"
            ) from error


def _resources(data: Mapping[str, Any]) -> TaskResources:
    options = tuple(
        (name, tuple(value) if isinstance(value, list) else value) for name, value in data.get("options", ())
    )
    return TaskResources(**{**data, "native": tuple(data.get("native", ())), "options": options})


def _path(layout: SweepLayout) -> Path:
    return layout.private / "settings.json"
