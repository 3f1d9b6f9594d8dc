"""A project as it is found: what its folder shows, and the state of its code when a sweep is made."""

from __future__ import annotations

from .detect import Detected, Found, Script, detect
from .fingerprint import fingerprint

__all__ = ["Detected", "Found", "Script", "detect", "fingerprint"]
