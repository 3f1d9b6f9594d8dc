"""Benchmarks: ours, the peers' in the same run, and the targets.

    python benchmarks/run.py                 all of them, some minutes
    python benchmarks/run.py noop startup    these
    python benchmarks/run.py NAME --save     and keep the tables in docs/benchmarks.md, in the place of older ones

Ratios carry over to another machine, figures do not. Linux only: the measuring reads /proc.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, Mapping

from noop import noop, pool
from scale import declared, large
from slurm import slurm
from ssh import ssh
from startup import startup
from sync import sync
from table import Figure, markdown
from workbench import ROOT, Workbench, machine


def strategies(bench: Workbench) -> List[Figure]:
    """How long sweeps take under `fastest` and `round_robin`, over the time that no strategy can beat."""
    # Simulated in this process, which needs hsm's packages; the others bring theirs.
    from strategies import strategies as simulated

    return simulated(bench)


BENCHMARKS: Dict[str, Callable[[Workbench], List[Figure]]] = {
    "noop": noop,
    "pool": pool,
    "startup": startup,
    "large": large,
    "declared": declared,
    "slurm": slurm,
    "ssh": ssh,
    "sync": sync,
    "strategies": strategies,
}
_NEED_NOTHING = {"strategies"}
"""They run in this process, where hsm's packages must be: nothing is installed for them."""


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

    names, missed = options.names or list(BENCHMARKS), 0
    sections: Dict[str, str] = {}
    where = "\n".join(f"- {line}" for line in machine())
    print(where)
    with Workbench(options.repeat) as bench:
        if set(names) - _NEED_NOTHING:
            bench.prepare()
        for name in names:
            start = time.perf_counter()
            figures = BENCHMARKS[name](bench)
            missed += sum(figure.met is False for figure in figures)
            what = inspect.getdoc(BENCHMARKS[name]) or ""
            kept = "" if name in _NEED_NOTHING else f"\n\n{where}"
            sections[name] = f"## {name}\n\n{what}{kept}\n\n{markdown(figures)}"
            print(f"\n{sections[name]}\n\n({time.perf_counter() - start:.0f} s)", flush=True)
    if options.save:
        _save(ROOT / "docs" / "benchmarks.md", sections)
        if "strategies" in sections:
            from strategies import save_guide

            save_guide()
    return 1 if missed else 0


def _save(path: Path, sections: Mapping[str, str]) -> None:
    """Put these sections in the place of those of the same names; the others stay."""
    head, *old = path.read_text(encoding="utf-8").rstrip("\n").split("\n\n## ")
    kept = {text.split("\n", 1)[0]: f"## {text}" for text in old}
    path.write_text("\n\n".join([head, *{**kept, **sections}.values()]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
