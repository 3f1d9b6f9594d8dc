"""A machine reached by SSH keeps the contract of hosts, on a real sshd."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ARGUMENTS = st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), max_size=5)


def _wait_for(path):
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_runs_a_command(host, server):
    """Exit code, output and errors come back, apart from each other, and home is a folder of that machine."""
    done = host.run(["sh", "-c", "cd; pwd; echo wrong >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{server.home}\n".encode(), b"wrong\n")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=ARGUMENTS)
def test_arguments_arrive_as_they_are(host, arguments):
    """No shell on the way sees any meaning in an argument."""
    done = host.run(["printf", "%s\\0", *arguments])
    assert done.stdout == b"".join(a.encode() + b"\0" for a in arguments or [""])


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 5_000_000])
def test_input_of_any_size(host, size):
    """Input goes through, however long, while output comes back."""
    data = bytes(range(256)) * (size // 256 + 1)
    assert host.run(["cat"], input=data[:size]).stdout == data[:size]


def test_input_that_nobody_reads(host):
    """A command that ends without reading its input ends all the same."""
    assert host.run(["true"], input=b"x" * 10_000_000).returncode == 0


def test_much_on_both_outputs(host):
    """Standard error that fills up stops nobody."""
    done = host.run(["sh", "-c", "head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero"])
    assert (len(done.stdout), len(done.stderr)) == (5_000_000, 5_000_000)


def test_runs_in_a_folder(host, tmp_path):
    """`cwd` is where a command runs, whatever its name holds."""
    folder = tmp_path / "a b\n'c\""
    folder.mkdir()
    assert host.run(["pwd"], cwd=str(folder)).stdout == f"{folder}\n".encode()


def test_what_is_not_there(host):
    """A program, folder or file that is not there is a FileNotFoundError which names it."""
    with pytest.raises(FileNotFoundError, match=r"no program on server1.*'/no/such'"):
        host.run(["/no/such"])
    with pytest.raises(FileNotFoundError, match=r"no folder on server1.*'/no/such'"):
        host.run(["true"], cwd="/no/such")
    with pytest.raises(FileNotFoundError, match=r"no file on server1.*'/no/such'"):
        host.read("/no/such")
    with pytest.raises(FileNotFoundError, match=r"no program on server1.*'/no/such'"):
        host.start(["/no/such"])
    with pytest.raises(FileNotFoundError, match=r"no writable place on server1.*'/no/such/log'"):
        host.start(["true"], stderr="/no/such/log")


def test_a_signal_ends_a_command(host):
    """It shows as a shell shows it, and is not mistaken for a connection that was cut."""
    assert host.run(["sh", "-c", "kill -KILL $$"]).returncode == 137


def test_a_command_that_takes_too_long(host):
    """It is ended there, and its children with it."""
    with pytest.raises(TimeoutError, match=r"server1: sh did not end within 0.5 s"):
        host.run(["sh", "-c", "sleep 98765 & sleep 98765"], timeout_s=0.5)
    assert b"98765" not in host.run(["ps", "ax"]).stdout


def test_an_endless_output(host):
    """More than anybody wants is not kept, and what prints it is ended."""
    with pytest.raises(OSError, match="yes printed more than 256 MiB"):
        host.run(["yes", "hsm-endless"])
    assert b"hsm-endless" not in host.run(["ps", "ax"]).stdout


def test_writes_a_file(host, tmp_path):
    """A file is written whole, with its folders and its mode, in the place of what was there."""
    path = tmp_path / "a" / "b c\n'" / "file"
    host.put(b"first", str(path), mode=0o600)
    host.put(b"second" * 100_000, str(path), mode=0o755)
    assert path.read_bytes() == b"second" * 100_000
    assert path.stat().st_mode & 0o777 == 0o755
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
    assert host.read(str(path)) == b"second" * 100_000


def test_a_file_that_cannot_be_written(host, tmp_path):
    """The error names machine, file and reason, and nothing is left."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"server1: cannot write .*/folder: is a folder"):
        host.put(b"x", str(tmp_path / "folder"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="server1: cannot write"):
        host.put(b"x", str(tmp_path / "file" / "below"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_a_program_to_talk_to(host, tmp_path):
    """What is written to a program's input comes back by its output; the end of one is the end of the other."""
    program = host.start(["sh", "-c", "echo begun >&2; pwd; cat"], cwd=str(tmp_path), stderr=str(tmp_path / "log"))
    program.stdin.write(memoryview(b"one\n"))
    program.stdin.flush()
    said = b""
    while not said.endswith(b"one\n"):
        said += program.stdout.read(65536)
    assert said == f"{tmp_path}\none\n".encode()
    assert program.wait(0.05) is None
    program.stdin.close()
    assert program.stdout.read(65536) == b""
    assert program.wait(10.0) == 0
    program.stdout.close()
    assert (tmp_path / "log").read_text() == "begun\n"


def test_a_program_is_killed(host):
    """`kill` ends it, and its group; a second time it is harmless."""
    program = host.start(["sh", "-c", "sleep 87654 & echo on; wait"])
    assert program.stdout.read(100) == b"on\n"
    program.kill()
    assert program.stdout.read(100) == b""
    assert program.wait(10.0) is not None
    program.kill()
    program.stdout.close()
    assert b"87654" not in host.run(["ps", "ax"]).stdout


def test_a_program_is_dropped(host, tmp_path):
    """Whoever reads finds the end at once; the program finds its input ended, and goes on."""
    program = host.start(["sh", "-c", "echo on; cat; echo over > over"], cwd=str(tmp_path))
    assert program.stdout.read(100) == b"on\n"
    program.drop()
    assert program.stdout.read(100) == b""
    assert program.wait(0.0) is None
    _wait_for(tmp_path / "over")


def test_a_program_outlives_us(host, tmp_path):
    """A program goes on when its host is closed."""
    program = host.start(["sh", "-c", "echo on; cat; echo over > over"], cwd=str(tmp_path))
    assert program.stdout.read(100) == b"on\n"
    host.close()
    _wait_for(tmp_path / "over")
