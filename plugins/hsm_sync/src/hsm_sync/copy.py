"""A source's copy of the project, and what is known of it: where it is, how to ask about it, who verified it last."""

from __future__ import annotations

import contextlib
import weakref
from dataclasses import dataclass
from typing import Optional

from hsm_core.contract import Host, Source, SourceSpec

from .courier import Courier
from .here import Here, look_here, project_name

__all__ = ["Copy", "copy_of", "latest_look", "look_for"]

_looks: weakref.WeakKeyDictionary[Source, Here] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Copy:
    """Where a source that is not on this machine has the project.

    :param own: the folder there that the user configured; None: snapshots.
    """

    id: str
    host: Host
    own: Optional[str]
    courier: Courier


def copy_of(source: Source, project_dir: str, spec: Optional[SourceSpec], own: Optional[str] = None) -> Optional[Copy]:
    """The copy of a source; None where there is none, because it sees the files here or has no machine.

    :param own: the folder that is meant, whatever is configured.
    """
    host = source.host()
    if host is None or host.is_here:
        return None
    options = spec.options if spec is not None else {}
    if own is None and options.get("project") is not None:
        own = str(options["project"])
    courier = Courier(host, str(options.get("python", "python3")), project_name(project_dir), own)
    return Copy(spec.id if spec is not None else host.name, host, own, courier)


def look_for(source: Source, project_dir: str) -> Here:
    """Look at the project here, and remember it for who asks next about this source."""
    here = look_here(project_dir)
    with contextlib.suppress(TypeError):  # a source that cannot be a key is looked at twice
        _looks[source] = here
    return here


def latest_look(source: Source, project_dir: str) -> Here:
    """What `look_for` saw, once: what was located is what has to be verified."""
    try:
        seen = _looks.pop(source, None)
    except TypeError:
        seen = None
    return seen or look_here(project_dir)
