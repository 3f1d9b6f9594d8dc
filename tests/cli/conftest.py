"""Commands typed in a test."""

from __future__ import annotations

import sys
from typing import Callable, NamedTuple

import pytest

from hsm_core.cli import main


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


@pytest.fixture
def type_hsm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Type a command line in this process: `type_hsm("status", "--json")`."""

    def type_(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["hsm", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Answer(int(ended.value.code or 0), out, err)

    return type_
