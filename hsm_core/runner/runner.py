# ruff: noqa: SIM105, SIM905 -- contextlib is not worth its import here, and word lists read better
"""Runs tasks on one host, and says truly what became of them.

One file, standard library only, Python 3.6 and newer, no import of ours, because it is copied to wherever tasks run.
`serve` takes tasks on standard input and reports on standard output, JSON lines both ways; `settle` gives
verdicts on the attempts of runners that may be dead; `end` ends attempts of any runner of the sweep on this host. The
protocol, the claims and the files of a task are described in `docs/design/architecture.md` and `docs/design/runner.md`.

Every path is bytes and every text is UTF-8, so that no locale of a far machine can get in the way.
"""

import errno
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import json
    import signal
    from collections import deque
    from typing import (
        Any,
        Callable,
        Deque,
        Dict,
        Iterable,
        Iterator,
        List,
        Mapping,
        Optional,
        Sequence,
        Set,
        Tuple,
        Union,
    )

    Path = Union[str, bytes]
    Status = Dict[str, Any]
    Verdict = Tuple[str, Any]

else:  # `typing`, and what Python adds to these parts in C (`enum`, `re`), would double the time of a start
    try:
        import _signal as signal
        from _collections import deque
    except ImportError:  # another Python than CPython
        import signal
        from collections import deque

__all__ = ["host_key", "host_relation", "is_alive", "process_start", "read_status", "write_atomically"]

HAS_PROC = os.path.isdir("/proc/self")
GRACE_S = 10.0
RETRY_S = 1.0  # between two tries to write on a disk that refuses
COALESCE_S = 0.008  # events are gathered this long while more tasks wait anyway
LINGER_S = 0.05  # between two looks at what is left of a group that was told to end
KILL_DEADLINE_S = 5.0  # a process that outlives SIGKILL so long hangs in the kernel
SETUP_LIMIT_S = 600.0
LAST_WORDS = 4096

# Errors that say something about the disk or the machine now, and nothing about the task.
PASSING = frozenset(
    getattr(errno, name)
    for name in (
        "ENOSPC EDQUOT EROFS EACCES EPERM EIO ESTALE ENOENT EMFILE ENFILE EAGAIN ENOMEM ENOLCK ETIMEDOUT EHOSTDOWN"
    ).split()
    if hasattr(errno, name)
)
OF_A_PROGRAM = frozenset([errno.ENOENT, errno.EACCES, errno.EPERM])  # what starting one may say of itself
RECORD_KEYS = (
    "state exit_code signal started_at duration_s max_rss_mb cpu_s host pid slot gpus oom_killed reason by"
).split()
NEW = b".new"  # what a status is called until the one before it is gone
RESERVED = frozenset([b"status.yaml", b"status.yaml" + NEW, b"stdout.log", b"stderr.log", b"results", b"attempts"])


# ---- JSON --------------------------------------------------------------------------------------------------


class JsonInC:
    """What `json` does, by the parser and the encoder that it has in C: to import it costs as much as to start Python.

    The parser takes its settings from here. Both are CPython's own affair, so they are tried before they are used,
    and whatever they cannot do is left to `json`, whose errors are then raised.
    """

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int

    def __init__(self) -> None:
        """:raises Exception: of any kind, when this Python does not have them, or has others."""
        import _json

        settings: "Any" = self
        self.scan = _json.make_scanner(settings)
        escape = _json.encode_basestring_ascii
        self.encode = _json.make_encoder(None, self.refuse, escape, None, ": ", ", ", False, False, True)
        probe = {"a": [1, -2.5, True, None, "\u20ac\n"], "b": {}}
        if self.loads(self.dumps(probe)) != probe:
            raise ValueError("they do something else")

    @staticmethod
    def refuse(value: "Any") -> "Any":
        """JSON has no such thing. :raises TypeError:"""
        raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)

    def dumps(self, value: "Any") -> str:
        """:raises TypeError: when it cannot be said in JSON."""
        return "".join(self.encode(value, 0))

    def loads(self, text: str) -> "Any":
        """:raises ValueError: when it is not JSON."""
        try:
            value, end = self.scan(text, 0)
            if end >= len(text) - 1 and text[end:] in ("", "\n"):
                return value
        except Exception:
            pass
        import json

        return json.loads(text)


if not TYPE_CHECKING:
    try:
        json = JsonInC()
    except Exception:  # another Python than CPython
        import json


# ---- text and small files ----------------------------------------------------------------------------------


def raw(text: "Path") -> bytes:
    """The bytes of a path, argument or variable, whatever the locale. :raises ValueError: when there are none."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def shown(path: "Path") -> str:
    """A path for a message."""
    return path if isinstance(path, str) else path.decode("utf-8", "replace")


def say_error(error: OSError, path: "Path" = b"") -> str:
    """An operating system's error in one line."""
    place = path or error.filename or ""
    return "%s: %s" % (shown(place), error.strerror) if place else str(error.strerror or error)


def yaml_scalar(value: "Any") -> str:
    """A scalar that JSON and YAML read alike.

    JSON writes an emoji as two surrogates, which YAML does not join, and lets DEL through, which YAML refuses.
    """
    if type(value) in (int, float):
        return repr(value)  # as JSON has it, in a tenth of the time
    text = json.dumps(value)
    if isinstance(value, str) and ("\\ud" in text or "\x7f" in text):
        text = '"%s"' % "".join(
            c
            if c > "\uffff"
            else "\\u007f"
            if c == "\x7f"
            else "\\ufffd"
            if "\ud800" <= c <= "\udfff"
            else json.dumps(c)[1:-1]
            for c in value
        )
    return text


def status_text(status: "Mapping[str, Any]") -> bytes:
    """The text of a `status.yaml`: one `key: scalar` a line."""
    return "".join("%s: %s\n" % (key, yaml_scalar(value)) for key, value in status.items()).encode("utf-8")


def read_status(path: "Path") -> "Status":
    """What a `status.yaml` says; whatever is torn or damaged in it is left out, and a missing file is empty.

    :raises OSError: when the file is there and cannot be read.
    """
    data = b""
    # In the middle of `replace_status` the file has its other name, and then its own again.
    for name in (raw(path), raw(path) + NEW, raw(path)):
        try:
            with open(name, "rb") as file:
                data = file.read()
            break
        except (FileNotFoundError, NotADirectoryError):
            continue
    status: "Status" = {}
    # Without its newline a line may be torn, and half a number is a number.
    for line in data.decode("utf-8", "replace").split("\n")[:-1]:
        key, colon, value = line.partition(": ")
        if colon:
            try:
                status[key] = json.loads(value)
            except ValueError:
                continue
    return status


def write_file(path: bytes, data: bytes) -> None:
    """Write a file from its first byte."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write everything: a disk that fills up may take a part."""
    done = os.write(fd, data)
    while done < len(data):
        done += os.write(fd, data[done:])


def write_atomically(path: "Path", data: bytes) -> None:
    """Replace a file as a whole: a reader sees the old one or the new one.

    :raises OSError: when it cannot be written.
    """
    target = raw(path)
    temporary = b"%s.%d.tmp" % (target, os.getpid())
    try:
        write_file(temporary, data)
        os.rename(temporary, target)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise


