r"""What is written for Hydra is read back unchanged, by Hydra's own parser where it is installed.

The reader below knows just the part of Hydra's grammar that is written here, and stands in where there is no Hydra.
"""

from __future__ import annotations

import random
import re
from typing import Any, Callable, Dict, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_core.command import hydra
from hsm_core.errors import ConfigError

NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
WORDS = {"true": True, "false": False, "null": None}


def read(text: str) -> Any:
    """Read a value as Hydra and OmegaConf would."""
    value, rest = _read(text)
    assert rest == ""
    return value


def _read(text: str) -> Tuple[Any, str]:
    if text[0] == "'":
        end = 1
        while text[end] != "'":
            run = len(text[end:]) - len(text[end:].lstrip("\\"))
            # Backslashes escape each other only in a run that ends at a quote.
            end += run + run % 2 if text[end + run : end + run + 1] == "'" else max(run, 1)
        inner = re.sub(r"(?<!\\)(\\+)(?='|\Z)", lambda match: match[1][: len(match[1]) // 2], text[1:end])
        return re.sub(r"(?<!\\)(\\+)\$\{", lambda match: match[1][: len(match[1]) // 2] + "${", inner), text[end + 1 :]
    if text[0] in "[{":
        return _read_container(text)
    word = re.match(r"[^,\]}:]+", text)
    assert word is not None
    rest = text[word.end() :]
    if word[0] in WORDS:
        return WORDS[word[0]], rest
    if NUMBER.fullmatch(word[0]):
        return (float(word[0]) if re.search("[.eE]", word[0]) else int(word[0])), rest
    return word[0], rest


def _read_container(text: str) -> Tuple[Any, str]:
    items: List[Any] = []
    pairs: Dict[str, Any] = {}
    closing = "]" if text[0] == "[" else "}"
    text = text[1:]
    while text[0] != closing:
        if closing == "}":
            key, _, text = text.partition(":")
            pairs[key], text = _read(text)
        else:
            item, text = _read(text)
            items.append(item)
        text = text[1:] if text[0] == "," else text
    return (items if closing == "]" else pairs), text[1:]


@pytest.fixture(scope="module")
def hydras_own() -> Callable[[str], Any]:
    """Hydra's parser, and what OmegaConf then makes of the value."""
    parser_module = pytest.importorskip("hydra.core.override_parser.overrides_parser")
    omegaconf = pytest.importorskip("omegaconf")
    parser = parser_module.OverridesParser.create()

    def parse(text: str) -> Any:
        override = parser.parse_override(f"x={text}")
        config = omegaconf.OmegaConf.create({"y": 1})
        omegaconf.OmegaConf.update(config, "x", override.value(), merge=True)
        return omegaconf.OmegaConf.to_container(config, resolve=True)["x"]

    return parse


NASTY = "\\\\\\'\"${}a=, \n[](){}:é😀\t;`|&*?#~%@!-0."
PIECES = [
    "${y}",
    "\\${y}",
    "${",
    "\\",
    "'",
    "\\'",
    "true",
    "null",
    "1e5",
    "nan",
    "0",
    "~",
    "a",
    " ",
    "choice(1,2)",
    "${oc.env:HOME}",
]


def nasty_strings(count: int) -> List[str]:
    """Strings made of all that has a meaning to Hydra, always the same ones."""
    rng = random.Random(1)
    pieces = [*NASTY, *PIECES]
    return ["".join(rng.choices(pieces, k=rng.randint(0, 8))) for _ in range(count)]


DICTS = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,5}", fullmatch=True).filter(
        lambda key: key.lower() not in hydra._RESERVED
    ),
    st.deferred(lambda: VALUES),
    max_size=3,
)
TEXT = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00") | st.sampled_from(NASTY), max_size=12
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        st.none()
        | st.booleans()
        | st.integers()
        | FLOATS
        | TEXT.filter(lambda text: text != "???")
        | st.lists(VALUES, max_size=3)
        | DICTS
    )
)


@given(VALUES)
def test_values_are_read_back_by_a_reader_of_the_grammar(value: Any) -> None:
    """Strings, numbers, lists and mappings keep value and type."""
    assert repr(read(hydra.value_text(value))) == repr(value)


def test_ten_thousand_nasty_strings_are_read_back() -> None:
    """Quotes, backslashes and interpolations come back as they were."""
    for text in nasty_strings(10_000):
        if text != "???":
            assert read(hydra.value_text(text)) == text


def test_hydra_itself_reads_them_back(hydras_own: Callable[[str], Any]) -> None:
    """The same strings, as many as Hydra's slow parser can read in a few seconds."""
    for text in nasty_strings(400):
        assert hydras_own(hydra.value_text(text)) == text


@pytest.mark.slow
def test_hydra_itself_reads_ten_thousand_back(hydras_own: Callable[[str], Any]) -> None:
    """The same strings, all of them."""
    for text in nasty_strings(10_000):
        assert hydras_own(hydra.value_text(text)) == text


@given(value=VALUES)
def test_hydra_itself_reads_values_back(hydras_own: Callable[[str], Any], value: Any) -> None:
    """Numbers, lists and mappings keep value and type in Hydra too."""
    assert repr(hydras_own(hydra.value_text(value))) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"), [("adam", "adam"), ("a/b.txt", "a/b.txt"), (0.1, "0.1"), ([1, "x y"], "[1,'x y']")]
)
def test_plain_values_stay_plain(value: Any, text: str) -> None:
    """What needs no quotes gets none, so that a command reads as a person would type it."""
    assert hydra.value_text(value) == text


@pytest.mark.parametrize("value", ["???", ["???"], {"a": "???"}, {"a b": 1}, {"null": 1}, {"1": 1}, {"": 1}])
def test_what_hydra_cannot_be_given_is_refused(value: Any) -> None:
    """The few values that Hydra would read as something else are refused, with the remedy."""
    with pytest.raises(ConfigError) as caught:
        hydra.value_text(value)
    assert "json" in (caught.value.hint or "")


KEYS = [
    "lr",
    "model.lr",
    "+new",
    "++new.key",
    "db/engine",
    "db@backup",
    "db/a@b.c",
    "layers.0.width",
    "$x",
    "weight-decay",
]


@pytest.mark.parametrize("key", KEYS)
def test_keys_that_hydra_reads(key: str) -> None:
    """Names of every form that Hydra has for setting a value are accepted."""
    assert hydra.is_key(key)


@pytest.mark.parametrize("key", KEYS)
def test_hydra_itself_reads_these_keys(hydras_own: Callable[[str], Any], key: str) -> None:
    """Hydra agrees that they are keys."""
    del hydras_own
    from hydra.core.override_parser.overrides_parser import OverridesParser

    override = OverridesParser.create().parse_override(f"{key}=1")
    assert (override.key_or_group + (f"@{override.package}" if override.package else "")) == key.lstrip("+")


@pytest.mark.parametrize("key", ["~lr", "+++a", "a:b", "a b", "0", "a,b", "a/", "é", "a*", "a=b", ""])
def test_keys_that_hydra_does_not_read(key: str) -> None:
    """Other names are no keys of an override that sets a value."""
    assert not hydra.is_key(key)


def test_long_runs_of_backslashes_take_no_time() -> None:
    """A megabyte of backslashes is quoted in linear time."""
    text = "\\" * 1_000_000 + "a"
    assert hydra.value_text(text) == f"'{text}'"
