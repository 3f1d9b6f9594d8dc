"""What goes wrong between two machines is an error in time, and over when it is over: nothing hangs, nothing stays."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time

import pytest
from hsm_ssh.errors import SshError
from hsm_ssh.host import SshHost
from hsm_ssh.testing.relay import Relay

QUICK = {"keepalive_interval": 0.5, "connect_timeout": 5}
PATIENCE_S = 60.0
"""Far more than anything here takes, however busy the machine."""


def until(condition, what):
    """Wait for something that real processes bring about."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def relay(own_server):
    """Bad network in front of the machine."""
    with Relay(own_server.port) as made:
        own_server.write_client_config(f"Port {made.port}", f"HostKeyAlias [127.0.0.1]:{own_server.port}")
        yield made


@pytest.fixture
def far(own_server, relay):
    """The machine behind that network."""
    made = SshHost(own_server.name, {**own_server.options, **QUICK})
    yield made
    made.close()


def fails(call):
    """Make a call while things are broken: it raises an OSError, in time."""
    began = time.monotonic()
    try:
        call()
    except OSError as error:
        assert time.monotonic() - began < PATIENCE_S
        return str(error)
    pytest.fail("it did not raise")


def test_a_reset(far, relay):
    """A connection that is reset is an error for the command under way, and a new connection for the next."""
    cutter = threading.Timer(0.3, relay.cut)
    cutter.start()
    assert "the connection was cut while sleep ran" in fails(lambda: far.run(["sleep", "20"]))
    assert far.run(["echo", "on"]).stdout == b"on\n"


def test_sessions_killed(far, own_server):
    """A server's process for us is killed: no exit code is mistaken for one, and the command lives on."""
    threading.Timer(0.3, own_server.cut).start()
    script = f"sleep 1; echo over > {own_server.home}/over"
    assert "the connection was cut" in fails(lambda: far.run(["sh", "-c", script]))
    until(lambda: (own_server.home / "over").exists(), "what had been started never ended")
    assert far.run(["echo", "on"]).stdout == b"on\n"


def test_a_machine_that_is_switched_off_and_on(far, own_server):
    """While it is off every call fails soon; when it is back all is well."""
    far.run(["true"])
    own_server.stop()
    fails(lambda: far.run(["true"], timeout_s=5.0))
    fails(lambda: far.run(["true"], timeout_s=5.0))
    own_server.start()

    def back():
        try:
            return far.run(["echo", "on"], timeout_s=5.0).stdout == b"on\n"
        except OSError:
            return False

    until(back, "it was never reached again")


def test_a_machine_that_hangs(far, own_server):
    """A machine that stands still is an error at the deadline, its connections are given up, and then it goes on."""
    far.run(["true"])
    with own_server.frozen():
        fails(lambda: far.run(["true"], timeout_s=5.0))
    assert far.run(["echo", "on"]).stdout == b"on\n"


def test_a_listener_that_hangs(far, own_server):
    """A listener that takes connections and says nothing is an error at the deadline."""
    with own_server.frozen(listener=True):
        assert "says nothing" in fails(lambda: far.run(["true"], timeout_s=2.0))
    until(lambda: not _raises(lambda: far.run(["true"])), "it was never reached again")


def _raises(call):
    try:
        call()
    except OSError:
        return True
    return False


def test_silence(far, relay):
    """A network that swallows everything without a word is noticed; a reader of a program finds its end."""
    program = far.start(["cat"])
    program.stdin.write(b"one\n")
    assert program.stdout.read(100) == b"one\n"
    relay.swallow()
    began = time.monotonic()
    assert program.stdout.read(100) == b""
    assert time.monotonic() - began < PATIENCE_S
    assert program.wait(1.0) is None
    fails(lambda: far.run(["true"], timeout_s=2.0))
    relay.pass_on()
    relay.cut()
    until(lambda: not _raises(lambda: far.run(["true"])), "it was never reached again")


def test_delay_and_loss(far, relay):
    """300 ms there, 300 ms back, and one piece in twenty lost: slow, and right."""
    relay.delay_s, relay.loss = 0.3, 0.05
    far._manners = far._manners.__class__(connect_timeout_s=30.0, keepalive_s=15.0)
    data = os.urandom(300_000)
    assert far.run(["cat"], input=data, timeout_s=60.0).stdout == data


def test_a_slow_line_is_no_silence(far, relay):
    """While pieces come, a connection is not given up, however late its answer is behind them."""
    relay.rate = 200_000
    data = far.run(["head", "-c", "500000", "/dev/urandom"], timeout_s=60.0).stdout
    assert len(data) == 500_000


def test_half_closed(far, relay):
    """A connection on which only one side still speaks is a broken one."""
    far.run(["true"])
    relay.half_close()
    until(lambda: not _raises(lambda: far.run(["true"], timeout_s=5.0)), "it was never reached again")