def is_gone(path: bytes) -> bool:
    """Is there certainly nothing of that name? A file system that is ill says nothing about it."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def replace_status(path: bytes, data: bytes) -> None:
    """Replace a `status.yaml` as a whole, for readers who use `read_status`.

    The new file is complete before the old one goes. A rename over the old one would do without the moment between,
    but ext4 answers it by writing the data out at once, which costs as much as starting the task.

    :raises OSError: when it cannot be written; the old one stands then.
    """
    try:
        write_file(path + NEW, data)
    except OSError:
        try:
            os.unlink(path + NEW)
        except OSError:
            pass
        raise
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    os.rename(path + NEW, path)


# ---- hosts and processes -----------------------------------------------------------------------------------


def host_key() -> str:
    """Names this machine since its boot, as far as process ids mean the same: `hostname/boot id/pid namespace`."""
    boot = namespace = ""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        if sys.platform == "darwin":
            boot = command_output(["sysctl", "-n", "kern.bootsessionuuid"]).strip()
    return "%s/%s/%s" % (os.uname().nodename, boot, namespace)


def host_relation(key: str) -> str:
    """What a host key means here: `here`, `gone` (this machine before its last boot) or `elsewhere`.

    `gone` means that no process of that time can be alive. A machine whose name has changed is still `here`.
    """
    mine = host_key().split("/", 2)
    theirs = [*key.split("/", 2), "", ""][:3]
    if theirs[1] and theirs[1:] == mine[1:]:
        return "here"
    if theirs[0] != mine[0]:
        return "elsewhere"
    if theirs[1] != mine[1]:
        return "gone"
    return "here" if theirs[2] == mine[2] else "elsewhere"


def mark_of(runner: str, pid: int, start: "Optional[str]") -> bytes:
    """The variable by which a runner's processes are known when it is dead, unlike any other runner's anywhere."""
    return b"HSM_RUNNER=" + raw("%s:%d:%s" % (runner, pid, start))


class Process:
    """A living process as the system lists it."""

    __slots__ = ("environment", "group", "pid", "session", "start")

    def __init__(self, pid: int, group: int, session: int, start: str, environment: "Optional[bytes]" = None) -> None:
        self.pid, self.group, self.session, self.start, self.environment = pid, group, session, start, environment

    def environ(self) -> "Optional[bytes]":
        """Its environment at its start, NUL-separated; None when we may not look, or it has none."""
        if self.environment is None:
            try:
                with open("/proc/%d/environ" % self.pid, "rb") as file:
                    self.environment = file.read()
            except OSError:
                return None
        return self.environment or None

    def carries(self, *variables: bytes) -> bool:
        """Does its environment hold all of these `NAME=value`?"""
        environment = self.environ()
        if environment is None:
            return False
        return all(variable in environment.split(b"\0") for variable in variables)


def look_at(pid: int) -> "Optional[Process]":
    """A process, or None when it is not there or only waits to be reaped."""
    if not HAS_PROC:
        return next(list_by_ps(["-p", str(pid)]), None)
    try:
        stat = os.open("/proc/%d/stat" % pid, os.O_RDONLY)
    except OSError:
        return None
    try:
        # The name in parentheses may itself hold spaces and parentheses.
        fields = os.read(stat, 4096).rpartition(b")")[2].split()
    except OSError:
        return None  # it went while we looked
    finally:
        os.close(stat)
    # A leader whose own thread ended shows as a zombie while its other threads work on.
    if len(fields) < 20 or (fields[0] in (b"Z", b"X", b"x") and int(fields[17]) <= 1):
        return None
    return Process(pid, int(fields[2]), int(fields[3]), fields[19].decode())


def processes() -> "Iterator[Process]":
    """Every living process but this one."""
    if not HAS_PROC:
        found = list_by_ps(["-axww" if sys.platform != "darwin" else "-axEww"])
    else:
        found = (process for process in map(look_at, map(int, filter(str.isdigit, os.listdir("/proc")))) if process)
    me = os.getpid()
    return (process for process in found if process.pid != me)


def list_by_ps(which: "List[str]") -> "Iterator[Process]":
    """Processes by `ps`, where there is no /proc; macOS appends the environment to the command."""
    for line in command_output(["ps", *which, "-o", "pid=,pgid=,stat=,lstart=,command="]).splitlines():
        words = line.split()
        if len(words) > 7 and not words[2].startswith("Z"):
            environment = "\0".join(words[8:]).encode("utf-8", "replace")
            yield Process(int(words[0]), int(words[1]), -1, "_".join(words[3:8]), environment)


def command_output(argv: "List[str]") -> str:
    """What a system command prints, or nothing."""
    import subprocess

    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def process_start(pid: int) -> "Optional[str]":
    """When a process started, in the system's own terms, which with the pid names it for good; None when it is dead."""
    process = look_at(pid)
    return process.start if process else None


def is_alive(pid: int, start: "Optional[str]") -> bool:
    """Does the process that had this pid and this start still live? Without a start any process of that pid will do."""
    found = process_start(pid)
    return found is not None and start in (None, found)


