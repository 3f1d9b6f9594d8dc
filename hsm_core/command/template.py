"""The command of a task: `[{python}, {script}, {args}]` and its kin, filled in for each task without any shell."""

from __future__ import annotations

import posixpath
import re
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

from .. import flatyaml
from ..errors import ConfigError
from .styles import STYLES, plain_text

__all__ = ["CommandTemplate", "Rendered"]

MAX_STRING = 131071
"""The most bytes of one argument, or one variable with its name, that Linux lets a program be started with."""

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FACTS = ("task_dir", "results_dir", "params_file", "task_id", "task_index", "attempt")
_PLACEHOLDERS = ("python", "script", "args", *_FACTS)


class Rendered(NamedTuple):
    """One task's command.

    :param argv: the program and its arguments, as they are given to the kernel.
    :param env: the variables that `arg_style: env` adds; empty for the others.
    :param files: names and texts of files in the task's folder: always `params.yaml`, and `params.json` for `json`.
    """

    argv: Tuple[str, ...]
    env: Dict[str, str]
    files: Dict[str, str]


class _Slot(NamedTuple):
    """A place in an element that each task fills anew."""

    name: str
    parameter: bool


_Element = Union[str, List[Union[str, _Slot]], None]
"""A fixed argument, one with slots, or None where `{args}` stands."""


class CommandTemplate:
    """A command, ready to be filled in.

    `{python}`, `{script}`, `{task_dir}`, `{results_dir}`, `{params_file}`, `{task_id}`, `{task_index}` (from 0),
    `{attempt}` (from 1) and the name of any parameter in braces may stand anywhere; `{args}`, alone in its element,
    stands for all parameters not named elsewhere, in the way of `arg_style`. `{{` and `}}` are plain braces.

    :param command: the elements; no shell reads them.
    :param arg_style: a key of `STYLES`.
    :param names: every parameter of the space.
    :param python: the interpreter, None where none is known.
    :param script: the program, None where none is configured.
    :param sweep_dir: the sweep's folder on the host where tasks run, absolute.
    :param origin: what messages call the command.
    :raises ConfigError: for a placeholder that is not known, a parameter that the style cannot carry, and the like.
    """

    def __init__(
        self,
        command: Sequence[str],
        arg_style: str,
        *,
        names: Sequence[str],
        python: Optional[str],
        script: Optional[str],
        sweep_dir: str,
        origin: str = "the command",
    ) -> None:
        if arg_style not in STYLES:
            raise _unknown(f"there is no arg_style {arg_style!r}", arg_style, STYLES)
        if not command:
            raise ConfigError(f"{origin} is empty", "the usual one is [{python}, {script}, {args}]")
        self._names = names
        self._origin = origin
        self._constants = {"python": python, "script": script}
        self._tasks_dir = posixpath.join(sweep_dir, "tasks")
        self._style = STYLES[arg_style](names)
        self._placed: Set[str] = set()
        self._elements = [self._compile(element) for element in command]

    def render(self, params: Mapping[str, Any], task_id: str, index: int, attempt: int = 1) -> Rendered:
        """Fill in the command of one attempt.

        :param task_id: the name of its folder under `tasks/`.
        :param index: its combination, from 0.
        :raises ConfigError: when a value is too long, or the style cannot carry it.
        """
        style = self._style
        task_dir = f"{self._tasks_dir}/{task_id}"
        params_path = f"{task_dir}/{style.params_file}"
        facts = (task_dir, f"{task_dir}/results", params_path, task_id, str(index), str(attempt))
        rest = {name: params[name] for name in params if name not in self._placed} if self._placed else params
        argv: List[str] = []
        for element in self._elements:
            if isinstance(element, str):
                argv.append(element)
            elif element is None:
                argv += style.args(rest, params_path)
            else:
                argv.append("".join([self._fill(part, params, facts) for part in element]))
        env = style.env(params)
        _check_lengths(argv, env)
        return Rendered(tuple(argv), env, {"params.yaml": flatyaml.dumps(params), **style.files(params)})

    def check(self, values: Iterable[Tuple[str, Any]]) -> None:
        """Make sure before anything starts that every one of these (name, value) can be passed.

        :raises ConfigError: naming the first parameter that has one which cannot.
        """
        for name, value in values:
            try:
                args = [plain_text(value)] if name in self._placed else self._style.args({name: value}, "")
                _check_lengths(args, self._style.env({name: value}))
            except ConfigError as error:
                raise ConfigError(f"the parameter {name!r}: {error.message}", error.hint) from None

    def _compile(self, element: str) -> _Element:
        if element == "{args}":
            return None
        parts: List[Union[str, _Slot]] = []
        end = 0
        for match in _TOKEN.finditer(element):
            parts.append(element[end : match.start()])
            parts.append(self._part(match[0], match[1], element))
            end = match.end()
        parts.append(element[end:])
        if all(isinstance(part, str) for part in parts):
            return "".join(str(part) for part in parts)
        return [part for part in parts if part]

    def _part(self, token: str, name: Optional[str], element: str) -> Union[str, _Slot]:
        if name is None:
            if len(token) == 2:
                return token[0]
            hint = f"write {token * 2} for a plain brace"
            raise ConfigError(f"{self._origin}: a lone {token} in {element[:60]!r}", hint)
        if name == "args":
            hint = "give {args} an element of its own: it stands for several arguments"
            raise ConfigError(f"{self._origin}: {{args}} inside {element[:60]!r}", hint)
        if name in self._constants:
            constant = self._constants[name]
            if constant is None:
                raise ConfigError(f"{self._origin} needs {{{name}}}, which is not configured", f"set project.{name}")
            return constant
        if name in _FACTS:
            return _Slot(name, parameter=False)
        if name in self._names:
            self._placed.add(name)
            return _Slot(name, parameter=True)
        problem = f"{self._origin}: there is nothing called {name[:60]!r} to put into {element[:60]!r}"
        raise _unknown(problem, name, [*_PLACEHOLDERS, *self._names])

    def _fill(self, part: Union[str, _Slot], params: Mapping[str, Any], facts: Sequence[str]) -> str:
        if isinstance(part, str):
            return part
        if not part.parameter:
            return facts[_FACTS.index(part.name)]
        if part.name not in params:
            hint = "give it in every row of the list, or leave it to {args}"
            raise ConfigError(f"{self._origin}: {{{part.name}}} is not among the parameters of every task", hint)
        return plain_text(params[part.name])


def _unknown(problem: str, word: str, known: Iterable[str]) -> ConfigError:
    from ..yamlfile.check import suggest  # which is only needed here, and imports difflib

    return ConfigError(problem, suggest(word, known))


def _check_lengths(argv: Sequence[str], env: Mapping[str, str]) -> None:
    for text in argv:
        _check_length(text)
    for name, value in env.items():
        _check_length(f"{name}={value}")


def _check_length(text: str) -> None:
    # A character is at most four bytes: most texts need not be encoded to be seen to fit.
    if len(text) * 4 > MAX_STRING and len(text.encode("utf-8", "surrogatepass")) > MAX_STRING:
        problem = f"{text[:30]!r}… is longer than the {MAX_STRING:,} bytes that a command line can carry at once"
        raise ConfigError(problem, "use arg_style json, or put it into a file")
