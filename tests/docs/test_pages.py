"""The pages hold together: links lead somewhere, the index names every page, and quoted commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Iterator, List, NamedTuple

import click
import pytest

from hsm_core.cli import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    + [path for folder in ("plugins", "examples") for path in (ROOT / folder).glob("*/README.md")]
)
LATER = ("hsm monitor errors",)
"""Commands of packages that are still to come: `docs/getting-started.md` names them as such."""

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")


class Quoted(NamedTuple):
    """A command line of hsm, as a page has it."""

    page: str
    words: List[str]


def anchor(heading: str) -> str:
    """The fragment that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> List[str]:
    """All fragments of a page."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return [anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]


def typed(text: str) -> Iterator[str]:
    """Lines that a page tells people to type: in blocks of shell, after prompts, and in code within sentences."""
    for language, block in _FENCE.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                yield line[2:]
            elif language in ("bash", "sh") or (line.startswith("  hsm ") and "    #" in line):
                yield line.strip()
    yield from _CODE.findall(_FENCE.sub("", text))


def quoted() -> Iterator[Quoted]:
    """Every command line of hsm in every page."""
    for page in PAGES:
        for line in typed(page.read_text(encoding="utf-8")):
            for part in re.split(r"\s*(?:&&|\|\||\||;|>|<)\s*", line):
                if re.match(r"hsm\b(?![-.:_/])", part) and not part.startswith(LATER):
                    yield Quoted(str(page.relative_to(ROOT)), shlex.split(part, comments=True)[1:])


def parse(words: List[str]) -> None:
    """Take a command line apart, as it would be without running it. :raises click.ClickException: it cannot be."""
    command: click.Command = cli
    context = click.Context(cli, info_name="hsm")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, command, words = command.resolve_command(context, words)  # type: ignore[assignment]
        context = click.Context(command, info_name=name, parent=context)
    if isinstance(command, click.Group):
        known = {option for parameter in command.get_params(context) for option in parameter.opts}
        for word in words:
            if word not in known:
                raise click.NoSuchOption(word, ctx=context)
        return
    if "--help" in words:
        return
    parser = command.make_parser(context)
    values, rest, order = parser.parse_args([word for word in words if word != "…"])
    for parameter in order:
        if isinstance(parameter, click.Option):
            parameter.handle_parse_result(context, values, [])
    if rest:
        raise click.UsageError(f"what is {rest}?", context)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of ours finds it, and its heading where it names one."""
    broken = []
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", target):
            continue
        path, _, fragment = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (fragment and fragment not in anchors(found)):
            broken.append(target)
    assert broken == []


def test_index_names_every_page() -> None:
    """No page is hidden."""
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target).resolve() for target in _LINK.findall(index.read_text(encoding="utf-8"))}
    pages = set((ROOT / "docs").rglob("*.md")) - {index}
    assert sorted(str(page.relative_to(ROOT)) for page in pages - linked) == []


def test_enough_is_quoted() -> None:
    """The pages are read as they are meant: there are commands in them."""
    assert len(list(quoted())) > 80


def test_quoted_commands_exist() -> None:
    """Every command line in the pages has a command, options and arguments that the program knows."""
    wrong = []
    for page, words in quoted():
        try:
            parse(words)
        except click.ClickException as error:
            wrong.append(f"{page}: hsm {shlex.join(words)}: {error.format_message()}")
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "run --sorces local",
        "run --timeout soon",
        "run --max-tasks N",
        "cancl x",
        "config inti",
        "--bogus",
        "status a b",
    ],
)
def test_a_wrong_command_is_noticed(line: str) -> None:
    """The test before this one can fail."""
    with pytest.raises(click.ClickException):
        parse(line.split())
