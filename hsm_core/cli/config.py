"""`hsm config`: make, check, show and change a project's configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Optional

import click

from ..errors import ExitCode
from .config_init import init

__all__ = ["config"]


@click.group()
def config() -> None:
    """Make, check, show and change a project's configuration."""


config.add_command(init)


@config.command()
@click.option(
    "--config",
    "sweep_file",
    type=click.Path(path_type=Path),
    help="The sweep file to check; by default the project's own.",
)
@click.option("--check-sync", is_flag=True, help="Also check that remote copies of the project are the same.")
@click.option(
    "--sources", metavar="LIST", help="With --check-sync: at these sources; by default all that are configured."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate(sweep_file: Optional[Path], check_sync: bool, sources: Optional[str], as_json: bool) -> None:
    """Check the configuration and the sweep file, and list all mistakes."""
    from .config_validate import examine

    report = examine(Path.cwd(), sweep_file)
    checks = []
    if check_sync and not report.problems:
        from .check_sync import check_sources

        checks = check_sources(sources)
    if as_json:
        found = report.as_json()
        if check_sync:
            found["sync"] = [check.as_json() for check in checks]
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        for line in report.lines():
            click.echo(line)
        for check in checks:
            for line in check.lines():
                click.echo(line)
    if report.problems:
        raise SystemExit(ExitCode.USAGE)
    if not all(check.is_good for check in checks):
        raise SystemExit(ExitCode.TASKS_FAILED)


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(as_json: bool) -> None:
    """Show every key, its value in force and where it comes from."""
    from ..config import entries, find_project, load_config

    found = entries(load_config(find_project(Path.cwd())).layers)
    if as_json:
        rows = [_entry_json(entry) for entry in found]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Configuration", title_justify="left")
    table.add_column("Key", no_wrap=True)
    table.add_column("Value", overflow="fold")
    table.add_column("From", overflow="fold")
    for entry in found:
        value = Text("-" if entry.value is None else _value_text(entry.value))
        origin = Text("default", "dim") if entry.mark is None else Text(f"{entry.mark.name}:{entry.mark.line}")
        table.add_row(Text(entry.key), value, origin)
    Console().print(table)


@config.command()
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def get(key: str, as_json: bool) -> None:
    """Print the value in force of one KEY, such as compute.retries."""
    from ..config import find_project, get_value, load_config

    entry = get_value(load_config(find_project(Path.cwd())).layers, key)
    click.echo(json.dumps(_entry_json(entry), ensure_ascii=False) if as_json else _value_text(entry.value))


# A value such as -1 is not an option.
@config.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("key")
@click.argument("value")
def set_(key: str, value: str) -> None:
    """Set one KEY of hsm_config.yaml to VALUE, written as in YAML.

    Comments and order are kept. The file is changed only when the result is valid.
    """
    from ..config import find_project, set_value
    from .config_files import write_file

    edit = set_value(find_project(Path.cwd()), key, value)
    write_file(edit.file, edit.text)
    click.echo(f"{edit.key} = {_value_text(edit.value)}")


@config.command()
def schema() -> None:
    """Print the JSON schema of hsm_config.yaml, for editors."""
    from ..config import SCHEMA

    click.echo(json.dumps(SCHEMA, indent=2))


def _entry_json(entry: Any) -> Dict[str, Any]:
    origin = None if entry.mark is None else {"file": entry.mark.name, "line": entry.mark.line}
    return {"key": entry.key, "value": entry.value, "from": origin}


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
