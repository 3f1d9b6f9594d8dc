"""The way home: whole, once, and on from where it was cut, over a link that may be cut and from a host that may lie."""

from __future__ import annotations

import errno
import json
import os
import random
import socket
import stat
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Set

import pytest

from hsm_core.contract import Attempt, SourceContext, SourceSpec
from hsm_core.runner.runner import read_status
from hsm_core.testing.distant_host import DistantHost
from hsm_core.testing.pythons import interpreter
from hsm_core.toolkit import durable
from hsm_core.toolkit.collector import Collector, move_home
from hsm_core.toolkit.inflow import Inflow
from hsm_core.toolkit.scratch import Scratch

CAP = 1 << 30


class Way:
    """A host with the folders of ended tasks, and a collector that brings them here."""

    def __init__(self, root: Path, cap: int = CAP, **options: Any) -> None:
        self.host = DistantHost(str(root / "far"))
        self.said: List[str] = []
        self.here = root / "sweep"
        (self.here / "tasks").mkdir(parents=True, exist_ok=True)
        spec = SourceSpec("far", "a", 2, options)
        self.scratch = Scratch(self.host, spec)
        self.scratch.open(
            SourceContext("s", str(self.here), str(root), spec, say=self.said.append, task_name=self.name)
        )
        self.there = Path(self.scratch.sweep_dir)
        (self.there / ".hsm").mkdir(parents=True, exist_ok=True)
        self.cap = cap
        self.collector = Collector(self.scratch, cap)

    @staticmethod
    def name(index: int) -> str:
        """A task's folder."""
        return f"task_{index + 1:03d}"

    def task(self, index: int, files: Dict[str, bytes], attempt: int = 1, state: str = "completed") -> Path:
        """A task that has ended there, and left these files."""
        folder = self.there / "tasks" / self.name(index)
        (folder / "results").mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        (folder / "status.yaml").write_text(f'state: "{state}"\nattempt: {attempt}\nexit_code: 0\n')
        return folder

    def collect(self, *attempts: Attempt) -> None:
        """Until all are home."""
        left: Dict[Attempt, Any] = {attempt: {} for attempt in attempts}
        while left:
            for attempt in self.collector.collect(left, str(self.here)):
                del left[attempt]

    def home(self, index: int) -> Dict[str, bytes]:
        """What of a task is here."""
        folder = self.here / "tasks" / self.name(index)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def lie(self, program: str) -> None:
        """Whatever the host is asked to send, this is what it runs."""
        self.scratch.put("runner.py", "pack.py")
        (self.there / ".hsm" / "pack.py").write_text(program)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Way]]:
    """Make a way home, with options of the source."""
    made: List[Way] = []

    def make(cap: int = CAP, **options: Any) -> Way:
        made.append(Way(tmp_path, cap, **options))
        return made[-1]

    yield make
    for way in made:
        way.collector.close()
        way.host.close()


@pytest.fixture
def way(make: Callable[..., Way]) -> Way:
    """The usual one."""
    return make()


def test_files_come_home_and_leave_the_host(way: Way) -> None:
    """All of them, and then the host has the record alone; with the last of them its folder goes."""
    folder = way.task(0, {"results/model": b"m" * 100_000, "a b": b""})
    way.task(1, {"metrics.json": b"{}"})
    way.collect((0, 1), (1, 1))
    assert way.home(0) == {
        "results/model": b"m" * 100_000,
        "a b": b"",
        "status.yaml": b'state: "completed"\nattempt: 1\nexit_code: 0\n',
    }
    assert os.listdir(folder) == ["status.yaml"], "its claim has to stay while the sweep goes on"
    assert read_status(str(folder / "status.yaml"))["collected"] is True
    assert way.scratch.tidy() == ""
    assert not way.there.exists()


def test_what_is_asked_for_again_is_home_already(way: Way) -> None:
    """A controller that died before it had noted it asks its successor to; nothing is sent twice, or lost."""
    way.task(0, {"results/model": b"m" * 100_000})
    way.collect((0, 1))
    way.collect((0, 1))
    assert way.home(0)["results/model"] == b"m" * 100_000


def test_names_and_values_of_any_kind_cross_unharmed(way: Way) -> None:
    """Ten thousand generated names and contents: spaces, quotes, leading dashes, any script, bytes that are no text."""
    choice = random.Random(11)
    alphabet = [*"ab -_.'\"$`\\*?[]{}()<>|&;!#~%^=+,:@", "\u00e9", "\u4e2d", "\U0001f600", "\u202e", "\udc80", "\udcff"]
    wanted: Dict[int, Dict[str, bytes]] = {}
    for index in range(20):
        names: Set[str] = set()
        while len(names) < 500:
            name = "".join(choice.choice(alphabet) for _ in range(choice.randint(1, 30)))
            if name not in (".", "..", "attempts", "status.yaml", "results"):
                names.add(name)
        wanted[index] = {
            name: bytes(choice.getrandbits(8) for _ in range(choice.randint(0, 300))) + b"\n\r\0" for name in names
        }
        way.task(index, wanted[index])
    way.collect(*((index, 1) for index in wanted))
    for index, files in wanted.items():
        home = way.home(index)
        del home["status.yaml"]
        assert home == files
    assert way.said == []