def signal_group(group: int, number: int) -> bool:
    """Signal a process group; False when nobody is left in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # macOS says so of a group of zombies
    return True


def group_lives(group: int) -> bool:
    """Is anybody but zombies left in a process group?"""
    return signal_group(group, 0) and any(process.group == group for process in processes())


def signal_process(pid: int, number: int) -> None:
    """Signal a process that may be gone, or not ours."""
    try:
        os.kill(pid, number)
    except OSError:
        pass


# ---- claims and the folders of tasks -----------------------------------------------------------------------


def claim(folder: bytes, attempt: int) -> bool:
    """Make attempt `attempt` ours, by making the folder that only one can make; False when somebody has it.

    The files of the attempt before move into that folder, its status first: a record is never between two places.
    """
    if attempt == 1:
        try:
            os.mkdir(folder)
        except FileExistsError:
            return False
        return True
    archive = os.path.join(folder, b"attempts")
    # Older attempts that were never claimed are closed with this one: they could start behind our back.
    for older in range(1, attempt - 1):
        os.makedirs(os.path.join(archive, b"%d" % older), exist_ok=True)
    os.makedirs(archive, exist_ok=True)
    previous = os.path.join(archive, b"%d" % (attempt - 1))
    try:
        os.mkdir(previous)
    except FileExistsError:
        return False
    archive_files(folder, previous)
    return True


def archive_files(folder: bytes, previous: bytes) -> None:
    """Move everything of the attempt before into its own folder; may be repeated after a failure."""
    for name in sorted(os.listdir(folder), key=lambda name: not name.startswith(b"status.yaml")):
        if name != b"attempts":
            os.rename(os.path.join(folder, name), os.path.join(previous, name))


def is_claimed(folder: bytes, attempt: int) -> bool:
    """Has anybody claimed the attempt?"""
    return os.path.isdir(folder if attempt == 1 else os.path.join(folder, b"attempts", b"%d" % (attempt - 1)))


def attempt_status(folder: bytes, attempt: int) -> "Status":
    """The status of one attempt, wherever it is by now; empty when it has none."""
    here = os.path.join(folder, b"status.yaml")
    archived = os.path.join(folder, b"attempts", b"%d" % attempt, b"status.yaml")
    # It may move from here to the archive between two looks, and never comes back.
    for path in (archived, here, archived):
        status = read_status(path)
        if status.get("attempt") == attempt and isinstance(status.get("state"), str):
            return status
    return {}


def record_of(status: "Mapping[str, Any]") -> "Status":
    """The exit record in a status."""
    return {key: status[key] for key in RECORD_KEYS if key in status}


def with_last_words(record: "Status", folder: bytes) -> "Status":
    """The record of a program that failed with the end of its standard error, for who cannot see the file."""
    if record.get("state") == "completed":
        return record
    try:
        with open(os.path.join(folder, b"stderr.log"), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_WORDS))
            return dict(record, last_words=file.read(LAST_WORDS).decode("utf-8", "replace"))
    except OSError:
        return dict(record, last_words="")


# ---- starting a program ------------------------------------------------------------------------------------

DEFAULT_SIGNALS = [
    getattr(signal, name)
    for name in "SIGINT SIGTERM SIGHUP SIGPIPE SIGXFSZ SIGCHLD SIGUSR1 SIGUSR2 SIGQUIT".split()
    if hasattr(signal, name)
]


def find_program(name: bytes, path: bytes) -> bytes:
    """The file that a command names, as a shell would find it on `path`.

    :raises FileNotFoundError: when there is none. :raises PermissionError: when there is one that cannot be executed.
    """
    if b"/" in name:
        return name
    refused = False
    for directory in path.split(b":"):
        candidate = os.path.join(directory or b".", name)
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            refused = True
    code = errno.EACCES if refused else errno.ENOENT
    raise OSError(code, os.strerror(code))


def spawn(program: bytes, argv: "List[bytes]", env: "Dict[bytes, bytes]", folder: bytes) -> int:
    """Start a program as leader of its own process group, its output in the task's folder; its pid.

    :raises OSError: as `execve` does.
    """
    out, err = os.path.join(folder, b"stdout.log"), os.path.join(folder, b"stderr.log")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    if hasattr(os, "posix_spawn"):
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, b"/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, out, flags, 0o644),
            (os.POSIX_SPAWN_OPEN, 2, err, flags, 0o644),
        ]
        return os.posix_spawn(
            program, argv, env, file_actions=actions, setpgroup=0, setsigmask=[], setsigdef=DEFAULT_SIGNALS
        )
    return fork_and_exec(program, argv, env, [(b"/dev/null", os.O_RDONLY), (out, flags), (err, flags)])


def fork_and_exec(
    program: bytes, argv: "List[bytes]", env: "Dict[bytes, bytes]", files: "Sequence[Tuple[bytes, int]]"
) -> int:
    """What `posix_spawn` does, for Pythons that do not have it."""
    news, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            for fd, (path, flags) in enumerate(files):
                os.dup2(os.open(path, flags, 0o644), fd)
            for number in DEFAULT_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.execve(program, argv, env)
        except OSError as error:
            os.write(tell, b"%d" % (error.errno or errno.EIO))
        except BaseException:
            os.write(tell, b"%d" % errno.EINVAL)
        finally:
            os._exit(127)
    os.close(tell)
    with open(news, "rb") as file:
        answer = file.read()  # ends when the pipe closes, at exec
    if answer:
        os.waitpid(pid, 0)
        raise OSError(int(answer), os.strerror(int(answer)))
    return pid


def environment_after(setup: "Sequence[str]", env: "Dict[bytes, bytes]") -> "Dict[bytes, bytes]":
    """The environment that shell lines leave behind. :raises OSError: with the reason, when one of them fails."""
    import subprocess

    # What the lines print goes to standard error. A failing line ends them, but not one inside a script that they
    # source: those of conda and modules are full of commands that may fail.
    trap = "trap 'hsm=$?; [ ${#BASH_SOURCE[@]} -gt 0 ] || exit $hsm' ERR"
    script = "exec 3>&1 1>&2\n%s\n%s\ntrap - ERR\nunset hsm\nenv -0 >&3\n" % (trap, "\n".join(setup))
    try:
        done = subprocess.run(
            [b"/bin/bash", b"-c", raw(script)],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=SETUP_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        raise OSError(errno.ETIMEDOUT, "setup did not end within %d s" % SETUP_LIMIT_S) from None
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode or not done.stdout:
        raise OSError(
            errno.EINVAL, "setup failed with exit code %d: %s" % (done.returncode, lines[-1] if lines else "")
        )
    pairs = (item.partition(b"=") for item in done.stdout.split(b"\0") if b"=" in item)
    return {name: value for name, _, value in pairs}


def oom_kills() -> int:
    """How many processes of our control group the kernel has killed for memory."""
    candidates = []
    try:
        with open("/proc/self/cgroup") as file:
            for line in file:
                number, controllers, path = line.rstrip("\n").split(":", 2)
                if number == "0":
                    candidates += ["/sys/fs/cgroup%s/memory.events" % path, "/sys/fs/cgroup/memory.events"]
                elif "memory" in controllers.split(","):
                    v1 = "/sys/fs/cgroup/memory"
                    candidates += ["%s%s/memory.oom_control" % (v1, path), v1 + "/memory.oom_control"]
        for candidate in candidates:
            if os.path.exists(candidate):
                with open(candidate) as file:
                    for line in file:
                        if line.startswith("oom_kill "):
                            return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


# ---- serve -------------------------------------------------------------------------------------------------


class Task:
    """One attempt of one task, from the queue to its record."""

    __slots__ = (
        "argv",
        "attempt",
        "began",
        "claimed",
        "cores",
        "cpus",
        "env",
        "files",
        "folder",
        "given",
        "gpus",
        "index",
        "leader",
        "name",
        "order",
        "outcome",
        "pid",
        "slot",
        "started_at",
        "timeout",
        "why",
    )  # fmt: skip

    def __init__(self, wanted: "Mapping[str, Any]", tasks: bytes, order: int) -> None:
        """:raises ValueError: when it cannot be meant."""
        try:
            self.index = int(wanted["i"])
            self.attempt = int(wanted["a"])
            self.name = str(wanted["id"])
            argv = [raw(word) for word in wanted["argv"]]
            env = {raw(name): raw(value) for name, value in (wanted.get("env") or {}).items()}
            files = {raw(name): raw(text) for name, text in (wanted.get("files") or {}).items()}
            timeout = wanted.get("timeout")
            self.timeout = None if timeout is None else float(timeout)
            self.cpus = int(wanted.get("cpus") or 0)
            self.gpus = int(wanted.get("gpus") or 0)
            name = raw(self.name)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("%s: %s" % (type(error).__name__, error)) from None
        if not argv or not argv[0]:
            raise ValueError("argv is empty")
        for part in [name, *files]:
            if not part or part[:1] == b"." or b"/" in part or b"\0" in part:
                raise ValueError("%r cannot be a name in a task's folder" % shown(part))
        if not RESERVED.isdisjoint(files):
            raise ValueError(
                "a file of that name is the runner's: %s" % shown(b", ".join(RESERVED.intersection(files)))
            )
        if (
            b"\0" in b"".join(argv)
            or b"\0" in b"".join(env)
            or b"\0" in b"".join(env.values())
            or b"=" in b"".join(env)
        ):
            raise ValueError("a NUL, or '=' in a variable's name, cannot be passed to a program")
        if self.attempt < 1:
            raise ValueError("attempts count from 1")
        self.argv, self.env, self.files, self.order = argv, env, files, order
        self.folder = os.path.join(tasks, name)
        self.claimed = False
        self.pid = 0
        self.slot = -1
        self.given: "List[str]" = []  # GPUs
        self.cores: "List[int]" = []
        self.outcome = ""  # the state it will end in because we ended it
        self.why = ""  # and the reason
        self.leader: "Optional[Tuple[int, Any]]" = None  # wait status and resources of a leader whose group lingers
        self.started_at = self.began = 0.0

    @property
    def key(self) -> "Tuple[int, int]":
        """What names it in the protocol."""
        return self.index, self.attempt


class Queue:
    """Tasks that wait, first come first served among those for which there are GPUs enough."""

    def __init__(self) -> None:
        self.tasks: "Dict[Tuple[int, int], Task]" = {}
        self._lines: "Dict[int, Deque[Task]]" = {}  # by the number of GPUs they ask for

    def __contains__(self, key: object) -> bool:
        return key in self.tasks

    def __len__(self) -> int:
        return len(self.tasks)

    def put(self, task: Task, first: bool = False) -> None:
        """Let a task wait, at the end or (again) at the head."""
        self.tasks[task.key] = task
        line = self._lines.setdefault(task.gpus, deque())
        line.appendleft(task) if first else line.append(task)

    def take(self, gpus: int) -> "Optional[Task]":
        """The next task that asks for at most so many GPUs."""
        best: "Optional[Deque[Task]]" = None
        for asked, line in self._lines.items():
            while line and self.tasks.get(line[0].key) is not line[0]:
                line.popleft()  # was dropped
            if line and asked <= gpus and (best is None or line[0].order < best[0].order):
                best = line
        if best is None:
            return None
        task = best.popleft()
        del self.tasks[task.key]
        return task

    def drop(self, key: "Tuple[int, int]") -> "Optional[Task]":
        """Take one task out; None when it does not wait."""
        return self.tasks.pop(key, None)

    def clear(self) -> "List[Task]":
        """Take all tasks out."""
        dropped = list(self.tasks.values())
        self.tasks.clear()
        self._lines.clear()
        return dropped


class Places:
    """Slots, GPUs and cores: what is free and who has what."""

    def __init__(self, slots: int, gpus: "Sequence[str]", pin: bool) -> None:
        self.slots = slots
        self.gpus = list(gpus)
        self.free_slots = list(range(slots))
        self.free_gpus = list(gpus)
        self.reserved_slots: "Set[int]" = set()
        self.reserved_gpus: "Set[str]" = set()
        self.allowed = sorted(os.sched_getaffinity(0)) if pin and hasattr(os, "sched_getaffinity") else []
        self.uses = dict.fromkeys(self.allowed, 0)

    def room(self) -> bool:
        """Is a slot free?"""
        return any(slot not in self.reserved_slots for slot in self.free_slots)

    def gpus_free(self) -> int:
        """How many GPUs can be given out now."""
        return sum(gpu not in self.reserved_gpus for gpu in self.free_gpus)

    def give(self, task: Task) -> None:
        """Give a task the lowest free slot, its GPUs and its cores."""
        task.slot = min(slot for slot in self.free_slots if slot not in self.reserved_slots)
        self.free_slots.remove(task.slot)
        if task.gpus:
            task.given = [gpu for gpu in self.free_gpus if gpu not in self.reserved_gpus][: task.gpus]
            self.free_gpus = [gpu for gpu in self.gpus if gpu in self.free_gpus and gpu not in task.given]
        if self.allowed:
            count = task.cpus or max(1, len(self.allowed) // max(1, self.slots))
            task.cores = sorted(self.allowed, key=lambda core: (self.uses[core], core))[:count]
            for core in task.cores:
                self.uses[core] += 1

    def take_back(self, task: Task) -> None:
        """A task's places are free again."""
        self.free_slots.append(task.slot)
        self.free_gpus = [gpu for gpu in self.gpus if gpu in self.free_gpus or gpu in task.given]
        for core in task.cores:
            self.uses[core] -= 1
        task.slot, task.given, task.cores = -1, [], []


