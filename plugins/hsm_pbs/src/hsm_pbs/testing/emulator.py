"""A PBS in a temporary folder: `qsub`, `qstat`, `qdel` … as executables, over a server that really runs jobs.

It behaves as a real OpenPBS was seen to behave (`tests/test_pbs_emulator.py` holds it to recorded facts), or as the
source of Torque says; and in the ways of `settings.DEFAULTS` it misbehaves to order. One user, one node, no accounts.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Optional, Type

from .settings import DEFAULTS, Settings

__all__ = ["COMMANDS", "Emulator"]

COMMANDS = ("qsub", "qstat", "qselect", "qdel", "qhold", "qrls", "qsig", "qrerun", "pbsnodes")
_START_S = 20.0
_TURN_S = 0.01


class Emulator:
    """A cluster, up from `with` to the end of its block. :param settings: as in `settings.DEFAULTS`."""

    def __init__(self, **settings: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hsm-pbs-")).resolve()
        self.bin = self.folder / "bin"
        self._values: Dict[str, Any] = {}
        self._server: Optional[subprocess.Popen[bytes]] = None
        for name in ("bin", "mom", "tmp"):
            (self.folder / name).mkdir()
        self.set(**settings)
        self._write_commands()

    @property
    def env(self) -> Dict[str, str]:
        """What a process needs in its environment to talk to this cluster."""
        return {"PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', '')}"}

    def set(self, **settings: Any) -> None:
        """Change how it behaves, from the next command on."""
        unknown = set(settings) - set(DEFAULTS)
        if unknown:
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
        self._values.update(settings)
        Settings.write(self.folder, self._values)

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], where: Optional[TracebackType]
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the server, and wait until it listens."""
        self._server = subprocess.Popen(
            [sys.executable, "-m", "hsm_pbs.testing.server", str(self.folder)],
            stdin=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        deadline = time.monotonic() + _START_S
        while not (self.folder / "socket").exists():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the emulator's server did not start")
            time.sleep(_TURN_S)

    def disconnect(self) -> None:
        """From now on no command reaches the server; jobs run on, and the server sees to them."""
        os.rename(self.folder / "socket", self.folder / "socket.away")

    def reconnect(self) -> None:
        """Commands reach the server again."""
        os.rename(self.folder / "socket.away", self.folder / "socket")

    def close(self) -> None:
        """End every job and the server, and remove everything."""
        if self._server is not None:
            for name in ("socket", "socket.away"):
                self._tell_to_stop(self.folder / name)
            try:
                self._server.wait(_START_S)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *argv: str, check: bool = True) -> str:
        """A command that talks to the cluster; what it printed."""
        done = subprocess.run(
            argv, env={**os.environ, **self.env}, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{argv}: {done.stdout}{done.stderr}")
        return done.stdout

    def _tell_to_stop(self, path: Path) -> None:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                connection.sendall(b'{"argv": ["stop"]}\n')
        except OSError:
            pass

    def _write_commands(self) -> None:
        settings = Settings(self.folder)
        text = (Path(__file__).parent / "client.py").read_text()
        for line, value in {
            'FOLDER = ""': f"FOLDER = {str(self.folder)!r}",
            'VERSION = ""': f"VERSION = {settings.version!r}",
            'SERVER = ""': f"SERVER = {settings.server!r}",
            "TORQUE = False": f"TORQUE = {settings.flavour == 'torque'!r}",
        }.items():
            assert line in text
            text = text.replace(line, value, 1)
        for name in COMMANDS:
            path = self.bin / name
            path.write_text(f"#!{sys.executable} -IS\n{text}")
            path.chmod(0o755)