def test_too_many_newcomers(far, relay):
    """A server that hangs up on newcomers is asked again, a little later each time."""
    relay.hang_up(2)
    assert far.run(["echo", "on"]).stdout == b"on\n"
    assert relay.accepted == 3


def test_a_server_with_hardly_any_room(own_server):
    """MaxStartups of one: many that come at once all get in, one after the other."""
    own_server.stop()
    own_server.settings += ["MaxStartups 1:100:1"]
    own_server.start()
    # Each with options of its own, so that none shares the connection of another.
    hosts = [SshHost("server1", {**own_server.options, "keepalive_interval": 10 + n}) for n in range(4)]
    said = []
    threads = [threading.Thread(target=lambda h=h: said.append(h.run(["echo", "in"]).stdout)) for h in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for host in hosts:
        host.close()
    assert said == [b"in\n"] * 4


@pytest.mark.parametrize("most", [1, 3])
def test_few_sessions(own_server, most):
    """MaxSessions: commands wait for each other, and programs that go on do not keep them out."""
    own_server.stop()
    own_server.settings += [f"MaxSessions {most}"]
    own_server.start()
    host = SshHost("server1", own_server.options)
    programs = [host.start(["cat"]) for _ in range(4)]
    said = []
    threads = [
        threading.Thread(target=lambda n=n: said.append(host.run(["sh", "-c", f"sleep 0.05; echo {n}"]).stdout))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == sorted(f"{n}\n".encode() for n in range(12))
    for program in programs:
        program.stdin.write(b"well\n")
        assert program.stdout.read(100) == b"well\n"
        program.stdin.close()
        assert program.wait(10.0) == 0
        program.stdout.close()
    host.close()
    until(lambda: len(own_server.sessions()) == 0, "connections were left")


def test_a_file_whose_way_is_cut(far, relay, own_server):
    """A file is there whole or not at all, and what was left of a try is removed by the other side."""
    path = own_server.home / "file"
    far.put(b"old", str(path))
    for piece in range(1, 6):
        relay.delay_s = 0.02
        threading.Timer(0.02 * piece, relay.cut).start()
        try:
            far.put(b"new" * 500_000, str(path))
            assert path.read_bytes() == b"new" * 500_000
        except OSError:
            assert path.read_bytes() in (b"old", b"new" * 500_000)
    until(lambda: [p.name for p in own_server.home.iterdir() if p.name.startswith(".put")] == [], "a rest was left")


def test_other_threads_are_not_held_up(own_server, far, server):
    """A machine that hangs holds up nobody who uses another one."""
    near = SshHost(server.name, server.options)
    far.run(["true"])
    near.run(["true"])
    with own_server.frozen(listener=True):
        hung = threading.Thread(target=lambda: _raises(lambda: far.run(["true"], timeout_s=3.0)))
        hung.start()
        done = 0
        while hung.is_alive():
            near.run(["true"])
            done += 1
        hung.join()
    near.close()
    assert done >= 5


def _descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_nothing_grows(own_server, relay, far):
    """Forty broken connections later there are as many open files and threads as before."""

    def threads():
        return sorted(t.name for t in threading.enumerate() if not t.name.startswith("relay"))

    def once():
        far.run(["true"])
        program = far.start(["cat"])
        relay.cut()
        assert program.stdout.read(1) == b""
        program.stdout.close()

    far._manners = far._manners.__class__(keepalive_s=15.0)
    for _ in range(3):
        once()
    far.run(["true"])
    before = threads(), _descriptors()
    for _ in range(40):
        once()
    far.run(["true"])
    until(lambda: len(threads()) <= len(before[0]), f"threads: {threads()}, before: {before[0]}")
    until(lambda: _descriptors() <= before[1] + 4, f"open files: {_descriptors()}, before: {before[1]}")


def test_a_stopped_signal_is_no_end(far, own_server):
    """A command that is stopped and goes on has lost nothing."""
    pids = []

    def stop():
        pids.extend(own_server.sessions())
        own_server.signal(signal.SIGSTOP)
        time.sleep(0.1)
        own_server.signal(signal.SIGCONT)

    far.run(["true"])
    threading.Timer(0.1, stop).start()
    assert far.run(["sh", "-c", "for n in 1 2 3 4 5; do echo $n; sleep 0.1; done"]).stdout == b"1\n2\n3\n4\n5\n"
    assert pids


def test_an_error_is_an_hsm_error(far, own_server):
    """What a person may meet is one line and a remedy."""
    own_server.stop()
    with pytest.raises(SshError) as caught:
        far.run(["true"])
    assert "\n" not in caught.value.message
    assert caught.value.hint