class Output:
    """Events on their way to a controller that may be slow, or gone: never blocks, never fails."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.pending = bytearray()  # whose head is cut off cheaply
        self.events: "List[List[Any]]" = []
        self.open = True
        try:
            os.set_blocking(fd, False)
        except OSError:
            self.open = False

    def event(self, kind: str, key: "Tuple[int, int]", detail: "Any") -> None:
        """Queue an event of an attempt; (0, 0) stands for the runner itself."""
        if self.open:
            self.events.append([kind, key[0], key[1], detail])

    def line(self, value: "Any") -> None:
        """Send anything else, in its order among the events."""
        self.flush()
        if self.open:
            self.pending += json.dumps(value).encode("ascii") + b"\n"
            self.flush()

    def flush(self) -> None:
        """Write what can be written now."""
        if self.events:
            self.pending += json.dumps({"ev": self.events}).encode("ascii") + b"\n"
            self.events = []
        while self.pending and self.open:
            try:
                del self.pending[: os.write(self.fd, self.pending[:65536])]
            except BlockingIOError:
                return
            except OSError:
                # Nobody reads any more; everything is on disk.
                self.open = False
                self.pending.clear()


def machine_facts(folder: bytes) -> "Dict[str, Any]":
    """What is cheap to know of the machine: its clock, its load, and the room on the disk of `folder`."""
    facts = {"time": time.time(), "cpus": os.cpu_count()}  # type: Dict[str, Any]
    try:
        facts["load_1m"] = round(os.getloadavg()[0], 2)
        disk = os.statvfs(folder)
        facts["disk_free_mb"] = disk.f_bavail * disk.f_frsize >> 20
        if disk.f_files:  # some file systems make inodes as they need them, and say 0
            facts["inodes_free"] = disk.f_favail
    except OSError:
        pass
    return facts


class Runner:
    """Takes tasks, runs as many at once as it has slots, and writes down what became of each."""

    look_s = RETRY_S  # between two looks for requests, when there is nobody to send them

    def __init__(self, init: "Mapping[str, Any]", output: Output) -> None:
        self.output = output
        self.id = str(init["runner"])
        start = process_start(os.getpid())
        self.mark = mark_of(self.id, os.getpid(), start)
        self.source = str(init.get("source", ""))
        self.sweep_dir = os.path.abspath(raw(init["sweep_dir"]))
        self.tasks_dir = os.path.join(self.sweep_dir, b"tasks")
        runners = os.path.join(self.sweep_dir, b".hsm", b"runners")
        self.file = os.path.join(runners, raw(self.id) + b".json")
        self.requests = os.path.join(runners, raw(self.id) + b".requests")
        self.grace = float(init.get("grace_s", GRACE_S))
        self.patience = float(init.get("patience_s") or 0.0)  # with a controller that says nothing; 0: without end
        self.heard_at = time.monotonic()
        self.tells = bool(init.get("last_words"))
        self.places = Places(
            int(init.get("slots") or 1), [str(g) for g in init.get("gpus") or ()], bool(init.get("pin_cores"))
        )
        self.host = os.uname().nodename
        self.queue = Queue()
        self.running: "Dict[int, Task]" = {}
        self.deadlines: "Dict[int, float]" = {}  # by pid, on the monotonic clock
        self.unrecorded: "List[Tuple[Task, Status]]" = []
        self.order = 0
        self.blocked = ""
        self.retry_at = 0.0
        self.flushed_at = 0.0
        self.requests_at = 0.0
        self.leaving = False
        self.stopping = False
        self.controlled = True
        self.oom_kills = oom_kills()
        self.refusal = ""
        self.programs: "Dict[Tuple[bytes, bytes], bytes]" = {}
        self.identity: "Status" = {
            "runner": self.id,
            "host": self.host,
            "host_key": host_key(),
            "runner_pid": os.getpid(),
            "runner_start": start,
        }
        self.identity_text = status_text(dict(self.identity, source=self.source))
        os.listdir(self.sweep_dir)  # must be there: a folder that was deleted is not made anew
        os.makedirs(runners, exist_ok=True)
        os.makedirs(self.tasks_dir, exist_ok=True)
        os.chdir(raw(init["project_dir"]))
        self.announce(init)
        self.env = self.base_environment(init)

    def announce(self, init: "Mapping[str, Any]") -> None:
        """Leave word of this runner on disk, then greet the controller."""
        about = {
            "runner": self.id,
            "source": self.source,
            "pid": os.getpid(),
            "start": self.identity["runner_start"],
            "host": self.host,
            "host_key": self.identity["host_key"],
            "started_at": time.time(),
        }
        write_atomically(self.file, json.dumps(about).encode("ascii") + b"\n")
        python = "%d.%d.%d" % sys.version_info[:3]
        self.output.line({"hello": dict(about, python=python, slots=self.places.slots, gpus=self.places.gpus)})

    def base_environment(self, init: "Mapping[str, Any]") -> "Dict[bytes, bytes]":
        """What every task finds in its environment."""
        env = {name: value for name, value in os.environb.items() if not name.startswith(b"HSM_")}
        env.update((raw(name), raw(value)) for name, value in (init.get("env") or {}).items())
        env[b"HSM_RUNNER"] = self.mark.partition(b"=")[2]
        if init.get("setup"):
            try:
                env = environment_after(init["setup"], env)
            except OSError as error:
                self.refusal = str(error.strerror)
                self.output.line({"error": self.refusal})
        env[b"HSM_SWEEP_ID"] = raw(str(init.get("sweep_id", "")))
        env[b"HSM_SOURCE"] = raw(self.source)
        return env

    # -- operations

    def operate(self, line: "Mapping[str, Any]") -> None:
        """Carry out one operation of the protocol. :raises ValueError: when it makes no sense."""
        operation = line.get("op")
        try:
            if operation == "run":
                for wanted in line["tasks"]:
                    self.enqueue(wanted)
            elif operation == "cancel":
                grace = float(line.get("grace_s", self.grace))
                self.cancel({(int(i), int(a)) for i, a in line["tasks"]}, grace)
            elif operation == "reserve":
                self.places.reserved_slots = {int(slot) for slot in line.get("slots") or ()}
                self.places.reserved_gpus = {str(gpu) for gpu in line.get("gpus") or ()}
            elif operation == "ping":
                self.output.line({"pong": line.get("n"), "facts": machine_facts(self.tasks_dir)})
            elif operation == "stop":
                self.stop(float(line.get("grace_s", self.grace)), "stopped")
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("operation %s: %s: %s" % (operation, type(error).__name__, error)) from None

    def enqueue(self, wanted: "Mapping[str, Any]") -> None:
        """Let a task wait for its turn, or refuse it."""
        self.order += 1
        try:
            task = Task(wanted, self.tasks_dir, self.order)
        except ValueError as error:
            if not isinstance(wanted.get("i"), int) or not isinstance(wanted.get("a"), int):
                raise
            self.output.event("refused", (wanted["i"], wanted["a"]), str(error))
            return
        if self.leaving:
            self.output.event("refused", task.key, "the runner is leaving")
        elif self.refusal:
            self.output.event("refused", task.key, self.refusal)
        elif task.key in self.queue:
            raise ValueError("task %d, attempt %d waits already" % task.key)
        elif task.gpus > len(self.places.gpus):
            there = len(self.places.gpus)
            self.output.event(
                "refused",
                task.key,
                "gpus: asks for %d, there %s %d" % (task.gpus, "is" if there == 1 else "are", there),
            )
        else:
            self.queue.put(task)

    def cancel(self, keys: "Set[Tuple[int, int]]", grace: float) -> None:
        """Drop tasks from the queue, or end their whole trees."""
        self.reap()  # what has ended by itself was not cancelled
        for key in keys:
            task = self.queue.drop(key)
            if task is not None:
                self.withdraw(task, "cancelled")
        self.end_trees([task for task in self.running.values() if task.key in keys], "cancelled", grace)

    def stop(self, grace: float, reason: str) -> None:
        """Drop the queue, end what runs, leave; the second time without grace."""
        grace = 0.0 if self.stopping else grace
        self.leaving = self.stopping = True
        for task in self.queue.clear():
            self.withdraw(task, reason)
        self.reap()
        self.end_trees(list(self.running.values()), "cancelled", grace)

    def lose_controller(self) -> None:
        """Nobody is there to give or take anything: start nothing more, let what runs end."""
        self.controlled = False
        self.leaving = True
        for task in self.queue.clear():
            self.withdraw(task, "the controller is gone")

    def withdraw(self, task: Task, reason: str) -> None:
        """A task that was in the queue will never start."""
        if task.claimed:
            status = {"state": "withdrawn", "attempt": task.attempt, "task_id": task.name, "reason": reason}
            try:
                write_atomically(os.path.join(task.folder, b"status.yaml"), status_text(status))
            except OSError:
                pass  # a claim without a status is settled as lost
        self.output.event("withdrawn", task.key, reason)

    def read_requests(self) -> None:
        """Do what other processes ask for by files, because they have no pipe to us."""
        try:
            names = sorted(name for name in os.listdir(self.requests) if name.endswith(b".json"))
        except OSError:
            return
        for name in names:
            path = os.path.join(self.requests, name)
            try:
                with open(path, "rb") as file:
                    line = json.loads(file.read().decode("utf-8"))
                os.unlink(path)
                if line.get("op") in ("cancel", "stop"):
                    self.operate(line)
            except (OSError, ValueError, AttributeError) as error:
                self.output.line({"error": "%s: %s" % (shown(path), error)})

    # -- starting

    def start_tasks(self) -> None:
        """Fill the free slots."""
        while self.queue and not self.blocked and self.places.room():
            task = self.queue.take(self.places.gpus_free())
            if task is None:
                return
            self.places.give(task)
            try:
                if not self.start(task):
                    self.places.take_back(task)
            except OSError as error:
                self.places.take_back(task)
                if error.errno in PASSING:
                    self.queue.put(task, first=True)
                    self.block(error, task.folder)
                else:
                    self.output.event("refused", task.key, "cannot write " + say_error(error, task.folder))

    def start(self, task: Task) -> bool:
        """Claim, write down, spawn; False when it did not come to run. :raises OSError: when nothing can be written."""
        if not task.claimed:
            if not claim(task.folder, task.attempt):
                self.output.event("refused", task.key, "claimed")
                return False
            task.claimed = True
        folder = task.folder
        try:
            os.mkdir(folder + b"/results")
        except FileExistsError:
            pass  # from a try that a full disk cut short
        except FileNotFoundError:
            os.makedirs(folder + b"/results")  # somebody removed the folder that we had claimed
        for file, text in task.files.items():
            write_file(os.path.join(folder, file), text)
        task.started_at = round(time.time(), 3)
        status = os.open(os.path.join(folder, b"status.yaml"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_all(status, self.running_status(task))
            env = self.task_environment(task)
            task.began = time.monotonic()
            try:
                self.spawn(task, env)
            except OSError as error:
                if error.errno in PASSING - OF_A_PROGRAM:
                    raise
                self.cannot_run(task, error)
                return False
            self.running[task.pid] = task
            if task.timeout is not None:
                self.deadlines[task.pid] = task.began + task.timeout
            try:
                # Its start time tells it from a later process of the same pid.
                write_all(
                    status, b"pid: %d\npid_start: %s\n" % (task.pid, yaml_scalar(process_start(task.pid)).encode())
                )
            except OSError:
                pass  # a full disk; the session and HSM_RUNNER find it too
        finally:
            os.close(status)
        detail = {"at": task.started_at, "pid": task.pid, "slot": task.slot, "host": self.host}
        if task.given:
            detail["gpus"] = task.given
        self.output.event("started", task.key, detail)
        return True

    def running_status(self, task: Task) -> bytes:
        """`status.yaml` as it is while the task runs."""
        status = {"state": "running", "task_id": task.name, "attempt": task.attempt}
        status.update(slot=task.slot, started_at=task.started_at)
        if task.given:
            status["gpus"] = ",".join(task.given)
        return status_text(status) + self.identity_text

    def task_environment(self, task: Task) -> "Dict[bytes, bytes]":
        """The base environment, what the runner tells every task, and the task's own."""
        folder = task.folder
        env = dict(self.env)
        env[b"HSM_TASK_ID"] = raw(task.name)
        env[b"HSM_TASK_INDEX"] = b"%d" % task.index
        env[b"HSM_ATTEMPT"] = b"%d" % task.attempt
        env[b"HSM_TASK_DIR"] = folder
        env[b"HSM_RESULTS_DIR"] = folder + b"/results"
        env[b"HSM_PARAMS_FILE"] = folder + (b"/params.json" if b"params.json" in task.files else b"/params.yaml")
        env[b"HSM_METRICS_FILE"] = folder + b"/metrics.json"
        if task.given:
            env[b"CUDA_VISIBLE_DEVICES"] = env[b"HSM_GPUS"] = raw(",".join(task.given))
        env.update(task.env)
        return env

    def spawn(self, task: Task, env: "Dict[bytes, bytes]") -> None:
        """Start the task's program on its cores."""
        path = env.get(b"PATH", raw(os.defpath))
        known = (task.argv[0], path)
        if known not in self.programs:
            self.programs[known] = find_program(*known)
        if task.cores:
            os.sched_setaffinity(0, task.cores)  # inherited
        try:
            task.pid = spawn(self.programs[known], task.argv, env, task.folder)
        except OSError:
            del self.programs[known]
            raise
        finally:
            if task.cores:
                os.sched_setaffinity(0, self.places.allowed)

    def cannot_run(self, task: Task, error: OSError) -> None:
        """A program that could not be started has failed, as it has in a shell: 127 not found, 126 not executable."""
        name = shown(task.argv[0])
        if error.errno == errno.ENOENT and b"/" in task.argv[0] and os.path.exists(task.argv[0]):
            reason = "%s: the interpreter in its first line was not found" % name
        elif error.errno == errno.ENOENT:
            reason = "%s: command not found" % name
        else:
            reason = "%s: cannot be executed: %s" % (name, error.strerror)
        code = 127 if error.errno == errno.ENOENT else 126
        record = {"state": "failed", "exit_code": code, "started_at": task.started_at, "duration_s": 0.0}
        record.update(host=self.host, slot=task.slot, oom_killed=False, reason=reason)
        self.record(task, record)

    def block(self, error: OSError, path: bytes) -> None:
        """Nothing can be written: say so once, and try again every second."""
        if not os.path.isdir(self.sweep_dir):
            self.abandon()
            return
        self.retry_at = time.monotonic() + RETRY_S
        if not self.blocked:
            self.blocked = "cannot start or record tasks: " + say_error(error, path)
            self.output.event("blocked", (0, 0), self.blocked)

    def abandon(self) -> None:
        """The sweep's folder was deleted under us: there is nothing left to run for."""
        if not self.leaving or self.unrecorded:
            self.output.line({"error": "%s: the sweep's folder is gone; everything is stopped" % shown(self.sweep_dir)})
        self.unrecorded = []
        self.stop(0.0, "the sweep's folder is gone")

    # -- ending

    def end_trees(self, tasks: "Iterable[Task]", outcome: str, grace: float, why: str = "") -> None:
        """Ask the whole trees of tasks to end, and set the time when they are made to; never later than once set."""
        deadline = time.monotonic() + grace
        asked = []
        for task in tasks:
            if task.outcome:
                self.deadlines[task.pid] = min(deadline, self.deadlines[task.pid])
            else:
                self.deadlines[task.pid] = deadline
                task.outcome, task.why = outcome, why or task.why
                asked.append(task)
        self.signal_trees(asked, signal.SIGTERM)

    def signal_trees(self, tasks: "Sequence[Task]", number: int) -> None:
        """Signal tasks' groups, and whatever left its group but carries a task's name in its environment."""
        if not tasks:
            return
        for task in tasks:
            signal_group(task.pid, number)
        groups = {task.pid for task in tasks}
        for process in processes():  # once for all: a login node has thousands
            if process.group not in groups and process.carries(self.mark):
                for task in tasks:
                    if process.carries(b"HSM_TASK_DIR=" + task.folder, b"HSM_ATTEMPT=%d" % task.attempt):
                        signal_process(process.pid, number)

    def check_deadlines(self) -> None:
        """End tasks whose time is up, kill those that were asked to end and did not, and let go of what has ended."""
        now = time.monotonic()
        due = [self.running[pid] for pid, deadline in self.deadlines.items() if deadline <= now]
        late = [task for task in due if not task.outcome]
        for task in late:
            task.why = "stopped at its limit of %g s" % (task.timeout or 0.0)
        self.end_trees(late, "timeout", self.grace)
        kill = [task for task in due if self.deadlines[task.pid] <= now]
        over = [t for t in self.running.values() if t.leader and t not in kill and not group_lives(t.pid)]
        self.signal_trees(kill + over, signal.SIGKILL)
        for task in kill + over:
            self.deadlines[task.pid] = now + RETRY_S  # again, for what it forked meanwhile
            if task.leader is not None:
                self.finish(task, *task.leader)

    def reap(self) -> None:
        """Take note of every child that has ended."""
        over = []
        while self.running:
            try:
                if hasattr(os, "waitid"):
                    # A zombie leader keeps its pid: it names this group and no other, so the rest can be killed safely.
                    zombie = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                    if zombie is None:
                        break
                    task = self.running.get(zombie.si_pid)
                    if task is not None and not task.outcome:
                        signal_group(task.pid, signal.SIGKILL)
                    pid, status, used = os.wait4(zombie.si_pid, 0)
                else:
                    pid, status, used = os.wait4(-1, os.WNOHANG)
                    if pid == 0:
                        break
                    task = self.running.get(pid)
                    if task is not None and not task.outcome:
                        signal_group(pid, signal.SIGKILL)
            except ChildProcessError:
                break
            if task is None:
                continue
            if not task.outcome:
                self.finish(task, status, used)
            else:
                task.leader = status, used
                if not group_lives(pid):  # else its children have their grace too
                    over.append(task)
        self.signal_trees(over, signal.SIGKILL)
        for task in over:
            if task.leader is not None:
                self.finish(task, *task.leader)

    def finish(self, task: Task, status: int, used: "Any") -> None:
        """Make the exit record of a task whose leader has ended."""
        duration = time.monotonic() - task.began
        del self.running[task.pid]
        self.deadlines.pop(task.pid, None)
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        record: "Status" = {"state": task.outcome or ("completed" if status == 0 else "failed")}
        if killed:
            record["signal"] = killed
        else:
            record["exit_code"] = os.WEXITSTATUS(status)
        record["started_at"] = task.started_at
        record["duration_s"] = round(duration, 6)
        record["max_rss_mb"] = round(used.ru_maxrss / (1048576.0 if sys.platform == "darwin" else 1024.0), 1)
        record["cpu_s"] = round(used.ru_utime + used.ru_stime, 6)
        record["host"] = self.host
        record["pid"] = task.pid
        record["slot"] = task.slot
        if task.given:
            record["gpus"] = ",".join(task.given)
        record["oom_killed"] = killed == signal.SIGKILL and not task.outcome and self.killed_for_memory()
        if task.why:
            record["reason"] = task.why
        self.places.take_back(task)
        self.record(task, record)

    def killed_for_memory(self) -> bool:
        """Has the kernel killed for memory since we last asked?"""
        before, self.oom_kills = self.oom_kills, oom_kills()
        return self.oom_kills > before

    def record(self, task: Task, record: "Status") -> None:
        """Write an exit record, then report it; keep it when it cannot be written now."""
        try:
            self.write_record(task, record)
        except OSError as error:
            self.unrecorded.append((task, record))
            self.block(error, task.folder)

    def write_record(self, task: Task, record: "Status") -> None:
        """Write an exit record and report it. :raises OSError: when it cannot be written."""
        status = dict(record, task_id=task.name, attempt=task.attempt, source=self.source, runner=self.id)
        path, text = os.path.join(task.folder, b"status.yaml"), status_text(status)
        archive = os.path.join(task.folder, b"attempts", b"%d" % task.attempt)
        if os.path.isdir(archive):  # we were taken for dead, and another attempt has the folder
            path = os.path.join(archive, b"status.yaml")
        try:
            replace_status(path, text)
        except FileNotFoundError:
            if not os.path.isdir(self.sweep_dir):
                raise
            os.makedirs(task.folder, exist_ok=True)  # somebody removed the task's folder alone
            replace_status(path, text)
        self.output.event("ended", task.key, with_last_words(record, task.folder) if self.tells else record)

    def retry_writing(self) -> None:
        """The second is over: try what could not be written, records before new starts."""
        waiting, self.unrecorded = self.unrecorded, []
        for position, (task, record) in enumerate(waiting):
            try:
                self.write_record(task, record)
            except OSError as error:
                self.unrecorded = waiting[position:]
                self.block(error, task.folder)
                return
        reason, self.blocked = self.blocked, ""
        self.start_tasks()
        if not self.blocked:
            self.output.event("unblocked", (0, 0), reason)

    # -- the loop

    def wait_s(self, now: float) -> "Optional[float]":
        """How long nothing will happen by itself; None for ever."""
        times = list(self.deadlines.values())
        if any(task.leader is not None for task in self.running.values()):
            times.append(now + LINGER_S)
        if self.blocked:
            times.append(self.retry_at)
        if self.output.events:
            times.append(self.flushed_at + COALESCE_S)
        if self.patience and self.controlled:
            times.append(self.heard_at + self.patience)
        if not self.controlled:
            times.append(self.requests_at + self.look_s)
        return max(0.0, min(times) - now) if times else None

    def turn(self) -> None:
        """Everything that is due now."""
        now = time.monotonic()
        self.reap()
        if self.deadlines:
            self.check_deadlines()
        if self.patience and self.controlled and now >= self.heard_at + self.patience:
            self.lose_controller()  # the link is dead, and nobody has told us
        if not self.controlled and now >= self.requests_at + self.look_s:
            self.requests_at = now
            self.read_requests()
            if is_gone(self.sweep_dir):
                self.abandon()
        if self.blocked and now >= self.retry_at:
            self.retry_writing()
        self.start_tasks()
        if self.output.events and (not self.queue or now >= self.flushed_at + COALESCE_S):
            self.output.flush()
            self.flushed_at = now

    def done(self) -> bool:
        """Nothing is left to do."""
        return self.leaving and not self.running and not self.unrecorded

    def close(self) -> None:
        """A clean end: take back the word of this runner."""
        for path in (self.file, self.requests):
            try:
                os.rmdir(path) if path == self.requests else os.unlink(path)
            except OSError:
                pass


