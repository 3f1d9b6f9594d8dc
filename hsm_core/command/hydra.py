r"""Hydra's override grammar, the writing half: any JSON value as text that Hydra reads back unchanged.

In a quoted string only quotes, and backslashes right before one, are escaped. What Hydra then hands to OmegaConf must
survive that too: `${` would begin an interpolation, so it goes as `\${`.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, Match

from ..errors import ConfigError

__all__ = ["is_key", "value_text"]

_ID = r"[A-Za-z_][A-Za-z0-9_-]*"
_SPECIAL = r"[A-Za-z_$][A-Za-z0-9_$-]*"
_PART = rf"(?:{_SPECIAL}|0|[1-9][0-9]*)"
_PACKAGE = rf"(?:{_SPECIAL}|{_PART}(?:\.{_PART})+)"
_KEY = re.compile(rf"\+{{0,2}}(?:{_ID}(?:/{_ID})+|{_PACKAGE})(?:@(?:{_PACKAGE})?)?")
_SAFE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_DICT_KEY = re.compile(_ID)
_RESERVED = frozenset(["true", "false", "null", "nan", "inf"])
# Each looks at a run of backslashes from its start only: otherwise a long run would take quadratic time.
_INTERPOLATION = re.compile(r"(?<!\\)(\\*)\$\{")
_QUOTE_OR_END = re.compile(r"(?<!\\)(\\*)('|\Z)")
_OTHER_STYLE = "use arg_style json, or another value"


def is_key(name: str) -> bool:
    """Whether Hydra reads `name` as the key of an override (`model.lr`, `+new.key`, `db/engine@backup`)."""
    return _KEY.fullmatch(name) is not None


def value_text(value: Any) -> str:
    """The right-hand side of an override.

    :raises ConfigError: for the few values that Hydra cannot be given.
    """
    if isinstance(value, str):
        return _string_text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{','.join([value_text(item) for item in value])}]"
    if isinstance(value, Mapping):
        return f"{{{','.join([f'{_dict_key(key)}:{value_text(item)}' for key, item in value.items()])}}}"
    return repr(value)


def _string_text(text: str) -> str:
    if _SAFE_WORD.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    if text == "???":
        raise ConfigError("Hydra takes the text '???' for a missing value", _OTHER_STYLE)
    if "${" in text:
        text = _INTERPOLATION.sub(lambda match: f"{match[1]}{match[1]}\\${{", text)
    return f"'{_QUOTE_OR_END.sub(_escape, text)}'"


def _escape(match: Match[str]) -> str:
    backslashes, quote = match.groups()
    return backslashes * 2 + ("\\'" if quote else "")


def _dict_key(key: str) -> str:
    if _DICT_KEY.fullmatch(key) and key.lower() not in _RESERVED:
        return key
    raise ConfigError(f"Hydra's command line cannot hold a mapping with the key {key[:60]!r}", _OTHER_STYLE)
