"""Jobs of the emulator: what they are, and what `qstat` shows of them, attribute by attribute in OpenPBS's order."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Union

from .request import Request

__all__ = ["Element", "Job", "Shown", "attributes", "moment", "short_moment"]

Shown = Dict[str, Union[str, int, Mapping[str, Union[str, int]]]]
"""Attributes in order; a mapping for those with parts."""


@dataclass
class Element:
    """A plain job, or an element of an array.

    :param letter: its state. :param own: it has a record of its own, because it has been started.
    """

    index: Optional[int]
    letter: str = "Q"
    substate: int = 10
    own: bool = False
    process: Optional[subprocess.Popen[bytes]] = None
    began: float = 0.0
    began_at: float = 0.0
    ended_at: float = 0.0
    exits_until: float = 0.0
    exit_status: Optional[int] = None
    comment: str = ""
    killed_for: str = ""
    kill_at: float = 0.0
    told: bool = False
    delivered: bool = True
    runs: int = 0
    shown_until: float = 0.0

    @property
    def over(self) -> bool:
        """It is no more, in whatever way."""
        return self.letter in "XFC"


@dataclass
class Job:
    """A submission that was taken."""

    number: int
    server: str
    owner: str
    queue: str
    request: Request
    submitted_at: float
    folder: str
    environment: Mapping[str, str]
    elements: List[Element] = field(default_factory=list)
    held: str = "n"
    comment: str = ""
    letter: str = "Q"
    substate: int = 10
    began_at: float = 0.0
    ended_at: float = 0.0
    deleted: bool = False
    arguments: str = ""

    @property
    def is_array(self) -> bool:
        """Whether it has elements."""
        return self.request.array is not None

    @property
    def over(self) -> bool:
        """Nothing of it runs or will."""
        return all(element.over for element in self.elements)

    def id(self, element: Optional[Element] = None) -> str:
        """`5.host`, `6[].host`, `6[3].host`."""
        if not self.is_array:
            return f"{self.number}.{self.server}"
        return f"{self.number}[{'' if element is None else element.index}].{self.server}"


def moment(at: float) -> str:
    """`Mon Nov 23 10:57:41 2026`."""
    return time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(at))


def short_moment(at: float) -> str:
    """`Mon Nov 23 at 10:57`."""
    return time.strftime("%a %b %d at %H:%M", time.localtime(at))


def attributes(job: Job, element: Optional[Element], torque: bool) -> Shown:
    """What qstat -f shows of a job, or of one element; None for an array itself."""
    own = element is not None and (element.own or not job.is_array or torque)
    told = element if own and element is not None else None
    shown: Shown = {"Job_Name": job.request.name, "Job_Owner": f"{job.owner}@{job.server}"}
    if torque and element is not None and element.index is not None:
        shown["Job_Name"] = f"{job.request.name}-{element.index}"
    if told is not None and told.began_at:
        used = max(0, int((told.ended_at or time.time()) - told.began_at))
        shown["resources_used"] = {
            "cpupercent": 0,
            "cput": "00:00:00",
            "mem": "0kb",
            "ncpus": int(job.request.chunk.get("ncpus", 1)),
            "vmem": "0kb",
            "walltime": f"{used // 3600:02}:{used // 60 % 60:02}:{used % 60:02}",
        }
    letter = job.letter if element is None else element.letter
    shown.update({"job_state": letter, "queue": job.queue, "server": job.server, "Checkpoint": "u"})
    shown["ctime"] = moment(job.submitted_at)
    if job.request.after:
        shown["depend"] = ",".join(
            ":".join([word, *(f"{id}@{job.server}" for id in ids)]) for word, ids in job.request.after
        )
    options = job.request.options
    shown["Error_Path"] = f"{job.server}:{options.get('-e', f'{job.folder}/{job.request.name}.e{job.number}')}"
    if told is not None and told.began_at:
        shown["exec_host"] = f"{job.server}/0"
        shown["exec_vnode"] = _vnode(job)
    shown["Hold_Types"] = job.held
    shown["Join_Path"] = options.get("-j", "n")
    shown.update({"Keep_Files": "n", "Mail_Points": "a"})
    shown["mtime"] = moment(job.ended_at or job.began_at or job.submitted_at)
    shown["Output_Path"] = f"{job.server}:{options.get('-o', f'{job.folder}/{job.request.name}.o{job.number}')}"
    shown["Priority"] = 0
    shown["qtime"] = moment(job.submitted_at)
    shown["Rerunable"] = "False" if options.get("-r") == "n" else "True"
    shown["Resource_List"] = _asked(job)
    began = told.began_at if told is not None else job.began_at
    if began:
        shown["stime"] = moment(began)
    ended = told.ended_at if told is not None else job.ended_at
    if ended and not (told is not None and told.exit_status is None):
        shown["obittime"] = moment(ended)
    if told is not None and told.process is not None:
        shown.update({"session_id": told.process.pid, "jobdir": job.environment["PBS_O_HOME"]})
    if not torque:
        shown["substate"] = _substate(job, element, told)
    shown["Variable_List"] = dict(job.environment)
    comment = _comment(job, element, told)
    if comment:
        shown["comment"] = comment
    shown["etime"] = moment(job.submitted_at)
    if told is not None and told.runs:
        shown["run_count"] = told.runs
    _show_end(shown, job, told, torque)
    if told is not None and told.index is not None and not torque:
        shown.update({"array_id": job.id(), "array_index": told.index})
    elif told is None or told.index is None:
        shown["Submit_arguments"] = job.arguments
    if torque and element is not None and element.index is not None:
        shown["job_array_id"] = element.index
    if element is None:
        shown.update(_array_attributes(job))
    if letter == "F":
        shown["history_timestamp"] = int(job.ended_at)
    shown["project"] = options.get("-P", "_pbs_project_default")
    shown["Submit_Host"] = job.server
    return shown


def _substate(job: Job, element: Optional[Element], told: Optional[Element]) -> int:
    if told is not None:
        return told.substate
    if element is not None and element.letter == "Q":
        return 10
    return job.substate


def _comment(job: Job, element: Optional[Element], told: Optional[Element]) -> str:
    if told is not None:
        return told.comment
    return "Subjob finished" if element is not None and element.over else job.comment


def _show_end(shown: Shown, job: Job, told: Optional[Element], torque: bool) -> None:
    """An element without a record shows what is said of the whole: not to be trusted."""
    if told is not None:
        status = told.exit_status
        delivered = told.delivered
    else:
        codes = [element.exit_status for element in job.elements if element.exit_status is not None]
        status = (1 if any(codes) else 0) if codes else None
        delivered = True
    if status is not None and torque:
        shown["exit_status"] = status
    elif status is not None:
        shown.update({"Stageout_status": int(delivered), "Exit_status": status})


def _array_attributes(job: Job) -> Mapping[str, Any]:
    letters = [element.letter for element in job.elements]
    running = letters.count("R") + letters.count("S")
    expired = len(letters) - letters.count("Q") - running - letters.count("E")
    counts = f"Queued:{letters.count('Q')} Running:{running} Exiting:{letters.count('E')} Expired:{expired}"
    left = [element.index for element in job.elements if element.letter == "Q" and element.index is not None]
    assert job.request.array is not None
    shown: Dict[str, Any] = {"array": "True", "array_state_count": counts}
    shown["array_indices_submitted"] = job.request.array.text
    shown["array_indices_remaining"] = _ranges(left) or "-"
    if job.request.array.at_once is not None:
        shown["max_run_subjobs"] = job.request.array.at_once
    return shown


def _ranges(indices: List[int]) -> str:
    parts: List[List[int]] = []
    for index in indices:
        if parts and parts[-1][1] == index - 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def _asked(job: Job) -> Mapping[str, Union[str, int]]:
    chunk = dict(job.request.chunk)
    count = int(chunk.pop("chunks", "1"))
    asked: Dict[str, Union[str, int]] = {}
    if "mem" in chunk:
        asked["mem"] = chunk["mem"]
    asked["ncpus"] = int(chunk.get("ncpus", "1")) * count
    asked["nodect"] = count
    asked["place"] = job.request.resources.get("place", "free" if "select" in job.request.resources else "pack")
    asked["select"] = job.request.resources.get("select", "1:ncpus=1")
    if "walltime" in job.request.resources:
        asked["walltime"] = job.request.resources["walltime"]
    return asked


def _vnode(job: Job) -> str:
    return f"({job.server}:ncpus={job.request.chunk.get('ncpus', 1)})"