class Input:
    """Lines from standard input, as many as there are now."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.parts: "List[bytes]" = []  # of a line that has not ended yet
        self.ended = False
        self.poll = select.poll()
        self.poll.register(fd, select.POLLIN)

    def lines(self) -> "List[bytes]":
        """Everything that has arrived, so that an end of input is known before anything that came with it is done."""
        whole = False
        while not self.ended and self.poll.poll(0):
            try:
                data = os.read(self.fd, 1 << 20)
            except OSError:
                data = b""
            self.ended = not data
            self.parts.append(data)
            whole = whole or b"\n" in data
        if not whole:
            return []
        *lines, rest = b"".join(self.parts).split(b"\n")
        self.parts = [rest]
        return [line for line in lines if line.strip()]


def parse(line: bytes) -> "Dict[str, Any]":
    """One line of the protocol. :raises ValueError: when it is not an object."""
    value = json.loads(line.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def catch_signals(*more: int) -> int:
    """Turn signals into bytes, each its number, on a pipe whose reading end is returned."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, *more):
        signal.signal(number, lambda number, frame: None)
    return reader


def serve() -> int:
    """Run tasks for the controller at the other end of standard input and output; the exit code."""
    try:
        os.setsid()  # whatever we start can be found by its session, even when we are killed
    except OSError:
        pass  # leader already
    wake = catch_signals()
    output, source = Output(1), Input(0)
    runner: "Optional[Runner]" = None
    poll = select.poll()
    poll.register(source.fd, select.POLLIN)
    poll.register(wake, select.POLLIN)
    writing = False
    while True:
        if output.open and bool(output.pending) != writing:
            writing = not writing
            poll.register(output.fd, select.POLLOUT) if writing else poll.unregister(output.fd)
        elif writing and not output.open:
            writing = False
            poll.unregister(output.fd)
        wait = runner.wait_s(time.monotonic()) if runner else None
        for fd, _ in poll.poll(None if wait is None else wait * 1000.0 + 0.5):
            if fd == wake:
                for number in os.read(wake, 65536):
                    if number in (signal.SIGTERM, signal.SIGINT):
                        if runner is None:
                            return 0
                        runner.stop(runner.grace, "the runner was told to end")
                    elif number == signal.SIGUSR1 and runner:
                        runner.read_requests()
            elif fd == output.fd:
                output.flush()
            elif fd == source.fd:
                for line in source.lines():
                    try:
                        operation = parse(line)
                        if runner:
                            runner.heard_at = time.monotonic()
                            if not source.ended or operation.get("op") != "run":
                                runner.operate(operation)
                        elif operation.get("op") == "init":
                            runner = Runner(operation, output)
                        else:
                            output.line({"error": "the first operation must be init"})
                    except (ValueError, KeyError, TypeError) as error:
                        output.line({"error": "%s: %s" % (type(error).__name__, error)})
                    except OSError as error:
                        output.line({"error": "cannot serve: " + say_error(error)})
                        return 2
                if source.ended:
                    poll.unregister(source.fd)
                    if runner is None:
                        return 0
                    runner.lose_controller()
        if runner:
            runner.turn()
            if runner.done():
                output.flush()
                runner.close()
                return 0


