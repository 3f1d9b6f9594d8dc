"""The emulator's server: takes submissions, really runs them, ends them, and answers as OpenPBS or Torque would.

One thread, started as `python -m hsm_pbs.testing.server FOLDER`; the commands talk to it through a socket there.
Settings are read anew from `settings.json` whenever that changes, so that a test can change them while jobs run.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from hsm_core.runner.runner import processes, signal_process

from .jobs import Element, Job, attributes, short_moment
from .rendering import as_json, as_table, as_text, head
from .request import Refused, parse_request, seconds_of
from .settings import Settings

__all__ = ["Answer", "Server"]

_TICK_S = 0.02
Answer = Tuple[int, str, str]
"""Exit code, standard output, standard error."""


class Server:
    """All there is to the cluster: one server, one node, a few queues."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(folder)
        self.jobs: Dict[int, Job] = {}
        self.user = getpass.getuser()
        self._next = 1

    # --- its life

    def run(self) -> None:
        """Answer until told to stop."""
        listener = socket.socket(socket.AF_UNIX)
        path = self.folder / "socket"
        hidden = self.folder / "socket.new"
        with contextlib.suppress(FileNotFoundError):
            hidden.unlink()
        listener.bind(str(hidden))
        listener.listen(64)
        os.rename(hidden, path)  # who finds it finds it listening
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for _ in selector.select(_TICK_S):
                connection, _ = listener.accept()
                with connection:
                    if not self._serve(connection):
                        return
            self.tick()

    def _serve(self, connection: socket.socket) -> bool:
        connection.settimeout(10.0)
        with contextlib.suppress(OSError, ValueError):
            with connection.makefile("rb") as stream:
                asked = json.loads(stream.readline())
            command, *words = asked["argv"]
            if command == "stop":
                return False
            self.settings.refresh()
            answer = self.answer(command, words, asked)
            connection.sendall(json.dumps(answer).encode("ascii") + b"\n")
        return True

    def answer(self, command: str, words: Sequence[str], asked: Mapping[str, Any]) -> Answer:
        """What a command prints."""
        self.tick()
        commands: Mapping[str, Callable[[Sequence[str], Mapping[str, Any]], Answer]] = {
            "qsub": self._qsub,
            "qstat": self._qstat,
            "qselect": self._qselect,
            "qdel": lambda words, asked: self._each("qdel", words, self._delete),
            "qhold": lambda words, asked: self._each("qhold", words, self._hold),
            "qrls": lambda words, asked: self._each("qrls", words, self._release),
            "qsig": self._qsig,
            "qrerun": lambda words, asked: self._each("qrerun", words, self._rerun),
            "pbsnodes": self._pbsnodes,
        }
        return commands[command](words, asked)

    @property
    def torque(self) -> bool:
        """It is to be one."""
        return self.settings.flavour == "torque"

    # --- time

    def tick(self) -> None:
        """Let everything happen that has come due."""
        now = time.monotonic()
        for job in self.jobs.values():
            for element in job.elements:
                if element.letter in "RS":
                    self._watch(job, element, now)
                elif element.letter == "E" and now >= element.exits_until:
                    self._finish(job, element)
            self._settle(job)
        self._start_some()
        self._expire(now)

    def _watch(self, job: Job, element: Element, now: float) -> None:
        process = element.process
        assert process is not None
        code = process.poll()
        limit = job.request.resources.get("walltime")
        if code is None:
            if limit is not None and not element.killed_for and now - element.began > seconds_of(limit):
                self._end(element, "walltime")
            if element.kill_at and now >= element.kill_at:
                self._signal(element, signal.SIGKILL)
            return
        if element.killed_for and now < element.kill_at and self._session(element):
            return  # its shell is gone, others still end
        if element.killed_for == "qdel" and not element.shown_until:
            element.shown_until = now + self.settings.qdel_lag_s
        if now < element.shown_until:
            return  # it is no more, and the server does not know it yet
        self._signal(element, signal.SIGKILL)  # whoever is left of its session
        element.exit_status = self._status(element, code)
        element.letter, element.substate = "E", 51
        element.delivered = self._deliver(job, element)
        element.exits_until = now + (0.0 if element.delivered else self.settings.undelivered_s)

    def _deliver(self, job: Job, element: Element) -> bool:
        """Bring what the job printed to where it was asked for; False when that is not there."""
        id = job.id(element if job.is_array else None)
        asked = job.request.options.get("-o")
        name = f"{job.request.name}.o{job.number}" + (f".{element.index}" if job.is_array else "")
        path = Path(job.folder, (asked or name).rpartition(":")[2].replace("^array_index^", str(element.index)))
        if asked and not self.torque and (asked.endswith("/") or path.is_dir()):
            path = path / f"{id}.OU"
        if self.torque and asked and job.is_array:
            path = path.with_name(f"{path.name}-{element.index}")
        if str(path) == "/dev/null":
            return True
        try:
            shutil.copyfile(self.folder / "mom" / f"{id}.OU", path)
            path.chmod(0o666 & ~job.request.umask)
        except OSError:
            return False
        return True

    def _status(self, element: Element, code: int) -> int:
        if element.killed_for == "walltime":
            return -11 if self.torque else -29
        if element.killed_for == "qdel":
            return 256 + signal.SIGTERM
        return 128 - code if code < 0 else code

    def _finish(self, job: Job, element: Element) -> None:
        element.ended_at = time.time()
        element.letter = "C" if self.torque else ("X" if job.is_array else "F")
        element.substate = 91 if element.killed_for == "qdel" else 93 if element.exit_status else 92
        ends = {"walltime": "and exceeded resource walltime", "qdel": f"and terminated by {self.user}@{job.server}"}
        said = ends.get(element.killed_for, "and failed" if element.exit_status else "and finished")
        if not element.comment.endswith(said):
            element.comment = f"{element.comment} {said}"
        if not self.settings.history and not self.torque:
            element.own = False  # its record goes with it

    def _settle(self, job: Job) -> None:
        """What becomes of the whole when its elements change."""
        if job.letter in "FC":
            return
        if job.over:
            job.ended_at = time.time()
            job.letter = "C" if self.torque else "F"
            failed = any(element.exit_status for element in job.elements)
            job.substate = 91 if job.deleted else 93 if failed else 92
            if job.is_array and not self.torque:
                for element in job.elements:
                    element.letter = "F"
                said = "terminated" if job.deleted else "failed" if failed else "finished"
                job.comment = f"{job.comment} and {said}".strip()
        elif not job.is_array:
            job.letter, job.substate = job.elements[0].letter, job.elements[0].substate
        elif job.held != "n":
            job.letter, job.substate = "H", 22 if job.held == "s" else 20
        elif job.began_at:
            job.letter, job.substate = "B", 70
        else:
            job.letter, job.substate = "Q", 10

    def _start_some(self) -> None:
        for job in list(self.jobs.values()):
            if job.letter in "FC" or not self._may_begin(job):
                continue
            for element in job.elements:
                running = [one for one in job.elements if one.letter in "RSE"]
                limit = job.request.array.at_once if job.request.array is not None else None
                if element.letter != "Q" or (limit is not None and len(running) >= limit):
                    continue
                if not self._fits(job):
                    break
                self._start(job, element)

    def _may_begin(self, job: Job) -> bool:
        if job.held == "s":
            gone = [id for _, ids in job.request.after for id in ids if self._job_of(id) is None]
            if gone:  # its end is not known: the server takes the job out, as if it had ended well
                for element in job.elements:
                    element.letter, element.substate = "F", 92
                self._settle(job)
                job.comment = ""
                return False
            if all(job_of.over for job_of in self._waited_for(job)):
                job.held = "n"
                for element in job.elements:
                    if element.letter == "H":
                        element.letter, element.substate = "Q", 10
        return job.held == "n" and self.settings.scheduling

    def _waited_for(self, job: Job) -> Iterator[Job]:
        for _, ids in job.request.after:
            for id in ids:
                found = self._job_of(id)
                if found is not None:
                    yield found

    def _job_of(self, id: str) -> Optional[Job]:
        number = id.partition(".")[0].partition("[")[0]
        found = self.jobs.get(int(number)) if number.isdecimal() else None
        forgotten = found is not None and found.over and not self.settings.history and not self.torque
        return None if forgotten else found

    def _fits(self, job: Job) -> bool:
        wanted = int(job.request.chunk.get("ncpus", 1)) * int(job.request.chunk.get("chunks", 1))
        if wanted > self.settings.ncpus:
            job.comment = f"Can Never Run: Insufficient amount of resource: ncpus (R: {wanted} A: "
            for element in job.elements:
                element.comment = job.comment
            return False
        used = sum(
            int(other.request.chunk.get("ncpus", 1))
            for other in self.jobs.values()
            for element in other.elements
            if element.letter in "RE"
        )
        if used + wanted > self.settings.ncpus:
            if not job.comment:
                job.comment = "Not Running: Not enough free nodes available"
                if not job.is_array:
                    job.elements[0].comment = job.comment
            return False
        return True

    def _expire(self, now: float) -> None:
        for number, job in list(self.jobs.items()):
            keep = self.settings.history or self.torque
            if job.over and not keep:
                del self.jobs[number]

    # --- processes

    def _start(self, job: Job, element: Element) -> None:
        id = job.id(element if job.is_array else None)
        script = self.folder / "mom" / f"{id}.SC"
        script.write_text(job.request.script)
        home = job.environment["PBS_O_HOME"]
        scratch = self.folder / "tmp" / f"pbs.{id}"
        scratch.mkdir(parents=True, exist_ok=True)
        env = {
            **job.request.variables,
            **{name: value for name, value in job.environment.items() if name.startswith("PBS_O_")},
            "ENVIRONMENT": "BATCH",
            "HOME": home,
            "LOGNAME": job.owner,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_JOBDIR": home,
            "PBS_JOBID": id,
            "PBS_JOBNAME": job.request.name,
            "PBS_QUEUE": job.queue,
            "SHELL": "/bin/bash",
            "TMPDIR": str(scratch),
            "USER": job.owner,
        }
        if element.index is not None:
            env.update({"PBS_ARRAYID": str(element.index)} if self.torque else self._array_env(job, element.index))
        # A shell leads the session, and the script is its child: the processes of a job are those of its session.
        umask = job.request.umask
        with open(self.folder / "mom" / f"{id}.OU", "wb") as spool:
            element.process = subprocess.Popen(
                ["/bin/bash", "-c", f"umask {umask:04o}; /bin/bash '{script}'; exit $?"],
                cwd=home,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=spool,
                stderr=spool,
                start_new_session=True,
            )
        element.own = True
        element.letter, element.substate = "R", 42
        element.began, element.began_at = time.monotonic(), time.time()
        element.runs += 1
        element.comment = f"Job run at {short_moment(element.began_at)} on ({job.server}:ncpus=" + (
            f"{job.request.chunk.get('ncpus', 1)})"
        )
        if not job.began_at:
            job.began_at = element.began_at
            if job.is_array:
                job.comment = f"Job Array Began at {short_moment(element.began_at)}"

    def _array_env(self, job: Job, index: int) -> Mapping[str, str]:
        return {"PBS_ARRAY_ID": job.id(), "PBS_ARRAY_INDEX": str(index)}

    def _end(self, element: Element, why: str) -> None:
        element.killed_for = why
        element.kill_at = time.monotonic() + self.settings.kill_delay_s
        self._signal(element, signal.SIGTERM)

    def _signal(self, element: Element, number: int) -> None:
        """To every process of its session, as a MOM does."""
        assert element.process is not None
        for pid in self._session(element):
            signal_process(pid, number)

    def _session(self, element: Element) -> List[int]:
        assert element.process is not None
        return [process.pid for process in processes() if process.session == element.process.pid]

    # --- commands

    def _qsub(self, words: Sequence[str], asked: Mapping[str, Any]) -> Answer:
        try:
            request = parse_request(words, asked["script"], self.torque, self.settings.resources)
            queue = self._queue_for(request.options.get("-q", "workq"))
            self._check_limits(request, queue)
        except Refused as refused:
            return refused.code, "", f"{refused.said}\n"
        env = asked["env"]
        environment = {
            "PBS_O_HOME": env.get("HOME", "/"),
            "PBS_O_LANG": env.get("LANG", "C"),
            "PBS_O_LOGNAME": self.user,
            "PBS_O_PATH": env.get("PATH", ""),
            "PBS_O_SHELL": "/bin/bash",
            "PBS_O_WORKDIR": asked["cwd"],
            "PBS_O_SYSTEM": "Linux",
            **request.variables,
            "PBS_O_QUEUE": queue,
            "PBS_O_HOST": self.settings.server,
        }
        number, self._next = self._next, self._next + 1
        indices: Sequence[Optional[int]] = (None,) if request.array is None else request.array.indices
        job = Job(number, self.settings.server, self.user, queue, request, time.time(), asked["cwd"], environment)
        job.elements = [Element(index) for index in indices]
        job.arguments = " ".join(words)
        if request.after:
            self._hold_back(job, "s")
        if "-h" in request.options:
            self._hold_back(job, "u")
        self.jobs[number] = job
        return 0, f"{job.id()}\n", ""

    def _hold_back(self, job: Job, why: str) -> None:
        job.held = why
        for element in job.elements if self.torque or not job.is_array else ():
            if element.letter == "Q":
                element.letter, element.substate = "H", 22 if why == "s" else 20
        self._settle(job)

    def _queue_for(self, name: str) -> str:
        queue = self.settings.queues.get(name.partition("@")[0])
        if queue is None:
            raise Refused(170, "qsub: Unknown queue")
        if not queue.get("enabled", True):
            raise Refused(173, "qsub: Queue is not enabled")
        if queue.get("closed_to_users"):
            raise Refused(159, "qsub: Unauthorized Request ")
        return name.partition("@")[0]

    def _check_limits(self, request: Any, name: str) -> None:
        queue = self.settings.queues[name]
        size = 1 if request.array is None else len(request.array.indices)
        if size > 1 and size > min(queue.get("max_array_size", size), self.settings.max_array_size):
            raise Refused(3, "qsub: Array job exceeds server or queue size limit")
        if int(request.chunk.get("ncpus", 1)) > queue.get("max_ncpus", 1 << 30):
            raise Refused(188, "qsub: Job violates queue and/or server resource limits")
        limit = queue.get("max_walltime")
        if limit is not None and seconds_of(request.resources.get("walltime", "0")) > limit:
            raise Refused(188, "qsub: Job violates queue and/or server resource limits")
        there = sum(not element.over for job in self.jobs.values() for element in job.elements if job.queue == name)
        everywhere = sum(not element.over for job in self.jobs.values() for element in job.elements)
        if there + size > queue.get("max_queued", 1 << 30):
            raise Refused(38, "qsub: would exceed queue generic's per-user limit")
        if everywhere + size > (self.settings.max_queued or 1 << 30):
            raise Refused(38, "qsub: would exceed complex's per-user limit")

    def _qstat(self, words: Sequence[str], asked: Mapping[str, Any]) -> Answer:
        options = {word for word in words if word.startswith("-")}
        json_wanted = "-F" in options and "json" in words and not self.torque
        ids = [word for word in words if not word.startswith("-") and word not in ("json", "dsv")]
        if "-B" in options or "-Bf" in options:
            return self._describe("Server", {self.settings.server: self._server_facts()}, options)
        if "-Q" in options or "-Qf" in options:
            return self._describe("Queue", {name: self._queue_facts(name) for name in self.settings.queues}, options)
        if "-x" in options and not self.torque and not self.settings.history:
            named = [id if "." in id else f"{id}.{self.settings.server}" for id in ids] or [""]
            said = "".join(f"qstat: PBS is not configured to maintain job history {id}\n" for id in named)
            return 0, as_json(self._head()) if json_wanted else "", said
        rows, code, complaints = self._find(ids, "-x" in options or self.torque, "-t" in options)
        if json_wanted:
            jobs = {job.id(element): attributes(job, element, self.torque) for job, element in rows}
            return code, as_json({**self._head(), **({"Jobs": jobs} if jobs else {})}), complaints
        if "-f" in options:
            texts = [as_text("Job Id", job.id(one), attributes(job, one, self.torque)) for job, one in rows]
            return code, "".join(texts), complaints
        table = [
            (
                job.id(one),
                job.request.name,
                job.owner,
                "00:00:00" if one is not None and one.runs else "0",
                job.letter if one is None else one.letter,
                job.queue,
            )
            for job, one in rows
        ]
        return code, as_table(table), complaints

    def _find(
        self, ids: Sequence[str], past: bool, expand: bool
    ) -> Tuple[List[Tuple[Job, Optional[Element]]], int, str]:
        """Jobs and elements that were asked for; what is said of the others, and with which exit code."""
        rows: List[Tuple[Job, Optional[Element]]] = []
        code, complaints = 0, ""
        for id in ids:
            found = self._named(id)
            if isinstance(found, str):
                code, complaints = 153, complaints + f"qstat: {found}\n"
                continue
            job, element = found
            if job.over and not past:
                said = "Job has finished, use -x or -H to obtain historical job information"
                code, complaints = 35, complaints + f"qstat: {job.id(element)} {said}\n"
                continue
            rows += [(job, element)] if element is not None else list(self._rows(job, expand))
        if not ids:
            for job in list(self.jobs.values()):
                shown = (past or not job.over) and time.time() - job.submitted_at >= self.settings.submission_lag_s
                if shown and job.number not in self.settings.forgotten:
                    rows += self._rows(job, expand)
        return rows, code, complaints

    def _named(self, id: str) -> Any:
        """`(job, element)`, or what is said of an id that is none."""
        number, bracket, rest = id.partition(".")[0].partition("[")
        whole = f"{id.partition('.')[0]}.{self.settings.server}"
        job = self.jobs.get(int(number)) if number.isdecimal() else None
        if job is None or job.number in self.settings.forgotten:
            return f"Unknown Job Id {whole}"
        index = rest.rstrip("]")
        if not bracket or not index:
            if job.is_array == bool(bracket):
                return job, (job.elements[0] if not job.is_array else None)
            return f"Unknown Job Id {whole}"
        element = next((one for one in job.elements if str(one.index) == index), None)
        return (job, element) if element is not None else f"Unknown Job Id {whole}"

    def _rows(self, job: Job, expand: bool) -> Iterator[Tuple[Job, Optional[Element]]]:
        if not job.is_array:
            yield job, job.elements[0]
            return
        if not (self.torque and expand):
            yield job, None
        if expand:
            yield from ((job, element) for element in job.elements)

    def _qselect(self, words: Sequence[str], asked: Mapping[str, Any]) -> Answer:
        user = words[list(words).index("-u") + 1] if "-u" in words else self.user
        rows, _, _ = self._find([], "-x" in words, False)
        return 0, "".join(f"{job.id()}\n" for job, _ in rows if job.owner == user), ""

    def _describe(self, kind: str, facts: Mapping[str, Mapping[str, Any]], options: Any) -> Answer:
        if "-f" in options or "-Bf" in options or "-Qf" in options:
            return 0, "".join(as_text(kind, name, shown) for name, shown in facts.items()), ""
        lines = [f"{kind:<16} Max   Tot   Que   Run   Hld   Wat   Trn   Ext Status"]
        lines += [f"{name:<16}   0     0     0     0     0     0     0     0 Active" for name in facts]
        return 0, "\n".join([*lines, ""]), ""

    def _server_facts(self) -> Mapping[str, Any]:
        settings = self.settings
        sizes = {"max_job_array_size" if self.torque else "max_array_size": settings.max_array_size}
        facts: Dict[str, Any] = {"server_state": "Active", "server_host": settings.server, "default_queue": "workq"}
        if settings.max_queued and self.torque:
            facts["max_user_queuable"] = settings.max_queued
        elif settings.max_queued:
            facts["max_queued"] = ["[o:PBS_ALL=100000]", f"[u:PBS_GENERIC={settings.max_queued}]"]
        facts.update({**sizes, "pbs_version": settings.version, "job_history_enable": str(settings.history)})
        return facts

    def _queue_facts(self, name: str) -> Mapping[str, Any]:
        queue = self.settings.queues[name]
        facts: Dict[str, Any] = {"queue_type": "Execution"}
        if "max_queued" in queue:
            facts["max_queued"] = f"[u:PBS_GENERIC={queue['max_queued']}]"
        if "max_array_size" in queue:
            facts["max_array_size"] = queue["max_array_size"]
        if "max_walltime" in queue:
            facts["resources_max.walltime"] = (
                f"{queue['max_walltime'] // 3600:02}:{queue['max_walltime'] // 60 % 60:02}:00"
            )
        facts.update({"enabled": str(queue.get("enabled", True)), "started": "True"})
        return facts

    def _head(self) -> Mapping[str, Any]:
        return head(self.settings.version, self.settings.server, time.time())

    def _pbsnodes(self, words: Sequence[str], asked: Mapping[str, Any]) -> Answer:
        facts = {"Mom": self.settings.server, "state": "free", "resources_available.ncpus": self.settings.ncpus}
        lines = [self.settings.server, *(f"     {name} = {value}" for name, value in facts.items()), "", ""]
        return 0, "\n".join(lines), ""

    def _each(self, command: str, words: Sequence[str], act: Callable[[Job, Optional[Element]], str]) -> Answer:
        """Do something to each job that is named. What cannot be done to one is said, and the others are done."""
        code, complaints = 0, ""
        indices = ""
        names = list(words)
        if "-t" in names:
            indices = names[names.index("-t") + 1]
            del names[names.index("-t") : names.index("-t") + 2]
        for name in (word for word in names if not word.startswith("-")):
            for found in self._targets(name, indices):
                said = found if isinstance(found, str) else act(*found)
                if said:
                    complaints += f"{command}: {said}\n"
                    known = {"Unknown Job Id": 153, "Job has finished": 35, "Request invalid for finished": 55}
                    code = next((number for words, number in known.items() if said.startswith(words)), 1)
        return code, "", complaints

    def _targets(self, name: str, indices: str) -> List[Any]:
        number, bracket, rest = name.partition("[")
        inside, _, server = rest.partition("]")
        wanted = indices or inside
        if not bracket or not wanted:
            if not name.partition(".")[0].strip("[]").isdecimal():
                return [f"illegally formed job identifier: {name}"]
            return [self._named(name)]
        if "," in wanted and not indices:
            return [f"illegally formed job identifier: {name}"]
        targets: List[Any] = []
        for part in wanted.split(","):
            first, _, last = part.partition("-")
            targets += [self._named(f"{number}[{n}]{server}") for n in range(int(first), int(last or first) + 1)]
        return targets

    def _delete(self, job: Job, element: Optional[Element]) -> str:
        if job.over:
            return f"Job has finished {job.id(element)}"
        single = element is not None
        if element is not None and element.over:
            return f"Request invalid for finished array subjob {job.id(element)}"
        job.deleted = job.deleted or not single or not job.is_array
        for one in [element] if element is not None else job.elements:
            if one.letter in "RS" and not one.killed_for:
                said = f"and terminated by {self.user}@{job.server}"
                one.comment = f"{one.comment} {said}"
                self._end(one, "qdel")
            elif one.letter in "QHW":
                one.letter = "C" if self.torque else ("X" if job.is_array else "F")
                one.substate = 91
                one.ended_at = time.time()
        self._settle(job)
        return ""

    def _hold(self, job: Job, element: Optional[Element]) -> str:
        if job.over:
            return f"Job has finished {job.id(element)}"
        self._hold_back(job, "u")
        job.comment = f"Job held by {self.user}"
        return ""

    def _release(self, job: Job, element: Optional[Element]) -> str:
        if job.over:
            return f"Job has finished {job.id(element)}"
        job.held, job.comment = "n", ""
        for one in job.elements:
            if one.letter == "H":
                one.letter, one.substate = "Q", 10
        self._settle(job)
        return ""

    def _rerun(self, job: Job, element: Optional[Element]) -> str:
        if job.over:
            return f"Job has finished {job.id(element)}"
        if job.request.options.get("-r") == "n":
            return f"Job not rerunable {job.id(element)}"
        for one in [element] if element is not None else job.elements:
            if one.letter == "R" and one.process is not None:
                self._signal(one, signal.SIGKILL)
                one.process.wait()
                one.letter, one.substate, one.own = "Q", 10, False
        return ""

    def _qsig(self, words: Sequence[str], asked: Mapping[str, Any]) -> Answer:
        name = words[list(words).index("-s") + 1]
        ids = [word for word in words if word not in ("-s", name)]

        def send(job: Job, element: Optional[Element]) -> str:
            for one in [element] if element is not None else job.elements:
                if one.process is None or one.letter not in "RS":
                    return f"Request invalid for state of job {job.id(element)}"
                if name in ("suspend", "resume"):
                    self._signal(one, signal.SIGSTOP if name == "suspend" else signal.SIGCONT)
                    one.letter, one.substate = ("S", 43) if name == "suspend" else ("R", 42)
                else:
                    self._signal(one, getattr(signal, name if name.startswith("SIG") else f"SIG{name}"))
            return ""

        return self._each("qsig", ids, send)

    def close(self) -> None:
        """End every process."""
        for job in self.jobs.values():
            for element in job.elements:
                if element.process is not None:
                    self._signal(element, signal.SIGCONT)
                    self._signal(element, signal.SIGKILL)
                    element.process.wait()
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)


def main(folder: Path) -> None:
    """Run until told to stop."""
    server = Server(folder)
    try:
        server.run()
    finally:
        server.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
