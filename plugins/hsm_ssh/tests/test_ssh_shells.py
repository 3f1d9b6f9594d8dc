"""Any login shell, and whatever its start-up files say, carries commands unharmed."""

from __future__ import annotations

import shutil
import string

import pytest
from hsm_ssh.errors import SshError
from hsm_ssh.host import SshHost
from hsm_ssh.shell import Opening, command_line
from hsm_ssh.testing.sshd import SshServer, missing
from hypothesis import given
from hypothesis import strategies as st

NASTY = ["a b", "$HOME `id` $(id)", "'\"\\!", "\n\t", "-x", "*?[]{}~", "%s%d\\n", "é\u4e2d\U0001f600", "", "#;|&<>()^="]
START_UP_FILES = {
    "sh": [],
    "bash": [".bashrc"],
    "zsh": [".zshenv"],
    "fish": [".config/fish/config.fish"],
    "tcsh": [".tcshrc"],
    "ksh": [],
}
ODDITIES = "echo welcome to this machine; echo beware >&2\n"


@pytest.fixture(params=sorted(START_UP_FILES))
def chatty(request):
    """A machine with this login shell, whose start-up files talk."""
    lacking = missing()
    path = shutil.which(request.param)
    if lacking or path is None:
        pytest.skip(f"NOT TESTED WITH {request.param}: {lacking or 'not installed'} (scripts/install-sshd)")
    with SshServer(shell=path) as server:
        if not server.isolated:
            pytest.skip(f"NOT TESTED WITH {request.param}: only root can give a test's machine another login shell")
        for name in START_UP_FILES[request.param]:
            file = server.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(ODDITIES)
        host = SshHost(server.name, server.options)
        yield host
        host.close()


def test_every_shell(chatty, tmp_path):
    """Arguments, folders, input, output, exit codes and files pass through every shell as they are."""
    folder = tmp_path / "a 'b\\ $c\n!d"
    folder.mkdir()
    done = chatty.run(["printf", "%s\\0", *NASTY], cwd=str(folder))
    assert done.stdout.decode().split("\0")[:-1] == NASTY
    assert (done.returncode, done.stderr) == (0, b"")
    done = chatty.run(["sh", "-c", "cat; pwd; echo wrong >&2; exit 7"], input=b"in\n", cwd=str(folder))
    assert (done.returncode, done.stdout, done.stderr) == (7, f"in\n{folder}\n".encode(), b"wrong\n")
    chatty.put(b"\0\xff\n", str(folder / "file"))
    assert chatty.read(str(folder / "file")) == b"\0\xff\n"
    program = chatty.start(["cat"])
    program.stdin.write(b"hi\n")
    assert program.stdout.read(100) == b"hi\n"
    program.stdin.close()
    assert program.wait(10.0) == 0
    program.stdout.close()


@pytest.mark.parametrize(
    ("start_up", "message"),
    [
        ("echo not today; exit 3\n", "its login shell ended with 3 before the command: not today"),
        ("while :; do echo noise noise noise noise noise; done\n", "prints without end before any command begins"),
    ],
)
def test_start_up_files_that_spoil_everything(start_up, message):
    """A login shell that ends or never begins is an error that quotes it, in time."""
    lacking = missing()
    bash = shutil.which("bash")
    if lacking or bash is None:
        pytest.skip(f"NOT TESTED WITH BAD START-UP FILES: {lacking or 'no bash'}")
    with SshServer(shell=bash) as server:
        if not server.isolated:
            pytest.skip("NOT TESTED WITH BAD START-UP FILES: only root can give a test's machine another login shell")
        (server.home / ".bashrc").write_text(start_up)
        host = SshHost(server.name, server.options)
        with pytest.raises(SshError, match=message):
            host.run(["true"], timeout_s=20.0)
        with pytest.raises(SshError):
            host.start(["true"])
        host.close()


@given(script=st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_no_sign_that_a_shell_reads(script):
    """Between the outer quotes of a command line there is nothing that any shell gives a meaning to."""
    begin, end = "exec sh -c '", "'"
    line = command_line(script)
    assert line.startswith(begin)
    assert line.endswith(end)
    inner = line[len(begin) : -len(end)]
    begin, end = 'eval "$(printf "', '")"'
    if inner.startswith(begin) and inner != script:
        assert inner.endswith(end)
        assert set(inner[len(begin) : -len(end)]) <= set(string.ascii_letters + string.digits + " _./:=,+@-\\")
    else:
        assert inner == script
        assert set(inner) <= set(string.printable) - set("'\\!\n\r\t\x0b\x0c")


def test_what_cannot_be_a_command():
    """A NUL, and more than a command line holds, are refused before anything is sent."""
    with pytest.raises(ValueError, match="NUL"):
        command_line("a\0b")
    with pytest.raises(OSError, match="too long for SSH"):
        command_line("x" * 200_000)


@given(noise=st.binary(max_size=50), pid=st.integers(1, 10**7), rest=st.binary(max_size=50))
def test_the_opening_is_found(noise, pid, rest):
    """The mark is found behind any noise, and what follows it is the command's."""
    mark = "0123456789abcdef" * 2
    received = noise + f"\n{mark} ok {pid}\n".encode() + rest
    opening = Opening.find(received, mark)
    assert opening is not None
    assert (opening.word, opening.pid, received[opening.end :]) == ("ok", pid, rest)
    assert Opening.find(noise, mark) is None