# ---- settle and end ----------------------------------------------------------------------------------------


def runner_in(about: "Mapping[str, Any]", pid: str, start: str) -> "Optional[Status]":
    """The runner that a status or a runner's own file names; None when it is torn."""
    try:
        return {
            "runner": str(about["runner"]),
            "pid": int(about[pid]),
            "start": about[start],
            "host": str(about["host"]),
            "host_key": str(about["host_key"]),
        }
    except (KeyError, TypeError, ValueError):
        return None


class Affairs:
    """The runners of a sweep, the living and the dead, as seen from this host."""

    def __init__(
        self, sweep_dir: bytes, takeover: bool, gone: "Iterable[str]" = (), shared: "Iterable[str]" = ()
    ) -> None:
        self.gone = frozenset(gone)
        self.shared = frozenset(map(raw, shared))
        self.tasks_dir = os.path.join(sweep_dir, b"tasks")
        self.runners_dir = os.path.join(sweep_dir, b".hsm", b"runners")
        self.takeover = takeover
        self.survivors: "Dict[str, str]" = {}  # runner id -> what of it could not be ended
        self.buried: "Set[str]" = set()
        self.known = self.list_runners()

    def list_runners(self) -> "Dict[str, Status]":
        """The runners that have left word and not taken it back, by id."""
        found = {}
        try:
            names = os.listdir(self.runners_dir)
        except OSError:
            return {}
        for name in names:
            if name.endswith(b".json"):
                path = os.path.join(self.runners_dir, name)
                try:
                    with open(path, "rb") as file:
                        about = runner_in(parse(file.read()), "pid", "start")
                    if about:
                        found[about["runner"]] = dict(about, since=os.stat(path).st_mtime)
                except (OSError, ValueError):
                    continue
        return found

    def fate(self, runner: "Status") -> str:
        """`alive`, `dead`, `gone` (its machine was started anew, or given up by a person) or `elsewhere`."""
        relation = host_relation(runner["host_key"])
        if relation == "here":
            return "alive" if is_alive(runner["pid"], runner["start"]) else "dead"
        vouched = self.takeover or runner["runner"] in self.gone
        return "gone" if relation == "elsewhere" and vouched else relation

    def bury(self, runners: "Iterable[Status]", groups: "Mapping[int, Optional[str]]") -> None:
        """Kill whatever dead runners left behind, and see it gone.

        :param groups: pid and start of the programs that they are known to have started.
        """
        dead = {runner["runner"]: runner for runner in runners if self.fate(runner) == "dead"}
        self.buried.update(dead)
        survivors: "Dict[str, str]" = {}
        deadline = time.monotonic() + KILL_DEADLINE_S
        while dead:
            left, doubtful = leftovers(dead, groups)
            survivors = {}
            if not self.takeover:
                for process, runner in doubtful:
                    survivors[runner] = "process %d, which may be one of its, still lives" % process.pid
            for process, runner in left:
                signal_process(process.pid, signal.SIGKILL)
                survivors[runner] = "process %d cannot be killed" % process.pid
            if not left or time.monotonic() > deadline:
                break
            time.sleep(LINGER_S / 5)
        self.survivors.update(survivors)
        for runner, about in self.known.items():
            if runner not in self.survivors and self.fate(about) in ("dead", "gone"):
                self.forget(runner)

    def forget(self, runner: str) -> None:
        """Take away the files of a runner that is settled."""
        requests = os.path.join(self.runners_dir, raw(runner) + b".requests")
        try:
            for name in os.listdir(requests):
                os.unlink(os.path.join(requests, name))
            os.rmdir(requests)
        except OSError:
            pass
        try:
            os.unlink(os.path.join(self.runners_dir, raw(runner) + b".json"))
        except OSError:
            pass

    def doubt(self, folder: bytes, attempt: int) -> str:
        """Why a claimed attempt without a status may yet be starting; empty when no runner can be doing that."""
        claimed = folder if attempt == 1 else os.path.join(folder, b"attempts", b"%d" % (attempt - 1))
        if attempt == 1 and os.path.basename(folder) in self.shared:
            return "starting, perhaps, in another element of its job"
        if self.gone:
            return ""  # these are attempts of jobs, and their scheduler says that they are over
        since = os.stat(claimed).st_mtime
        for runner in self.list_runners().values():
            # Both times are the file system's own, and a runner leaves word before its first claim.
            if runner["since"] <= since and self.fate(runner) in ("alive", "elsewhere"):
                return "starting, perhaps, by runner %s (pid %d on %s)" % (
                    runner["runner"],
                    runner["pid"],
                    runner["host"],
                )
        return next(iter(self.survivors.values()), "")

    def verdict(self, attempt: int, name: str, withdraw: bool) -> "Verdict":
        """What became of one attempt, and the evidence."""
        folder = os.path.join(self.tasks_dir, raw(name))
        if not is_claimed(folder, attempt):
            if not withdraw:
                return "queued", "never started"
            if claim(folder, attempt):
                status = {
                    "state": "withdrawn",
                    "task_id": name,
                    "attempt": attempt,
                    "reason": "withdrawn before its start",
                }
                write_atomically(os.path.join(folder, b"status.yaml"), status_text(status))
                return "withdrawn", status["reason"]
        status = attempt_status(folder, attempt)
        if not status:
            doubt = self.doubt(folder, attempt)
            status = attempt_status(folder, attempt)  # it may have been written while we looked at the runners
            if not status:
                return ("unknown", doubt) if doubt else ("lost", "its runner died before its program started")
        if status["state"] == "running":
            runner = runner_in(status, "runner_pid", "runner_start")
            fate = self.fate(runner) if runner else ""
            if runner and fate == "dead" and runner["runner"] not in self.buried:
                self.bury([runner], groups_of([status]))  # it died while we were here
            status = attempt_status(folder, attempt) or status  # a runner may write the record and go
            if status["state"] == "running":
                return self.verdict_of_running(status, runner, fate, self.doubt(folder, attempt))
        if status["state"] == "withdrawn":
            return "withdrawn", str(status.get("reason", ""))
        return "ended", record_of(status)

    def verdict_of_running(self, status: "Status", runner: "Optional[Status]", fate: str, doubt: str) -> "Verdict":
        """What became of an attempt that says it runs."""
        if runner is None:
            return ("unknown", doubt) if doubt else ("lost", "its status is torn and no runner of the sweep lives")
        name = "%s (pid %d on %s)" % (runner["runner"], runner["pid"], runner["host"])
        if fate == "alive":
            gpus = [gpu for gpu in str(status.get("gpus", "")).split(",") if gpu]
            detail = {key: status.get(key) for key in ("slot", "pid", "runner", "host", "started_at")}
            return "running", dict(detail, gpus=gpus)
        if fate == "elsewhere":
            return "unknown", "on host %s, which cannot be asked from here; runner %s" % (runner["host"], name)
        if fate == "gone":
            return "lost", "host %s was started anew or given up since; runner %s" % (runner["host"], name)
        if runner["runner"] in self.survivors:
            return "unknown", "runner %s died, and %s" % (name, self.survivors[runner["runner"]])
        return "lost", "runner %s died before it could write a record" % name

    def conclude(self, attempt: int, name: str, fate: "Mapping[str, Any]") -> "Status":
        """Write the exit record of an attempt whose runner could not, and give it back. :raises OSError:"""
        folder = os.path.join(self.tasks_dir, raw(name))
        status = dict(attempt_status(folder, attempt), task_id=name, attempt=attempt)
        status.update(fate)
        status.pop("restart", None)  # the rest of what names its processes stays: some of them may yet be found
        write_atomically(os.path.join(folder, b"status.yaml"), status_text(status))
        return record_of(status)

    def running(self, tasks: "Iterable[Tuple[int, int, str]]") -> "List[Tuple[Status, Status]]":
        """Status and runner of those attempts that say they run."""
        found = []
        for _, attempt, name in tasks:
            status = attempt_status(os.path.join(self.tasks_dir, raw(name)), attempt)
            runner = runner_in(status, "runner_pid", "runner_start") if status.get("state") == "running" else None
            if runner is not None:
                found.append((status, runner))
        return found

    def bury_all(self, tasks: "Sequence[Tuple[int, int, str]]") -> None:
        """Bury every dead runner of the sweep that left word, or that one of these attempts names."""
        running = self.running(tasks)
        groups = groups_of(status for status, _ in running)
        runners = {runner["runner"]: runner for _, runner in running}
        runners.update(self.known)
        self.bury(runners.values(), groups)


