"""Paths as a person reads them."""

from __future__ import annotations

__all__ = ["shown_path"]


def shown_path(path: str) -> str:
    """A path exactly, on one line: what cannot be printed (a newline, bytes that are no text) is escaped."""
    return path if path.isprintable() else ascii(path)[1:-1]
