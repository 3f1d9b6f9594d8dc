"""A first grid from a script's own options: what it declares to argparse or click, read without running it."""

from __future__ import annotations

import ast
import warnings
from typing import Any, Dict, Iterator, List, Optional, Tuple

__all__ = ["propose_grid"]

_MAX_PARAMETERS = 3
_NOT_TUNED = frozenset(
    ["device", "gpu", "gpus", "jobs", "log_interval", "n_jobs", "num_workers", "port", "rank", "seed", "workers"]
)


def propose_grid(text: str) -> Dict[str, List[Any]]:
    """Up to three parameters of a Python program, with values around their defaults; empty when none can be seen.

    Options without a number or choices to vary (flags, paths, seeds, workers) are left out.
    """
    grid: Dict[str, List[Any]] = {}
    for name, default, choices in _options(text):
        values = choices[:3] if choices else _around(default)
        if len(values) > 1 and name.replace("-", "_") not in _NOT_TUNED and len(grid) < _MAX_PARAMETERS:
            grid.setdefault(name, values)
    return grid


def _options(text: str) -> Iterator[Tuple[str, Any, List[Any]]]:
    """Name, default and choices of each `add_argument("--name", …)` and `option("--name", …)`, in their order."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the person's code; not ours to show
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if called not in ("add_argument", "option"):
            continue
        words = [_literal(word) for word in call.args]
        name = next((word[2:] for word in words if isinstance(word, str) and word.startswith("--")), "")
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        # Options that take no value, or several, cannot be swept by a list of single values.
        if not name.isprintable() or not name or "/" in name or {"action", "nargs", "is_flag"} & set(keywords):
            continue
        choices = _literal(keywords.get("choices"))
        yield name, _literal(keywords.get("default")), list(choices) if isinstance(choices, (list, tuple)) else []


def _literal(node: Optional[ast.expr]) -> Any:
    """The value of a literal, None for any other expression."""
    try:
        return None if node is None else ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _around(default: Any) -> List[Any]:
    """Values around a default that a program is likely to accept: fractions stay fractions, counts positive."""
    if isinstance(default, bool) or not isinstance(default, (int, float)) or not 0 < default < 1e9:
        return []
    if isinstance(default, int):
        return sorted({max(1, default // 2), default, default * 2})
    factors: Tuple[float, ...]
    if default < 0.1:
        factors = (0.1, 1, 10)
    elif default <= 1:
        factors = (0.25, 0.5, 1)
    else:
        factors = (0.5, 1, 2)
    return [float(f"{default * factor:.6g}") for factor in factors]
