"""Benchmarks: ours, the peers' in the same run, and the targets.

    python benchmarks/run.py                 all of them, some minutes
    python benchmarks/run.py noop startup    these
    python benchmarks/run.py --save          and keep the tables in docs/benchmarks.md

Ratios carry over to another machine, figures do not. Linux only: the measuring reads /proc.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List

from noop import noop, pool
from scale import declared, large
from slurm import slurm
from ssh import ssh
from startup import startup
from sync import sync
from table import Figure, markdown
from workbench import ROOT, Workbench, machine

BENCHMARKS: Dict[str, Callable[[Workbench], List[Figure]]] = {
    "noop": noop,
    "pool": pool,
    "startup": startup,
    "large": large,
    "declared": declared,
    "slurm": slurm,
    "ssh": ssh,
    "sync": sync,
}


def main() -> int:
    """Run the benchmarks that were named; 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--repeat", type=int, default=3, help="runs of each whose median is taken (default 3)")
    parser.add_argument("--save", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}: choose from {', '.join(BENCHMARKS)}")

    parts, missed = ["\n".join(f"- {line}" for line in machine())], 0
    print(parts[0])
    with Workbench(options.repeat) as bench:
        bench.prepare()
        for name in options.names or BENCHMARKS:
            start = time.perf_counter()
            figures = BENCHMARKS[name](bench)
            missed += sum(figure.met is False for figure in figures)
            what = inspect.getdoc(BENCHMARKS[name]) or ""
            parts.append(f"## {name}\n\n{what}\n\n{markdown(figures)}")
            print(f"\n{parts[-1]}\n\n({time.perf_counter() - start:.0f} s)", flush=True)
    if options.save:
        command = "python benchmarks/run.py " + " ".join([*options.names, "--save"])
        _save(ROOT / "docs" / "benchmarks.md", f"Measured by `{command}`.", parts)
    return 1 if missed else 0


def _save(path: Path, command: str, parts: List[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(["# Benchmarks", command, *parts]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
