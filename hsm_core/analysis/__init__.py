"""What failures have to say: read from the files they left, grouped by what is alike."""

from __future__ import annotations

from .signature import read_tail, signature

__all__ = ["read_tail", "signature"]
