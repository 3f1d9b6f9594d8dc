"""Write the part of docs/reference/commands.md that click knows: every command with its arguments and options."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, List, Tuple

import click

from hsm_core.cli import cli

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "commands.md"
BEGIN, END = "<!-- commands: begin -->\n", "<!-- commands: end -->\n"


def commands(group: click.Group, words: str) -> Iterator[Tuple[str, click.Command]]:
    """Every command below a group, with the words that are typed for it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from commands(command, f"{words} {name}")
        else:
            yield f"{words} {name}", command


def section(words: str, command: click.Command) -> str:
    """One command: what is typed, what it does, its options."""
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    typed = " ".join([words, *(argument_text(argument) for argument in arguments)])
    lines = [f"### `{typed}`", "", *paragraphs(command.help or ""), ""]
    if options:
        lines += ["| option | meaning |", "|---|---|", *(option_row(option) for option in options), ""]
    return "\n".join(lines)


def argument_text(argument: click.Argument) -> str:
    """An argument as it stands in a usage line."""
    text = argument.metavar or (argument.name or "").upper()
    if not argument.metavar and isinstance(argument.type, click.Choice):
        text = "|".join(argument.type.choices)
    text += "..." if argument.nargs == -1 and not text.endswith("...") else ""
    return text if argument.required or text.startswith("[") else f"[{text}]"


def option_row(option: click.Option) -> str:
    """A row of the table of options."""
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    text = option.help or ""
    if isinstance(option.type, click.Choice) and not option.is_flag:
        names += " " + ", ".join(option.type.choices)
    elif not option.is_flag:
        names += f" {option.metavar or option.type.name.split(' ')[0].upper()}"
    if option.show_default and not option.is_flag:
        text += f" Default: {option.default}."
    meaning = " ".join(text.split()).replace("|", "\\|")
    return f"| {names} | {meaning} |"


def paragraphs(text: str) -> List[str]:
    """Help text, a paragraph a line."""
    blocks = [" ".join(block.split()) for block in text.replace("\b", "").split("\n\n")]
    return "\n\n".join(blocks).split("\n")


def written(page: str) -> str:
    """The page with its generated part made anew."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    body = "\n".join(section(words, command) for words, command in commands(cli, "hsm"))
    return f"{head}{BEGIN}\n{body}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
