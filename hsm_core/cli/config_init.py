"""`hsm config init`: look at a project, say what was found, and write its first configuration."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

import click

from ..errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ..contract import SourceSpec
    from ..project import Detected

__all__ = ["init"]

_Row = Tuple[str, Optional[bool], str, str]
"""Of the table: component, good (None: there need not be one), status, value."""
_CLUSTER = "cluster"
"""What the batch system of this machine is called in a new configuration."""
_STYLES = {
    "argparse": "--learning_rate 0.1",
    "hydra": "learning_rate=0.1",
    "json": "a file, named in HSM_PARAMS_FILE",
    "env": "HSM_PARAM_LEARNING_RATE=0.1",
}


@click.command()
@click.option(
    "--interactive/--no-interactive",
    default=None,
    help="Ask about everything, or about nothing; by default about what is in doubt, in a terminal.",
)
@click.option("--force", is_flag=True, help="Write new files where there are some; the old ones are kept as .bak.")
@click.option("--name", help="The project's name.")
@click.option("--script", help="The program to sweep.")
@click.option("--python", help="The interpreter that runs it.")
@click.option("--conda-env", help="The conda environment it runs in.")
@click.option("--arg-style", type=click.Choice(list(_STYLES)), help="How it takes its parameters.")
def init(
    interactive: Optional[bool],
    force: bool,
    name: Optional[str],
    script: Optional[str],
    python: Optional[str],
    conda_env: Optional[str],
    arg_style: Optional[str],
) -> None:
    """Look at this project and write its first configuration."""
    from rich.console import Console

    from ..config.template import SWEEPS_README, render_config, render_sweep
    from ..project import Script, detect
    from ..store.layout import ProjectLayout
    from .config_files import write_new

    layout = ProjectLayout(Path.cwd())
    if os.path.lexists(layout.config) and not force:
        raise UsageError(
            f"{layout.config.name} is here already; nothing was changed",
            "`hsm config set KEY VALUE` changes one key; --force writes a new file and keeps the old one as .bak",
        )
    console = Console(highlight=False)
    _say_hello(console, layout.root)
    detected = detect(layout.root)
    batch, trouble = _find_batch(layout.root)
    _show_findings(console, detected, _batch_row(detected.scheduler, batch, trouble))

    ask = interactive if interactive is not None else False
    may_ask = ask or (interactive is None and _terminal())
    name = name or (click.prompt("Project name", detected.name) if ask else detected.name)
    script = _relative(layout.root, script) if script else _choose_script(detected, layout.root, ask, may_ask)
    python = python or (click.prompt("Python interpreter", detected.python.value) if ask else detected.python.value)
    known = next((found for found in detected.scripts if found.path == script), Script(script))
    if arg_style is None:
        arg_style = known.arg_style or "argparse"
        if ask:
            arg_style = click.prompt("How it takes parameters", arg_style, type=click.Choice(list(_STYLES)))
    if conda_env is None and detected.conda_env is not None:
        conda_env = detected.conda_env.value

    text = render_config(name, script, python, arg_style, conda_env, batch)
    _check(text)
    sweep = render_sweep(script, known.grid)
    files = {layout.config: text, layout.sweep_config: sweep, layout.readme: SWEEPS_README}
    if not force:
        files = {path: content for path, content in files.items() if not os.path.lexists(path)}
    kept = write_new([layout.outputs], files)
    created = [(_below(layout.root, path), _PURPOSES[path.name]) for path in files]
    created.append((_below(layout.root, layout.outputs) + "/", "Directory for sweep results"))
    _say_done(console, created, [(_below(layout.root, old), copy.name) for old, copy in kept], batch)


_PURPOSES = {
    "hsm_config.yaml": "HSM system configuration",
    "sweep_config.yaml": "Example sweep configuration",
    "README.md": "Usage instructions",
}


def _say_hello(console: Console, root: Path) -> None:
    from rich.panel import Panel
    from rich.text import Text

    console.print(Panel(Text("HPC Sweep Manager v2 - Project Initialization", "bold"), expand=False))
    console.print(Text(f"Initializing project at: {root}"), soft_wrap=True)
    console.print()
    console.print("Scanning project structure...")


def _find_batch(root: Path) -> Tuple[Optional[SourceSpec], str]:
    """The batch system of this machine, as a configuration would name it, and why there is none that works."""
    from ..contract import DiscoverRequest
    from ..plugins import load

    plugins = load()
    specs, errors = plugins.discover(DiscoverRequest(str(root), describe=True))
    found = [spec for spec in specs if plugins.source_type(spec.kind).family == "batch"]
    if len(found) == 1:
        return replace(found[0], name=_CLUSTER), ""
    several = [f"several: {', '.join(spec.id for spec in found)}; name yours under `sources:`"] if found else []
    return None, "; ".join([*several, *errors])


def _batch_row(scheduler: Optional[str], batch: Optional[SourceSpec], trouble: str) -> _Row:
    """What is said of it: a scheduler's commands alone are not enough to use it."""
    if batch is not None:
        return "HPC System", True, "Detected", scheduler or batch.kind.upper()
    if trouble:
        return "HPC System", False, "Not usable", trouble
    if scheduler is not None:
        return "HPC System", False, "Detected", f"{scheduler}; to use it: pip install hsm-{scheduler.lower()}"
    return "HPC System", None, "None", "local: this machine"


