"""The command line. Commands are imported when they are typed: `hsm --help` loads none of them."""

from __future__ import annotations

import os
import sys
from typing import Any, List, NoReturn, Optional

import click

from .. import __version__
from ..errors import ExitCode, HsmError, NotFoundError

__all__ = ["cli", "main"]

_COMMANDS = {
    "config": ("config:config", "Make, check, show and change a project's configuration."),
    "run": ("run:run", "Run a sweep."),
    "simulate": ("simulate:simulate", "Forecast how long a sweep takes, and compare strategies."),
    "status": ("status:status", "Show how a sweep stands."),
    "monitor": ("monitor:monitor", "Watch sweeps live, or list recent ones."),
    "complete": ("complete:complete", "Finish a sweep: run what is missing, and what failed if asked."),
    "cancel": ("cancel:cancel", "End a sweep, or some of its tasks."),
    "pause": ("pause:pause", "Start nothing more of a sweep for a while."),
    "resume": ("pause:resume", "Go on with a sweep that was paused."),
    "logs": ("logs:logs", "Show what a task printed."),
    "explain": ("explain:explain", "Tell the evidence behind a task's state."),
    "export": ("export:export", "Write parameters, metrics and times of all tasks as a table."),
    "test": ("diagnose:test", "Try a source, step by step, up to one short task."),
    "sync": ("sync:sync", "Bring the project to a source's machine, or what has changed of it."),
    "plugins": ("plugins_list:plugins", "List installed sources and strategies."),
    "completion": ("completion:completion", "Print the script that completes hsm's commands in your shell."),
}
"""Command -> where it is, and its one line of help, so that the list costs no imports."""


class _LazyGroup(click.Group):
    """Imports a command's module when the command is typed."""

    def list_commands(self, ctx: click.Context) -> List[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        from importlib import import_module

        module, _, name = entry[0].partition(":")
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output (`head`) has enough. Keep the interpreter from failing on it once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.OK

    def resolve_command(self, ctx: click.Context, args: List[str]):  # type: ignore[no-untyped-def]
        typed = args[0]
        if typed not in _COMMANDS and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(typed, _COMMANDS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {typed!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hsm")
def cli() -> None:
    """HPC Sweep Manager: one program, thousands of parameter combinations, on any machine you have.

    Begin with: hsm config init, then hsm run.
    """


_HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click 8.2 raises where a command group was typed alone; earlier ones print the help by themselves."""


def main() -> NoReturn:
    """Run the command line; every expected error is one line, with what to do about it, and an exit code."""
    try:
        _check_current_folder()
        code = cli.main(prog_name="hsm", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code or ExitCode.OK)
    except HsmError as error:
        _say(error.message, error.hint)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        _say("stopped", None)
        sys.exit(ExitCode.INTERRUPTED)
    except KeyboardInterrupt:
        _say("interrupted", None)
        sys.exit(ExitCode.INTERRUPTED)
    except _HELP as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        _say(error.format_message(), f"see: {context.command_path if context else 'hsm'} --help")
        sys.exit(ExitCode.USAGE)


def _check_current_folder() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise NotFoundError("the current folder is not there any more", "go to one that is: cd ~") from error


def _say(message: str, hint: Optional[str]) -> None:
    print(f"hsm: {' '.join(message.splitlines())}", file=sys.stderr)  # noqa: T201 - the one place where errors are printed
    if hint:
        print(f"  {hint}", file=sys.stderr)  # noqa: T201
