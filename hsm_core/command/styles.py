"""The four ways in which a program is told its parameters (`arg_style`)."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, Mapping, Sequence, Type

from ..errors import ConfigError
from . import hydra

__all__ = ["STYLES", "Style", "plain_text"]

Params = Mapping[str, Any]

_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_NOT_IN_VARIABLE = re.compile("[^A-Z0-9]")


def plain_text(value: Any) -> str:
    """A value as one argument or variable: text as it is, everything else as JSON."""
    if isinstance(value, str):
        return value
    return _json(value)


class Style:
    """How parameters travel. A style adds arguments, variables or files; this one adds none.

    :param names: every parameter that may come.
    :raises ConfigError: when the style cannot carry a name, or cannot tell two of them apart.
    """

    params_file = "params.yaml"
    """The file, in the task's folder, that a program of this style reads."""

    def __init__(self, names: Sequence[str]) -> None:
        del names

    def args(self, params: Params, params_path: str) -> List[str]:
        """What `{args}` stands for.

        :param params_path: where `params_file` will be on the task's host.
        """
        return []

    def env(self, params: Params) -> Dict[str, str]:
        """Variables of the task's environment."""
        return {}

    def files(self, params: Params) -> Dict[str, str]:
        """Files of the task's folder, beside `params.yaml`."""
        return {}


class HydraStyle(Style):
    """`model.lr=0.1`, quoted as Hydra's grammar wants it."""

    def __init__(self, names: Sequence[str]) -> None:
        for name in names:
            if not hydra.is_key(name):
                hint = "rename it, or use another arg_style"
                raise ConfigError(f"Hydra cannot take {name!r} as the name of a parameter", hint)

    def args(self, params: Params, params_path: str) -> List[str]:
        """See `Style`."""
        return [f"{name}={hydra.value_text(value)}" for name, value in params.items()]


class ArgparseStyle(Style):
    """`--model-lr 0.1`: dots become dashes, underscores stay; lists and mappings are one argument of JSON."""

    def __init__(self, names: Sequence[str]) -> None:
        self._flags = _renamed(names, lambda name: f"--{name.replace('.', '-')}")

    def args(self, params: Params, params_path: str) -> List[str]:
        """See `Style`."""
        args: List[str] = []
        for name, value in params.items():
            text = plain_text(value)
            if text == "--":
                problem = "the argparse of many Python versions drops the text '--'"
                raise ConfigError(problem, "use arg_style json, or another value")
            if text.startswith("-"):  # which by itself could be taken for an option
                args.append(f"{self._flags[name]}={text}")
            else:
                args += (self._flags[name], text)
        return args


class JsonStyle(Style):
    """One argument, the path of `params.json`: a flat object."""

    params_file = "params.json"

    def args(self, params: Params, params_path: str) -> List[str]:
        """See `Style`."""
        return [params_path]

    def files(self, params: Params) -> Dict[str, str]:
        """See `Style`."""
        return {self.params_file: json.dumps(params, allow_nan=False) + "\n"}


class EnvStyle(Style):
    """A variable `HSM_PARAM_MODEL_LR` for each parameter, and no arguments."""

    def __init__(self, names: Sequence[str]) -> None:
        self._variables = _renamed(names, lambda name: f"HSM_PARAM_{_NOT_IN_VARIABLE.sub('_', name.upper())}")

    def env(self, params: Params) -> Dict[str, str]:
        """See `Style`."""
        return {self._variables[name]: plain_text(value) for name, value in params.items()}


STYLES: Mapping[str, Type[Style]] = {
    "hydra": HydraStyle,
    "argparse": ArgparseStyle,
    "json": JsonStyle,
    "env": EnvStyle,
}
"""Every `arg_style`."""


def _renamed(names: Sequence[str], rename: Callable[[str], str]) -> Dict[str, str]:
    """New names, which must all differ."""
    renamed: Dict[str, str] = {}
    origin: Dict[str, str] = {}
    for name in names:
        renamed[name] = rename(name)
        other = origin.setdefault(renamed[name], name)
        if other != name:
            problem = f"the parameters {other!r} and {name!r} would both be passed as {renamed[name]}"
            raise ConfigError(problem, "rename one of them, or use another arg_style")
    return renamed