def _show_findings(console: Console, detected: Detected, batch_row: _Row) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Detected Project Information")
    for heading in ("Component", "Status"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Path/Value", overflow="fold")
    for component, good, status, value in [*_findings(detected), batch_row]:
        table.add_row(component, Text(f"{_sign(console, good)} {status}"), Text(value))
    console.print(table)
    console.print()


def _findings(detected: Detected) -> List[_Row]:
    """What the folder itself shows."""
    script, scripts = detected.script, detected.scripts
    rows: List[_Row] = [("Project Name", True, "Detected", detected.name)]
    if script is not None:
        rows.append(("Training Script", True, "Found", script.path))
    elif scripts:
        rows.append(("Training Script", False, f"{len(scripts)} found", "\n".join(found.path for found in scripts)))
    else:
        rows.append(("Training Script", False, "Not found", "-"))
    if script is not None:
        style = script.arg_style or "argparse"
        rows.append(
            ("Parameter Style", True, "Detected" if script.arg_style else "Assumed", f"{style}: {_STYLES[style]}")
        )
    rows.append(("Python Interpreter", True, "Found", f"{detected.python.value} ({detected.python.how})"))
    env = detected.conda_env
    if env is None:
        rows.append(("Conda Environment", None, "None", "-"))
    else:
        how = "Active" if env.how == "Active" else "Named"
        rows.append(("Conda Environment", True, how, env.value if how == "Active" else f"{env.value} (in {env.how})"))
    return rows


def _sign(console: Console, good: Optional[bool]) -> str:
    if not console.encoding.lower().startswith("utf"):
        return {True: "+", False: "!", None: "-"}[good]
    return {True: "✅", False: "❓", None: "➖"}[good]


def _terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _choose_script(detected: Detected, root: Path, ask: bool, may_ask: bool) -> str:
    if detected.script is not None and not ask:
        return detected.script.path
    names = [found.path for found in detected.scripts]
    if not names:
        raise UsageError(
            f"{root}: there is no Python program here; nothing was written",
            "put your program into this folder, or name it: hsm config init --script PATH",
        )
    if not may_ask:
        raise UsageError(
            f"{len(names)} scripts could be the one to sweep: {', '.join(names)}",
            f"say which: hsm config init --script {names[0]}",
        )
    for number, path in enumerate(names, 1):
        click.echo(f"  {number}  {path}")
    default = names.index(detected.script.path) + 1 if detected.script else 1
    number = click.prompt("Which script is swept?", default, type=click.IntRange(1, len(names)))
    return names[number - 1]


def _relative(root: Path, script: str) -> str:
    """A script as the configuration names it: relative to the project where it is inside of it."""
    path = Path(os.path.abspath(script))
    if not os.path.isfile(path):
        raise NotFoundError(f"{script}: there is no such script", f"paths are seen from {os.getcwd()}")
    return _below(root, path)


def _below(root: Path, path: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return str(path)


def _check(text: str) -> None:
    """What is about to be written must be right, whatever was typed."""
    from ..config import SCHEMA
    from ..yamlfile import check, loads

    problems = check(loads(text, "hsm_config.yaml"), SCHEMA)
    if problems:
        raise UsageError(problems[0].message, problems[0].hint)


def _say_done(
    console: Console,
    created: Sequence[Tuple[str, str]],
    kept: Sequence[Tuple[str, str]],
    batch: Optional[SourceSpec],
) -> None:
    from rich.text import Text

    console.print(Text("Files created:", "bold"))
    width = max(len(path) for path, _ in created)
    for path, purpose in created:
        console.print(Text(f"  {path.ljust(width)}  {purpose}"), soft_wrap=True)
    for old, copy in kept:
        console.print(Text(f"  The old {old} is now {copy}."), soft_wrap=True)
    console.print()
    console.print(Text("Next:", "bold"))
    console.print("  1. Write your parameters into sweeps/sweep_config.yaml")
    console.print("  2. hsm run --dry-run   shows what would be run")
    console.print("  3. hsm run             runs it on this machine")
    if batch is not None:
        words = f"hsm test {batch.name}, then hsm run --sources {batch.name}"
        console.print(f"     {words}   runs it on the cluster", soft_wrap=True)
