"""What the tasks of the conformance kit run: one verb each. Standard library only, Python 3.6 and newer.

It lies in the yard, a folder that the kit and the tasks both see. There every task notes its start and its end in the
ledger, waits for gates (files that the kit makes), and beats (writes a byte now and then) to show that it lives.
"""

import json
import os
import signal
import sys
import time

YARD = os.path.dirname(os.path.abspath(__file__))
TICK_S = 0.01
LIMIT_S = 120.0  # a task that nobody ends does so itself


def note(word: str) -> None:
    """Add a line to the ledger, whole: `word index attempt pid`."""
    index, attempt = os.environ.get("HSM_TASK_INDEX", "?"), os.environ.get("HSM_ATTEMPT", "?")
    append("ledger", f"{word} {index} {attempt} {os.getpid()}\n")


def append(name: str, text: str) -> None:
    """Add to a file of the yard in one write."""
    fd = os.open(os.path.join(YARD, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(fd, text.encode())
    os.close(fd)


def wait_for(gate: str, beat: str = "") -> None:
    """Wait until the gate is open, or the yard is told to stop or gone."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        # Listing, because a network file system remembers for a while that a file was not there.
        try:
            names = os.listdir(YARD)
        except OSError:
            return
        if gate in names or "stop" in names:
            return
        if beat:
            append(beat, ".")
        time.sleep(TICK_S)


def show(*words: str) -> None:
    """Write down everything that the program was given."""
    folder = os.environ.get("HSM_TASK_DIR", "")
    files = {}
    for name in sorted(os.listdir(folder or ".")):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and name not in ("stdout.log", "stderr.log"):
            with open(path, "rb") as file:
                files[name] = file.read().decode("utf-8", "replace")
    seen = {
        "argv": [word.encode("utf-8", "surrogateescape").hex() for word in words],
        "env": {
            os.fsencode(name).decode("utf-8", "replace"): os.fsencode(value).hex() for name, value in os.environ.items()
        },
        "cwd": os.getcwd(),
        "files": files,
        "results_is_folder": os.path.isdir(os.environ.get("HSM_RESULTS_DIR", "")),
    }
    with open(os.path.join(folder, "report.json"), "w") as file:
        json.dump(seen, file)
    with open(os.path.join(os.environ["HSM_RESULTS_DIR"], "model.bin"), "wb") as file:
        file.write(bytes(range(256)))


def killed() -> None:
    """Be killed by another process."""
    me = os.getpid()
    if os.fork() == 0:
        os.kill(me, signal.SIGKILL)
        os._exit(0)
    time.sleep(LIMIT_S)


def speak() -> None:
    """Write to both streams, without a newline at the end, and die at once."""
    os.write(1, b"first out\n" + b"\xff\x00" + b"o" * 200000)
    os.write(2, b"first err\n" + b"e" * 200000)
    os.kill(os.getpid(), signal.SIGKILL)


def family(name: str) -> None:
    """Beat, with a child, and with one that is in a session of its own; none heeds TERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for member in ("child", "stray"):
        if os.fork() == 0:
            if member == "stray":
                os.setsid()
            wait_for(name, f"{name}.{member}")
            os._exit(0)
    wait_for(name, name + ".leader")


def save(gate: str) -> None:
    """Heed TERM: save something, and end well."""

    def on_term(number: int, frame: object) -> None:
        with open(os.path.join(os.environ["HSM_RESULTS_DIR"], "saved"), "w") as file:
            file.write("saved\n")
        note("end")
        os._exit(0)

    signal.signal(signal.SIGTERM, on_term)
    append("ready", ".")
    wait_for(gate)


def main(verb: str, *words: str) -> int:
    """Do what the verb says; the exit code."""
    note("start")
    if verb == "show":
        show(*words)
    elif verb == "gate":
        wait_for(words[0])
    elif verb == "work":
        time.sleep(float(words[0]))
    elif verb == "signal":
        os.kill(os.getpid(), int(words[0]))
    elif verb == "killed":
        killed()
    elif verb == "speak":
        speak()
    elif verb == "family":
        family(words[0])
    elif verb == "save":
        save(words[0])
    note("end")
    return int(words[0]) if verb == "exit" else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