def test_the_host_keeps_its_copy_until_the_disk_here_has_ours(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file and every folder has been waited for when the first copy over there goes."""
    there = [way.task(index, {"results/x/model": b"m" * 100_000, "a": b""}) / "a" for index in range(3)]
    waited: Set[int] = set()
    sync = os.fsync

    def fsync(fd: int) -> None:
        assert all(path.exists() for path in there), "it went before"
        waited.add(os.fstat(fd).st_ino)
        sync(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    way.collect((0, 1), (1, 1), (2, 1))
    assert not any(path.exists() for path in there)
    tasks = way.here / "tasks"
    assert {path.stat().st_ino for path in [tasks, *tasks.rglob("*")]} <= waited


def test_many_files_are_waited_for_at_once(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once before they are moved, once after; and the host still has them each time."""
    folder = way.task(0, {f"results/{number}": b"1" for number in range(100)})
    there: List[bool] = []
    ask = durable._sync_file_system

    def sync(path: str) -> bool:
        there.append((folder / "results" / "99").exists())
        return ask(path)

    monkeypatch.setattr(durable, "_sync_file_system", sync)
    monkeypatch.setattr(durable, "_FEW", 0)
    way.collect((0, 1))
    assert there == [True, True]
    assert not (folder / "results").exists()


def test_a_disk_that_cannot_take_a_file(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails once, and would then say that all is well: the file comes again."""
    folder = way.task(0, {"results/model": b"m" * 100_000})
    sync, failures = os.fsync, [OSError(errno.EIO, "Input/output error")]

    def fsync(fd: int) -> None:
        if failures and stat.S_ISREG(os.fstat(fd).st_mode):
            raise failures.pop()
        sync(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error"):
        way.collect((0, 1))
    assert (folder / "results" / "model").exists()
    assert not (way.here / "tasks" / "task_001").exists()
    way.collect((0, 1))
    assert way.home(0)["results/model"] == b"m" * 100_000


def test_the_oldest_python_sends_it_all(make: Callable[..., Way]) -> None:
    """Odd names under a locale that has no letters for them, a cut in a large file, links, looks, and the end of it."""
    oldest = interpreter()
    if oldest is None:
        pytest.skip("NOT TESTED WITH PYTHON 3.6: no python3.6 on PATH")
    way = make(python=oldest)
    files = {"results/\u00fc -\udcff": b"1", "results/big": os.urandom(3 << 20), "stdout.log": b"said"}
    folder = way.task(0, files)
    (folder / "latest").symlink_to("stdout.log")
    way.scratch.put("runner.py", "pack.py")
    seen = way.scratch.glimpse((0, 1), {"stdout.log": 1}, 100)
    assert (seen.over, dict(seen.files)) == (True, {"stdout.log": b"aid"})
    way.host.link.spoil = lambda data: way.host.cut() or data if way.host.link.bytes > 1 << 20 else data
    with pytest.raises(OSError, match=r"stopped sending|lost"):
        way.collect((0, 1))
    way.host.link.spoil = None
    way.host.mend()
    way.collect((0, 1))
    home = way.home(0)
    assert {name: home[name] for name in files} == files
    assert any("'latest': a link" in line for line in way.said)
    assert way.scratch.tidy() == ""
    assert not way.there.exists()


def test_what_has_no_place_here_is_told_and_stays_there(way: Way) -> None:
    """Names with control characters, links, sockets: told by name; what has contents of its own stays on its host."""
    folder = way.task(0, {"good": b"1", "bad\nname": b"2"})
    (folder / "latest").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as plug:
        os.chdir(folder)
        plug.bind("plug")
        os.chdir("/")
    way.collect((0, 1))
    assert sorted(way.home(0)) == ["good", "status.yaml"]
    told = "\n".join(way.said)
    for words in ("'bad\\nname': refused: it has a control character", "'latest': a link", "'pipe'", "'plug'"):
        assert words in told
    assert (folder / "bad\nname").read_bytes() == b"2"
    assert "task_001" in way.scratch.tidy()
    assert way.there.exists()


def test_links_alone_do_not_keep_a_folder(way: Way) -> None:
    """They are told, and go with the rest."""
    (way.task(0, {"good": b"1"}) / "latest").symlink_to("good")
    way.collect((0, 1))
    assert any("'latest': a link" in line for line in way.said)
    assert way.scratch.tidy() == ""


def test_more_than_a_task_may_bring_is_left_there(make: Callable[..., Way]) -> None:
    """Small files first, so that logs and metrics come in any case; the rest is named, with its size and its place."""
    way = make(cap=1000)
    folder = way.task(0, {"stdout.log": b"x" * 100, "results/big": b"x" * 2000})
    way.collect((0, 1))
    assert sorted(way.home(0)) == ["status.yaml", "stdout.log"]
    assert any("'results/big': 2,000 bytes, more than a task may bring" in line for line in way.said), way.said
    assert any(str(folder) in line for line in way.said), way.said
    assert (folder / "results" / "big").exists()


def test_keep_remote_keeps_everything(make: Callable[..., Way]) -> None:
    """It is home as well, and the folder stays."""
    way = make(keep_remote=True)
    folder = way.task(0, {"a": b"1"})
    way.collect((0, 1))
    way.collect((0, 1))
    assert way.home(0)["a"] == b"1"
    assert (folder / "a").exists()
    assert way.scratch.tidy() == ""
    assert folder.exists()


def test_a_cut_costs_what_was_on_its_way(way: Way) -> None:
    """Files that are here are not sent again, and a large one goes on where it was cut."""
    data = {f"results/{number}": os.urandom(1 << 21) for number in range(4)}
    way.task(0, data)
    limit = 0

    def spoil(data: bytes) -> bytes:
        if way.host.link.bytes > limit:
            way.host.cut()
        return data

    for _ in range(4):
        limit = way.host.link.bytes + (1 << 20)
        way.host.link.spoil = spoil
        with pytest.raises(OSError, match=r"stopped sending|lost"):
            way.collect((0, 1))
        way.host.mend()
    way.collect((0, 1))
    home = way.home(0)
    assert {name: home[name] for name in data} == data
    assert way.host.link.bytes < 2 * (8 << 20), "most of it came twice"


def test_a_process_that_dies_while_it_moves_files_is_followed_by_one_that_goes_on(way: Way) -> None:
    """What had arrived whole is put where it belongs, wherever the moves had come to."""
    incoming = way.here / ".hsm" / "incoming" / way.scratch.key
    whole = incoming / "0.2.whole"
    (whole / "results").mkdir(parents=True)
    (whole / "results" / "new").write_text("2")
    (whole / "status.yaml").write_text('state: "completed"\nattempt: 2\n')
    folder = way.here / "tasks" / "task_001"
    (folder / "attempts" / "1").mkdir(parents=True)  # claimed, and then it died
    (folder / "moved").write_text("of the second attempt")
    way.task(0, {}, attempt=2)
    way.collect((0, 2))
    assert sorted(way.home(0)) == ["moved", "results/new", "status.yaml"]
    assert list(incoming.iterdir()) == []


def test_earlier_attempts_come_with_the_next(way: Way) -> None:
    """An attempt that was lost there has no end to be collected for: what it left comes with the one after it."""
    folder = way.task(0, {"second": b"2"}, attempt=2)
    (folder / "attempts" / "1").mkdir(parents=True)
    (folder / "attempts" / "1" / "stdout.log").write_bytes(b"first")
    (folder / "attempts" / "1" / "status.yaml").write_text('state: "running"\nattempt: 1\n')
    way.collect((0, 2))
    assert sorted(way.home(0)) == ["attempts/1/status.yaml", "attempts/1/stdout.log", "second", "status.yaml"]
    assert way.scratch.tidy() == ""


def test_an_attempt_after_one_from_elsewhere_keeps_it(way: Way) -> None:
    """What an earlier attempt left here, whatever source it ran on, is in attempts/N afterwards."""
    folder = way.here / "tasks" / "task_001"
    folder.mkdir()
    (folder / "old").write_text("1")
    (folder / "status.yaml").write_text('state: "failed"\nattempt: 1\n')
    way.task(0, {"new": b"2"}, attempt=2)
    way.collect((0, 2))
    assert sorted(way.home(0)) == ["attempts/1/old", "attempts/1/status.yaml", "new", "status.yaml"]


def test_files_that_are_gone_from_their_host_are_told(way: Way) -> None:
    """Somebody removed them: waiting would not bring them back."""
    way.collect((3, 1))
    assert way.said == ["the files of task_004 are not on far any more"]


def test_a_sweep_that_is_not_there_is_no_end(way: Way) -> None:
    """A file system that is not mounted has no tasks either: it is tried again."""
    (way.there / ".hsm").rmdir()
    way.scratch.put("runner.py", "pack.py")
    os.rename(way.there / ".hsm", way.there / ".gone")
    with pytest.raises(OSError, match=r"stopped sending|No such file"):
        way.collect((0, 1))


@pytest.mark.parametrize(
    ("mode", "kind"), [(0o000, "file"), (0o444, "file"), (0o755, "file"), (0o555, "folder"), (0o700, "folder")]
)
def test_modes_are_what_they_were(way: Way, mode: int, kind: str) -> None:
    """Also of folders that nobody may write to, with what is in them."""
    folder = way.task(0, {"results/x/data": b"1"})
    path = folder / "results" / "x" / ("data" if kind == "file" else "")
    path.chmod(mode)
    os.utime(path, ns=(10**18, 10**18))
    way.collect((0, 1))
    seen = (way.here / "tasks" / "task_001" / "results" / "x" / ("data" if kind == "file" else "")).stat()
    assert stat.S_IMODE(seen.st_mode) == mode
    assert seen.st_mtime_ns == 10**18
    assert way.scratch.tidy() == ""


LIAR = """
import json, sys, time
request = json.loads(sys.stdin.readline())
out = sys.stdout.buffer
def line(**fields): out.write(json.dumps(fields, separators=(",", ":")).encode() + b"\\n")
line(hsm_pack=request["nonce"])
index, attempt, _ = request["tasks"][0]
"""


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ("line(task=[index, attempt])\nwhile True: out.write(b'x' * 65536)", "no end"),
        (
            "line(task=[index, attempt])\nline(f='zeros', n=1 << 40, m=420, t=0)\nwhile True: out.write(bytes(65536))",
            "more",
        ),
        ("line(task=[index, attempt])\nwhile True: line(x='link', why='y')", "more than"),
        ("line(error='I would rather not')", "I would rather not"),
        ("sys.exit(3)", "ended with 3"),
        ("out.write(b'\\xff' * 1000 + b'\\n')", "no sense"),
    ],
)
def test_a_host_that_lies_is_contained(
    make: Callable[..., Way], lie: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endless stream, sizes beyond all limits, nonsense: the collection fails, and leaves nothing astray here."""
    monkeypatch.setattr("hsm_core.toolkit.arrivals._MAX_ENTRIES", 2000)
    way = make(cap=1 << 20)
    way.task(0, {})
    way.lie(LIAR + lie)
    failed: Optional[OSError] = None
    rounds = 0
    while failed is None and rounds < 100:
        rounds += 1
        try:
            assert way.collector.collect({(0, 1): {}}, str(way.here)) == []
        except OSError as error:
            failed = error
    way.collector.close()
    if words:
        assert failed is not None
        assert words in str(failed)
    assert os.listdir(way.here / "tasks") == []
    size = sum(path.lstat().st_size for path in way.here.rglob("*"))
    assert size < 2 << 20


def test_a_host_that_sends_nothing_is_given_up(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the end; until then each call returns soon, so that nothing else waits for it."""
    now = [0.0]
    waits: List[float] = []

    def take(inflow: Inflow, timeout_s: float) -> None:
        waits.append(timeout_s)
        now[0] += timeout_s

    monkeypatch.setattr(Inflow, "take", take)
    way.collector = Collector(way.scratch, CAP, clock=lambda: now[0])
    way.task(0, {})
    while now[0] < 60.0:
        before = len(waits)
        assert way.collector.collect({(0, 1): {}}, str(way.here)) == []
        assert sum(waits[before:]) < 1.0
    with pytest.raises(TimeoutError, match="has sent nothing for 60 s"):
        way.collect((0, 1))


def test_moving_home_twice_is_moving_home_once(tmp_path: Path) -> None:
    """What is there already is not touched."""
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "status.yaml").write_text("attempt: 1\n")
    folder = str(tmp_path / "tasks" / "task_001")
    move_home(str(staged), folder, 1, {})
    move_home(str(staged), folder, 1, {})
    assert os.listdir(folder) == ["status.yaml"]


def test_the_folder_there_belongs_to_one_sweep_and_source(tmp_path: Path) -> None:
    """Two laptops with a sweep of one name, or two sources on one machine, never meet."""
    host = DistantHost(str(tmp_path / "far"))
    folders = set()
    for uid in ("11", "22"):
        for name in ("a", "b"):
            scratch = Scratch(host, SourceSpec("far", name))
            scratch.open(SourceContext("s", "/sweeps/s", str(tmp_path), scratch.spec, sweep_uid=uid))
            folders.add(scratch.sweep_dir)
            assert scratch.sweep_dir.startswith(host.home + "/.hsm/sweeps/s-")
    assert len(folders) == 4
    assert json.dumps(sorted(folders))
