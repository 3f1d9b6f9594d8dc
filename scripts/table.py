"""Shows CSV from standard input as a table, best rows first: the end of `scripts/demo`."""

from __future__ import annotations

import csv
import sys

SHOWN = 10


def main() -> None:
    """Print the ten rows with the lowest loss, parameters and metrics only."""
    rows = list(csv.DictReader(sys.stdin))
    columns = ["task_id", "state"] + [name for name in rows[0] if name.startswith(("param.", "metric."))]
    rows.sort(key=lambda row: float(row.get("metric.loss") or "inf"))
    cells = [[name.split(".", 1)[-1] for name in columns]]
    cells += [[row[name] for name in columns] for row in rows[:SHOWN]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    cells.insert(1, ["-" * width for width in widths])
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    if len(rows) > SHOWN:
        print(f"... and {len(rows) - SHOWN} more; the lowest loss is at the top")


if __name__ == "__main__":
    main()
