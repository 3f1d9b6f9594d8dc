"""A sweep's folder on the host of a source: here the sweep's own; elsewhere one of that source and sweep alone.

It has the layout of the folder here (`tasks/`, `.hsm/`), and everything that has to be known or done about it goes by
way of the host: the scripts that lie in it, what they answer, and what is taken away in the end.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from ..contract import Attempt, Channel, Glimpse, Host, SourceContext, SourceSpec
from ..errors import NoSourceError

__all__ = ["Scratch", "script_text"]

_ASK_S = 60.0
_PROBE = """
import json, os, sys
home = os.path.expanduser("~")
project = os.path.join(home, os.path.expanduser(sys.argv[1]))
print(json.dumps({"home": home, "python": sys.version_info[:3], "project": project, "there": os.path.isdir(project)}))
"""
_OLDEST = (3, 6)


def script_text(name: str) -> bytes:
    """The text of a file that runs on hosts: `runner.py`, `pack.py`, `job.py`, `start_job.py`."""
    return (Path(__file__).parent.parent / "runner" / name).read_bytes()


class Scratch:
    """Where a sweep's files are on a host, and how its scripts are asked there.

    :param spec: options understood: `python` (which runs the scripts there), `scratch` (a folder there, for the folders
        of sweeps; `~` is the home folder), `keep_remote` (nothing is taken away).
    """

    def __init__(self, host: Host, spec: SourceSpec) -> None:
        self.host = host
        self.spec = spec
        self.is_here = host.is_here
        self.python = str(spec.options.get("python") or (sys.executable if host.is_here else "python3"))
        self.keeps = bool(spec.options.get("keep_remote", False))
        self.sweep_dir = self.project_dir = ""
        self.key = ""
        """Names this source among those of the sweep, in letters that any file may have in its name."""
        self._context: Optional[SourceContext] = None
        self._put: Dict[str, bool] = {}

    def open(self, context: SourceContext) -> None:
        """Find out where everything is there.

        :raises NoSourceError: there is no Python, or no copy of the project. :raises OSError: the host does not answer.
        """
        self._context = context
        self._put.clear()
        if self.is_here:
            self.sweep_dir, self.project_dir = context.sweep_dir, context.project_dir
            return
        facts = self._probe(context.remote_project_dir or context.project_dir)
        home, self.project_dir = str(facts["home"]), str(facts["project"])
        if not facts["there"] and not context.looks_only:
            raise NoSourceError(
                f"{self.spec.id}: there is no copy of the project on {self.host.name}: {self.project_dir}",
                f"hsm sync --target {self.spec.id}, or set sources.{self.spec.name}.project to where it is",
            )
        base = str(self.spec.options.get("scratch") or "~/.hsm/sweeps")
        base = re.sub(r"^~(?=/|$)", lambda _: home, base)
        # Of this sweep and this source alone, whatever else has its name, here or on another machine.
        identity = f"{context.sweep_uid or context.sweep_dir}\0{self.spec.id}".encode("utf-8", "surrogateescape")
        self.key = hashlib.blake2b(identity, digest_size=5).hexdigest()
        self.sweep_dir = os.path.join(home, base, f"{context.sweep_id}-{self.key}")

    def _probe(self, project: str) -> Mapping[str, Any]:
        hint = f"set sources.{self.spec.name}.python to a Python 3.6 or newer on {self.host.name}"
        try:
            done = self.host.run([self.python, "-I", "-S", "-c", _PROBE, project], timeout_s=_ASK_S)
        except FileNotFoundError:
            raise NoSourceError(f"{self.spec.id}: there is no {self.python} on {self.host.name}", hint) from None
        facts = _answer(done.stdout)
        if done.returncode != 0 or facts is None:
            words = last_line(done.stderr) or f"it ended with {done.returncode}"
            raise NoSourceError(f"{self.spec.id}: {self.python} on {self.host.name} does not work: {words}", hint)
        if tuple(facts["python"]) < _OLDEST:
            version = ".".join(map(str, facts["python"]))
            raise NoSourceError(f"{self.spec.id}: {self.python} on {self.host.name} is {version}, too old", hint)
        return facts

    @property
    def opened(self) -> SourceContext:
        """What the core gave. :raises RuntimeError: it is not open."""
        if self._context is None:
            raise RuntimeError(f"{self.spec.id} is not open")
        return self._context

    @property
    def there(self) -> SourceContext:
        """What the core gave, with the paths that hold there."""
        return dataclasses.replace(self.opened, sweep_dir=self.sweep_dir, project_dir=self.project_dir)

    def close(self) -> None:
        """Nothing more is asked."""
        self._context = None

    def names(self, attempts: Sequence[Attempt]) -> Sequence[Tuple[int, int, str]]:
        """Attempts with the names of their tasks' folders, as scripts are asked about them."""
        return [(index, attempt, self.opened.task_name(index)) for index, attempt in attempts]

    # --- scripts

    def path(self, name: str) -> str:
        """A file among the sweep's private ones."""
        return f"{self.sweep_dir}/.hsm/{name}"

    def put(self, *names: str) -> None:
        """Make sure that scripts lie there as they are here; looked at once. :raises OSError: it cannot be done."""
        if self.opened.looks_only:
            return  # the folder may be gone by now, and must not come again
        for name in names:
            if name not in self._put:
                put_if_new(self.host, script_text(name), self.path(name))
                self._put[name] = True

    def argv(self, script: str, mode: str) -> Sequence[str]:
        """The command that runs a script there."""
        return [self.python, "-I", "-S", self.path(script), mode]

    def start(self, script: str, mode: str, log: Optional[str] = None) -> Channel:
        """Start a script that goes on. :raises OSError:"""
        self.put("runner.py", *(() if self.is_here else ("pack.py",)))
        return self.host.start(self.argv(script, mode), stderr=None if log is None else self.path(log))

    def ask(self, script: str, mode: str, question: Mapping[str, Any], timeout_s: float = _ASK_S) -> Any:
        """Run a script once, JSON in and out. :raises OSError: when it fails."""
        self.put("runner.py", *(() if self.is_here else ("pack.py",)))
        done = self.host.run(self.argv(script, mode), input=json.dumps(question).encode("ascii"), timeout_s=timeout_s)
        answer = _answer(done.stdout)
        if done.returncode != 0 or answer is None:
            self._put.clear()  # somebody may have removed them
            words = (answer or {}).get("error") or last_line(done.stderr) or "no message"
            raise OSError(f"{script} {mode} ended with {done.returncode} on {self.host.name}: {words}")
        return answer

    # --- what is asked of pack.py

    def glimpse(self, attempt: Attempt, offsets: Mapping[str, int], limit: int) -> Glimpse:
        """Read on in files of an attempt. :raises OSError: when it fails."""
        (named,) = self.names([attempt])
        question = {"sweep_dir": self.sweep_dir, "tasks": [named], "offsets": dict(offsets), "limit": limit}
        answer = self.ask("pack.py", "show", question)
        files = {str(name): base64.b64decode(text)[:limit] for name, text in answer["files"].items() if name in offsets}
        return Glimpse(bool(answer["over"]), files)

    def leave(self) -> None:
        """Take the folder there away if all of it is home, and say what stays; nothing fails for it."""
        try:
            kept = self.tidy()
        except OSError as error:
            kept = str(error)
        if kept:
            self.opened.say(f"{self.sweep_dir} stays on {self.host.name}: {kept}")

    def tidy(self) -> str:
        """Take the folder there away, if all of it is home; why not, if something of it has to stay.

        :raises OSError: when it fails.
        """
        if self.is_here or self.keeps:
            return ""
        return str(self.ask("pack.py", "tidy", {"sweep_dir": self.sweep_dir})["kept"])


def put_if_new(host: Host, data: bytes, path: str) -> None:
    """Put a script on a host, unless it is there already. :raises OSError: it cannot be put there."""
    try:
        if host.read(path) == data:
            return
    except OSError:
        pass  # not there yet; if it cannot be read for another reason, writing will say so
    host.put(data, path, mode=0o755)


def last_line(text: bytes) -> str:
    """The last line that a program wrote, for a message."""
    return (text.decode("utf-8", "replace").strip().splitlines() or [""])[-1][:300]


def _answer(stdout: bytes) -> Optional[Dict[str, Any]]:
    """The answer of a script, among whatever the start-up files of a shell print before and after it."""
    for line in reversed(stdout.splitlines()):
        try:
            answer = json.loads(line)
        except ValueError:
            continue
        if isinstance(answer, dict):
            return answer
    return None