def groups_of(statuses: "Iterable[Status]") -> "Dict[int, Optional[str]]":
    """Pid and start of the programs in running statuses, so far as they were written down."""
    return {status["pid"]: status.get("pid_start") for status in statuses if isinstance(status.get("pid"), int)}


def leftovers(
    dead: "Mapping[str, Status]", groups: "Mapping[int, Optional[str]]"
) -> "Tuple[List[Tuple[Process, str]], List[Tuple[Process, str]]]":
    """Living processes of dead runners, each with its runner's id: those that are for certain, and those that may be.

    A process is a runner's when it carries the runner's name; or when it is in the runner's session and was cloned but
    has not become another program yet, hides its environment, or is in the group of a program that the runner is known
    to have started. Others in the session may be of a later one of the same number.
    """
    sessions = {runner["pid"]: name for name, runner in dead.items()}
    everything = list(processes())
    started = {p.pid for p in everything if p.pid in groups and groups[p.pid] in (None, p.start)}
    living = {p.pid for p in everything}
    certain: "List[Tuple[Process, str]]" = []
    doubtful: "List[Tuple[Process, str]]" = []
    for process in everything:
        for name in dead:
            if process.carries(mark_of(name, dead[name]["pid"], dead[name]["start"])):
                certain.append((process, name))
                break
        else:
            # A session whose leader lives is not a dead runner's.
            if process.session in sessions and process.session not in living:
                sure = process.environ() is None or process.group in started or is_clone(process.pid)
                (certain if sure else doubtful).append((process, sessions[process.session]))
    return certain, doubtful


