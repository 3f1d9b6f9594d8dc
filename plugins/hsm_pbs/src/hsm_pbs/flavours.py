"""The flavours of PBS: what each calls things. Found by asking `qstat --version`, never guessed."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from hsm_core.toolkit.dialect import Output

__all__ = ["OPENPBS", "TORQUE", "Flavour", "read_flavour"]


class Flavour(NamedTuple):
    """What one flavour calls things, and what it can do.

    :param release: for a person: `OpenPBS 23.06.06`.
    :param array: the option that makes an array.
    :param variable: in it an element finds its index.
    :param json: `qstat -F json` is understood.
    :param history: `qstat -x` shows jobs that are over (Torque prints XML for it).
    :param throttles: `%N` after the range of an array is understood.
    :param after_array: the dependency on the end of an array.
    """

    name: str
    release: str
    array: str = "-J"
    variable: str = "PBS_ARRAY_INDEX"
    json: bool = True
    history: bool = True
    throttles: bool = True
    after_array: str = "afterany"


OPENPBS = Flavour("OpenPBS", "")
"""As long as nobody was asked."""
TORQUE = Flavour("Torque", "", "-t", "PBS_ARRAYID", json=False, history=False, after_array="afteranyarray")

_PBS = re.compile(r"^pbs_version = (PBSPro_)?(([0-9]+)\.\S+)", re.M)
_TORQUE = re.compile(r"^[Vv]ersion: (\S+)\s*\n[Cc]ommit: ", re.M)
_JSON_SINCE, _THROTTLES_SINCE, _YEARS_SINCE = 14, 20, 2000
"""PBS Pro counts by years since 2020: 2022.1."""


def read_flavour(output: Output) -> Optional[Flavour]:
    """The flavour that printed this version; None when it is none of them: Slurm has a `qstat` of its own."""
    text = f"{output.stdout}\n{output.stderr}"
    found = _PBS.search(text)
    if found is not None:
        pro, version, major = found.group(1), found.group(2), int(found.group(3))
        name = "PBS Pro" if pro or major >= _YEARS_SINCE else "OpenPBS"
        return OPENPBS._replace(
            name=name, release=f"{name} {version}", json=major >= _JSON_SINCE, throttles=major >= _THROTTLES_SINCE
        )
    found = _TORQUE.search(text)
    return TORQUE._replace(release=f"Torque {found.group(1)}") if found is not None else None
