"""`hsm completion`: the script that completes commands, options and sweep ids in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes hsm's commands in your shell.

    For bash, add this line to ~/.bashrc:  eval "$(hsm completion bash)"
    """
    from . import cli

    found = get_completion_class(shell)
    assert found is not None, "click knows these three shells"
    click.echo(found(cli, {}, "hsm", "_HSM_COMPLETE").source())
