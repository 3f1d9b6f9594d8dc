"""Brings small files home over SSH, ours and one by one by SFTP, in turn; run by the environment that is measured.

    python collect_alone.py SSH_CONFIG REMOTE_HOME FOLDER TASKS FILES REPEAT

Prints seconds of each, JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Dict, List, Tuple

import paramiko
from hsm_ssh.host import SshHost

from hsm_core.contract import SourceContext, SourceSpec
from hsm_core.toolkit.collector import Collector
from hsm_core.toolkit.scratch import Scratch


def fill(there: Path, tasks: int, files: int) -> None:
    """Tasks that have ended, with results of many small files."""
    (there / ".hsm").mkdir(parents=True)
    for index in range(tasks):
        folder = there / "tasks" / f"task_{index + 1:03d}" / "results"
        folder.mkdir(parents=True)
        for number in range(files - 1):
            (folder / f"file {number}").write_bytes(os.urandom(2000))
        (folder.parent / "status.yaml").write_text('state: "completed"\nattempt: 1\n')


def ours(config: str, home: Path, here: Path, tasks: int, files: int) -> float:
    """Seconds until all are here and none is there."""
    host = SshHost("server1", {"config_file": config})
    scratch = Scratch(host, SourceSpec("ssh", "server1"))
    scratch.open(
        SourceContext("s", str(here), str(home), scratch.spec, task_name=lambda index: f"task_{index + 1:03d}")
    )
    fill(Path(scratch.sweep_dir), tasks, files)
    collector = Collector(scratch, 1 << 40)
    left: Dict[Tuple[int, int], Dict[str, str]] = {(index, 1): {} for index in range(tasks)}
    began = time.perf_counter()
    while left:
        for attempt in collector.collect(left, str(here)):
            del left[attempt]
    seconds = time.perf_counter() - began
    collector.close()
    host.close()
    assert sum(len(names) for _, _, names in os.walk(here / "tasks")) == tasks * files
    shutil.rmtree(scratch.sweep_dir)
    return seconds


def sftp(config: str, home: Path, here: Path, tasks: int, files: int) -> float:
    """Seconds for the same files, listed and fetched one by one, and not even removed."""
    fill(home / "sftp", tasks, files)
    settings = paramiko.SSHConfig.from_path(config).lookup("server1")
    client = paramiko.SSHClient()
    client.load_host_keys(settings["userknownhostsfile"])
    client.connect(
        settings["hostname"], int(settings["port"]), settings["user"], key_filename=settings["identityfile"][0]
    )
    connection = client.open_sftp()
    began = time.perf_counter()
    waiting: List[str] = ["tasks"]
    top = str(home / "sftp")
    while waiting:
        folder = waiting.pop()
        (here / folder).mkdir(parents=True)
        for entry in connection.listdir_attr(f"{top}/{folder}"):
            name = f"{folder}/{entry.filename}"
            if (entry.st_mode or 0) & 0o40000:
                waiting.append(name)
            else:
                connection.get(f"{top}/{name}", str(here / name))
    seconds = time.perf_counter() - began
    client.close()
    assert sum(len(names) for _, _, names in os.walk(here / "tasks")) == tasks * files
    shutil.rmtree(home / "sftp")
    return seconds


def main() -> None:
    """Both, in turn."""
    config, home, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    tasks, files, repeat = map(int, sys.argv[4:])
    times: Dict[str, List[float]] = {"ours": [], "sftp": []}
    for number in range(repeat):
        for way in (ours, sftp):
            here = folder / f"{way.__name__}{number}"
            here.mkdir()
            times[way.__name__].append(way(config, home, here, tasks, files))
            shutil.rmtree(here)
    print(json.dumps(times))


if __name__ == "__main__":
    main()
