"""From parameters to what a program is given: argv, environment and files. No shell is ever involved."""

from __future__ import annotations

from .styles import STYLES
from .template import CommandTemplate, Rendered

__all__ = ["STYLES", "CommandTemplate", "Rendered"]
