"""`hsm test ssh:NAME` finds what is wrong with a machine, and says what to do about it."""

from __future__ import annotations

import os
import sys

import pytest
from hsm_ssh.diagnose import stages
from hsm_ssh.testing.sshd import SshServer, missing

from hsm_core.contract import DiagnoseContext, SkipStage, SourceSpec, TaskResources
from hsm_core.errors import HsmError
from hsm_core.testing.pythons import interpreter

ORDER = [
    "resolve",
    "connect",
    "host key",
    "log in",
    "shell",
    "staying alive",
    "python",
    "folder",
    "disk",
    "transfer",
    "clock",
    "gpus",
]


def look(server, resources=None, **options):
    """Go through the stages up to the first that fails: what each said, and the error."""
    endings = []
    spec = SourceSpec("ssh", server.name, options={**server.options, **options})
    context = DiagnoseContext("/nowhere", resources or TaskResources(), at_end=endings.append)
    said = {}
    try:
        for stage in stages(spec, context):
            try:
                said[stage.name] = stage.work()
            except SkipStage as skipped:
                said[stage.name] = f"skipped: {skipped}"
            except HsmError as error:
                return said, (stage.name, error.message, error.hint)
    finally:
        for end in reversed(endings):
            end()
    return said, None


def test_a_good_machine(server):
    """Every stage says what it found, in order."""
    said, error = look(server)
    assert error is None
    assert list(said) == ORDER
    assert " on server1, " in said["shell"] or not server.isolated
    assert said["python"].startswith("3.")
    assert "MB/s there" in said["transfer"]
    assert not list(server.home.glob(".hsm/sweeps/.hsm-test*"))


def test_a_machine_that_is_off(own_server):
    """It cannot be connected to."""
    own_server.stop()
    said, (stage, message, hint) = look(own_server)
    assert (list(said), stage) == (["resolve"], "connect")
    assert "Connection refused" in message
    assert "is it up" in hint


def test_an_unknown_key(own_server):
    """Its key is not known."""
    own_server.known_hosts.write_text("")
    _, (stage, message, hint) = look(own_server)
    assert stage == "host key"
    assert "SHA256:" in message
    assert "ssh -F" in hint


def test_not_let_in(own_server):
    """None of our keys is welcome."""
    (own_server.folder / "authorized_keys").write_text("")
    _, (stage, _, hint) = look(own_server)
    assert stage == "log in"
    assert "ssh-copy-id" in hint


def test_no_python(server):
    """The interpreter that is asked for is not there."""
    _, (stage, message, hint) = look(server, python="python3.99")
    assert (stage, message) == ("python", "there is no python3.99 on server1")
    assert hint == "set `python` of server1 under `sources:` to a Python 3.6 or newer on server1"


def test_what_is_no_python(server):
    """The interpreter that is asked for is something else."""
    _, (stage, message, _) = look(server, python="cat")
    assert (stage, message) == ("python", "cat on server1 does not work")


def test_the_oldest_python(server):
    """Python 3.6 will do."""
    oldest = interpreter()
    if oldest is None:
        pytest.skip("NOT TESTED WITH PYTHON 3.6: no python3.6 on PATH")
    said, error = look(server, python=oldest)
    assert error is None
    assert said["python"].startswith("3.6.")


def test_a_folder_that_cannot_be_written(server):
    """Sweeps could not write there."""
    _, (stage, message, hint) = look(server, scratch="/proc/nowhere")
    assert stage == "folder"
    assert "/proc/nowhere" in message
    assert "set `scratch` of server1" in hint


def test_a_full_disk():
    """There is too little room."""
    lacking = missing()
    if lacking or os.geteuid() != 0:
        pytest.skip(f"NOT TESTED WITH A SMALL DISK: {lacking or 'only root can mount one'}")
    with SshServer(mounts=['mount -t tmpfs -o size=4m tmpfs "$HOME_DIR"']) as small:
        _, (stage, message, hint) = look(small)
    assert stage == "disk"
    assert message.startswith("only 4 MB are free in ")
    assert "scratch" in hint


def test_no_gpus(server):
    """The project's tasks ask for what is not there."""
    _, (stage, message, hint) = look(server, TaskResources(gpus=2))
    assert stage == "gpus"
    assert message == "a task asks for 2 GPUs; server1 has 0, of which 0 are given out"
    assert hint == "ask for fewer: resources.gpus"


def test_gpus(server, tmp_path):
    """Those that are there are counted, and those that are not given out said."""
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho '0, NVIDIA X'\necho '1, NVIDIA X'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    with SshServer(path=f"{tmp_path}:{os.path.dirname(sys.executable)}:/usr/bin:/bin") as equipped:
        said, error = look(equipped, TaskResources(gpus=2), gpus="auto")
        assert error is None
        assert said["gpus"] == "2: NVIDIA X; 2 are given out"
        _, (_, _, hint) = look(equipped, TaskResources(gpus=2))
        assert hint == "set `gpus: auto` of server1 under `sources:`"


def test_systemd_that_ends_everything(tmp_path):
    """A machine that ends what its users left running is found out before a sweep is lost there."""
    lacking = missing()
    if lacking:
        pytest.skip(f"NOT TESTED ON A REAL SSHD: {lacking}")
    for name, says in (("busctl", "b true"), ("loginctl", "Linger=no")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {says}\n")
        (tmp_path / name).chmod(0o755)
    with SshServer(path=f"{tmp_path}:/usr/bin:/bin") as strict:
        _, (stage, message, hint) = look(strict)
        assert stage == "staying alive"
        assert "KillUserProcesses" in message
        assert "loginctl enable-linger" in hint
        (tmp_path / "loginctl").write_text("#!/bin/sh\necho Linger=yes\n")
        said, error = look(strict)
        assert error is None
        assert said["staying alive"].endswith("this user lingers")
