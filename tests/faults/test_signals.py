"""Signals, and Ctrl-C in a real terminal: what ends, what is saved, and what the exit code says."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import threading
import time
from typing import Any, Callable, List

import pytest


def running(yard: Any, count: int = 3) -> None:
    """Wait until so many tasks have begun."""
    yard.until(lambda: len(yard.attempts()) >= count, "no task began")


def check_interrupted(yard: Any) -> None:
    """The state was saved, nothing runs on, and `hsm complete` finishes what was left."""
    facts = yard.facts()
    assert facts["state"] == "interrupted"
    assert sum(facts["counts"].values()) == 30
    assert facts["counts"]["running"] == facts["counts"]["submitted"] == 0, facts["counts"]
    yard.check_nothing_left()
    recorded = yard.check_truth()
    code, said = yard.hsm("complete", "s")
    assert code == 1, said
    yard.check_end(recorded)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_ends_what_runs_and_saves_the_rest(yard: Any, number: signal.Signals) -> None:
    """TERM, HUP and INT alike: children end (those that ignore TERM are killed), the state is saved, exit 130."""
    controller = yard.start("run", "--sweep-id", "s", "--sources", "local:4", env={})
    running(yard, 6)
    controller.send_signal(number)
    assert yard.end(controller) == 130
    assert yard.facts()["reason"] == f"interrupted by {number.name}"
    check_interrupted(yard)


def test_nohup_survives_the_hang_up(yard: Any) -> None:
    """Under nohup the terminal may close: the sweep runs to its end."""
    nohup = shutil.which("nohup")
    if nohup is None:
        pytest.skip("no nohup here")
    controller = yard.start("run", "--sweep-id", "s", wrap=(nohup,))
    running(yard)
    controller.send_signal(signal.SIGHUP)
    assert yard.end(controller) == 1
    yard.check_end(set(), exact=True)


@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.03, 0.1])
def test_an_early_signal_is_no_traceback(yard: Any, delay_s: float) -> None:
    """A signal while the sweep is being begun ends the command; what was begun can be completed."""
    controller = yard.start("run", "--sweep-id", "s", "--sources", "local:4")
    yard.until(lambda: yard.begun())
    time.sleep(delay_s)
    controller.send_signal(signal.SIGINT)
    assert yard.end(controller) == 130, yard.said(controller)
    assert yard.hsm("complete", "s")[0] == 1
    yard.check_end(set())


class Terminal:
    """A terminal in which one command runs."""

    def __init__(self, yard: Any, *words: str) -> None:
        self.master, slave = pty.openpty()
        self.text = b""

        def take_terminal() -> None:
            import fcntl
            import termios

            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = yard.start(*words, stdout=slave, stderr=slave, preexec_fn=take_terminal, env={"TERM": "xterm"})
        os.close(slave)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if not data:
                return
            self.text += data

    def press_ctrl_c(self) -> None:
        """As a person does: the terminal signals its foreground process group."""
        os.write(self.master, b"\x03")

    def close(self) -> None:
        """Let go of the terminal."""
        self.process.kill()
        self.process.wait()
        self._thread.join(5.0)
        os.close(self.master)


@pytest.fixture
def terminal(yard: Any) -> Any:
    """Start commands in terminals."""
    opened: List[Terminal] = []

    def start(*words: str) -> Terminal:
        opened.append(Terminal(yard, *words))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_ctrl_c_once_stops_in_order(yard: Any, terminal: Callable[..., Terminal]) -> None:
    """Ctrl-C in a terminal: nothing new starts, what runs is ended, the state is saved, exit 130, no traceback."""
    window = terminal("run", "--sweep-id", "s", "--sources", "local:4")
    running(yard, 6)
    window.press_ctrl_c()
    assert yard.end(window.process) == 130
    assert b"Traceback" not in window.text
    check_interrupted(yard)


def test_ctrl_c_twice_does_not_wait(yard: Any, terminal: Callable[..., Terminal]) -> None:
    """The second Ctrl-C ends at once the tasks that take their time, and the command."""
    yard.configure(env={"PAUSE": "300"}, grace=300)
    yard.declare(5)  # the last one ignores TERM
    window = terminal("run", "--sweep-id", "s", "--sources", "local:5")
    running(yard, 5)
    window.press_ctrl_c()
    yard.until(lambda: b"stopping" in window.text, "the first Ctrl-C was not noticed")
    window.press_ctrl_c()
    began = time.monotonic()
    assert yard.end(window.process) == 130
    assert time.monotonic() - began < 30.0
    assert b"Traceback" not in window.text
    yard.check_nothing_left()
    assert yard.facts()["state"] == "interrupted"
    yard.check_truth()
