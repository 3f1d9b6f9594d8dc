"""How the emulator is to behave: a file that tests write and the server reads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, List, Mapping

__all__ = ["DEFAULTS", "Settings"]

DEFAULTS: Mapping[str, Any] = {
    "flavour": "openpbs",
    "version": "23.06.06",
    "server": "pbshost",
    "ncpus": 16,
    "history": True,
    "scheduling": True,
    "max_array_size": 10_000,
    "max_queued": 0,
    "qdel_lag_s": 0.0,
    "kill_delay_s": 2.0,
    "undelivered_s": 1.0,
    "submission_lag_s": 0.0,
    "forgotten": [],
    "resources": [],
    "queues": {
        "workq": {},
        "closed": {"enabled": False},
        "acl": {"closed_to_users": True},
        "small": {"max_ncpus": 8, "max_walltime": 600, "max_array_size": 50},
        "lim": {"max_queued": 2},
    },
}
"""As it comes. Of the real one: `kill_delay_s` and `qdel_lag_s` 10, `undelivered_s` 33.

`flavour`: `openpbs` or `torque`; `forgotten`: numbers of jobs that nobody knows any more, which run on all the same;
`resources`: those that the site has made (`ngpus`);
`max_queued`: of a user, 0 for no limit; `submission_lag_s`: so long listings do not show what is new.
"""


class Settings:
    """What `settings.json` in a folder says, as attributes."""

    flavour: str
    version: str
    server: str
    ncpus: int
    history: bool
    scheduling: bool
    max_array_size: int
    max_queued: int
    qdel_lag_s: float
    kill_delay_s: float
    undelivered_s: float
    submission_lag_s: float
    forgotten: List[int]
    resources: List[str]
    queues: Dict[str, Dict[str, Any]]

    def __init__(self, folder: Path) -> None:
        self._path = folder / "settings.json"
        self._seen = ""
        self.__dict__.update(DEFAULTS)
        self.refresh()

    def refresh(self) -> None:
        """Read it again, if it has changed."""
        text = self._path.read_text() if self._path.exists() else "{}"
        if text != self._seen:
            self._seen = text
            self.__dict__.update({**DEFAULTS, **json.loads(text)})

    @staticmethod
    def write(folder: Path, values: Mapping[str, Any]) -> None:
        """Write it, whole or not at all."""
        hidden = folder / ".settings.json"
        hidden.write_text(json.dumps(dict(values)))
        os.rename(hidden, folder / "settings.json")
