"""Everything that has a name in the contract is on its page of the documentation."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import hsm_core.contract
from hsm_core import hookspecs
from hsm_core.contract import TaskState
from hsm_core.engine import interpret, reduce
from hsm_core.engine.events import EVENTS

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("hsm_"))


def page(name: str) -> str:
    """The text of a reference page."""
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("state", [state.value for state in TaskState])
def test_every_state_is_documented(state: str) -> None:
    """Each state has its row on the page of states."""
    assert f"\n| `{state}` |" in page("states.md")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented(hook: str) -> None:
    """Each hook has its section, with its arguments, and an example and a version in its docstring."""
    function = getattr(hookspecs, hook)
    arguments = ", ".join(inspect.signature(function).parameters)
    assert f"\n## `{hook}({arguments})`" in page("hooks.md")
    assert "Example::" in function.__doc__
    assert ".. versionadded::" in function.__doc__


def test_no_hook_is_documented_that_is_not_there() -> None:
    """The page of hooks promises nothing that the core never calls."""
    assert set(re.findall(r"^## `(hsm_\w+)", page("hooks.md"), re.MULTILINE)) == set(HOOKS)


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_documented(event: str) -> None:
    """Each event is on the journal's page with each of its fields."""
    text = page("journal.md")
    assert f"`{event}`" in text
    assert [field for field in EVENTS[event] if field and f"`{field}`" not in text] == []


def test_every_event_has_a_reducer() -> None:
    """The journal's events and the reducers are the same set."""
    assert set(reduce._REDUCERS) == set(EVENTS)


@pytest.mark.parametrize("event", EVENTS)
def test_every_field_that_is_read_is_listed(event: str) -> None:
    """A reducer reads no field that EVENTS does not list for its event."""
    source = inspect.getsource(reduce._REDUCERS[event])
    read = set(re.findall(r"\bevent(?:\.get\(|\[)\"(\w+)\"", source))
    assert read - {"e", "t"} <= set(EVENTS[event])


def test_every_field_that_is_written_is_listed() -> None:
    """`interpret` makes no event with a field that EVENTS does not list."""
    source = inspect.getsource(interpret)
    for name, arguments in re.findall(r"make\(\"(\w+)\", now, ([^)]*)\)", source):
        assert set(re.findall(r"\b(\w+)=", arguments)) <= set(EVENTS[name])
    assert set(interpret._START_FACTS) <= set(EVENTS["started"])


def test_public_names_are_public() -> None:
    """The contract's `__all__` is sorted by kind and complete: what its modules export is what the package exports."""
    exported = set(hsm_core.contract.__all__)
    assert all(hasattr(hsm_core.contract, name) for name in exported)
    modules = [module for module in vars(hsm_core.contract).values() if inspect.ismodule(module)]
    assert {name for module in modules for name in module.__all__} <= exported
