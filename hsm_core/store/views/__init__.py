"""The views: every YAML file and log of a sweep that the guide lists, made from the journal and never read back.

A view may be late, and after a crash wrong, for a moment; it can always be made again. `Views` is what a controller
keeps beside its journal; `describe` says what is known of a sweep in plain JSON, for `summary.json` and `hsm status`.
"""

from __future__ import annotations

from .facts import Facts, describe
from .metadata import write_metadata
from .names import short_names
from .views import Views

__all__ = ["Facts", "Views", "describe", "short_names", "write_metadata"]