def is_clone(pid: int) -> bool:
    """Is it a runner's child between clone and exec?"""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            command = file.read()
            return command.endswith(b"\0serve\0") or b"/start_job.py\0" in command
    except OSError:
        return False


def settle(request: "Mapping[str, Any]") -> "Any":
    """Verdicts on attempts; whatever dead runners left alive is killed first.

    :raises ValueError: when the request cannot be meant.
    """
    sweep_dir, tasks = read_request(request)
    affairs = Affairs(sweep_dir, bool(request.get("takeover")), request.get("gone") or (), request.get("shared") or ())
    if request.get("withdraw") and os.path.isdir(sweep_dir):
        os.makedirs(affairs.tasks_dir, exist_ok=True)  # no runner may ever have come here; claims need it
    affairs.bury_all(tasks)
    fates = request.get("fates") or {}
    answers = []
    for index, attempt, name in tasks:
        try:
            if affairs.gone and is_claimed(os.path.join(affairs.tasks_dir, raw(name)), attempt):
                # Another node wrote there: a listing makes a network file system look again.
                os.listdir(os.path.join(affairs.tasks_dir, raw(name)))
            verdict, detail = affairs.verdict(attempt, name, bool(request.get("withdraw")))
            fate = fates.get("%d.%d" % (index, attempt))
            if fate and overrules(fate, verdict, detail):
                verdict, detail = "ended", affairs.conclude(attempt, name, fate)
            if verdict == "ended" and request.get("last_words"):
                folder = os.path.join(affairs.tasks_dir, raw(name))
                archived = os.path.join(folder, b"attempts", b"%d" % attempt)
                detail = with_last_words(detail, archived if os.path.isdir(archived) else folder)
        except OSError as error:
            verdict, detail = "unknown", say_error(error)
        answers.append([index, attempt, verdict, detail])
    return {"tasks": answers}


def overrules(fate: "Mapping[str, Any]", verdict: str, detail: "Any") -> bool:
    """Whether a scheduler's word on an attempt says more than what the attempt left."""
    if verdict == "withdrawn":
        return fate.get("state") == "cancelled"
    # A runner that was told to end with its job cannot know why.
    return verdict == "lost" or (verdict == "ended" and detail.get("state") == "preempted")


def end(request: "Mapping[str, Any]") -> "Any":
    """End running attempts, trees and all: by their runners where those live, otherwise here and now.

    Answers as `settle` does, with `ending` where a runner was asked.

    :raises ValueError: when the request cannot be meant.
    """
    sweep_dir, tasks = read_request(request)
    grace = float(request.get("grace_s", GRACE_S))
    affairs = Affairs(sweep_dir, False)
    affairs.bury_all(tasks)
    asked: "Dict[str, List[Tuple[int, int]]]" = {}
    answers = []
    for index, attempt, name in tasks:
        try:
            verdict, detail = affairs.verdict(attempt, name, False)
            folder = os.path.join(affairs.tasks_dir, raw(name))
            runner = str(attempt_status(folder, attempt).get("runner", ""))
            if verdict == "running" or (verdict == "unknown" and runner in affairs.known):
                asked.setdefault(runner, []).append((index, attempt))
                verdict = "ending"
            elif verdict == "lost":
                verdict, detail = "ended", affairs.conclude(attempt, name, {"state": "cancelled", "reason": detail})
        except OSError as error:
            verdict, detail = "unknown", say_error(error)
        answers.append([index, attempt, verdict, detail])
    for runner, keys in asked.items():
        ask_runner(affairs, runner, {"op": "cancel", "tasks": keys, "grace_s": grace})
    return {"tasks": answers}


def ask_runner(affairs: Affairs, runner: str, line: "Status") -> None:
    """Leave an operation for a runner whose pipe is not ours, and wake it where we can.

    :raises OSError: when the file cannot be written.
    """
    folder = os.path.join(affairs.runners_dir, raw(runner) + b".requests")
    os.makedirs(folder, exist_ok=True)
    name = b"%d-%d.json" % (int(time.time() * 1e6), os.getpid())
    write_atomically(os.path.join(folder, name), json.dumps(line).encode("ascii"))
    about = affairs.known.get(runner)
    if about and affairs.fate(about) == "alive":
        signal_process(about["pid"], signal.SIGUSR1)


def read_request(request: "Mapping[str, Any]") -> "Tuple[bytes, List[Tuple[int, int, str]]]":
    """The sweep's folder and the attempts that a request names. :raises ValueError: when it cannot be meant."""
    try:
        tasks = [(int(index), int(attempt), str(name)) for index, attempt, name in request["tasks"]]
        return os.path.abspath(raw(request["sweep_dir"])), tasks
    except (KeyError, TypeError) as error:
        raise ValueError("%s: %s" % (type(error).__name__, error)) from None


def answer(mode: "Callable[[Mapping[str, Any]], Any]") -> int:
    """One request on standard input, one answer on standard output; the exit code."""
    try:
        reply = mode(parse(sys.stdin.buffer.read()))
    except (ValueError, OSError) as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 2
    sys.stdout.write(json.dumps(reply) + "\n")
    return 0


def main(argv: "List[str]") -> int:
    """The command line: one word, the mode."""
    mode = argv[1] if len(argv) == 2 else ""
    if mode == "serve":
        return serve()
    if mode in ("settle", "end"):
        return answer(settle if mode == "settle" else end)
    sys.stderr.write("usage: python3 runner.py serve|settle|end\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
