"""The sweep's files on a batch source's host: plans, jobs, news, and questions to the runner's code there."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

from ..contract import Attempt, SourceContext
from .batch_plan import Plan
from .local_host import LocalHost
from .scratch import Scratch

__all__ = ["News", "Site"]

_TIMEOUT_S = 60.0


class News(NamedTuple):
    """Something that a job left word of, or that a task's own folder says.

    :param kind: `s` started, `e` ended, `w` withdrawn, `r` refused.
    :param detail: facts of the start, exit record, or reason.
    """

    attempt: Attempt
    kind: str
    detail: Any


class Site:
    """A sweep's folder on a host.

    :param context: what the source was opened with, with the paths that hold there.
    """

    def __init__(self, scratch: Scratch, context: SourceContext) -> None:
        self._scratch = scratch
        self._host = scratch.host
        self._context = context
        self._private = f"{context.sweep_dir}/.hsm"
        self._taken: List[str] = []
        self._plans: Dict[str, Plan] = {}
        self._has_runner = False

    # --- before a submission

    def prepare(self, plan: Plan) -> None:
        """Write down what is to be submitted, and make the folders that jobs need. :raises OSError: it cannot."""
        if not self._has_runner:
            self._scratch.put("runner.py", "job.py", "job_news.py", "start_job.py")
            if not self._scratch.is_here:
                self._scratch.put("pack.py")
            # It has nothing to do, but leaves its byte code for the elements, which start all at once.
            self._host.run([*self._start, "news"], input=b"{}", timeout_s=_TIMEOUT_S)
            self._has_runner = True
        folders = [
            f"{self.job_dir(plan.token, number)}/{name}"
            for number in range(len(plan.jobs))
            for name in ("news", "requests", "log")
        ]
        made = self._host.run(["mkdir", "-p", "--", *folders], timeout_s=_TIMEOUT_S)
        if made.returncode != 0:
            raise OSError(f"cannot make folders for jobs: {made.stderr.decode('utf-8', 'replace').strip()}")
        self._host.put(plan.to_json(), self._plan_path(plan.token))
        self._plans[plan.token] = plan

    def put_job(self, token: str, number: int, tasks: bytes) -> None:
        """Write a job's tasks."""
        self._host.put(tasks, self._tasks_path(token, number))

    def job_command(self, token: str, number: int) -> List[str]:
        """The command that runs a job's tasks, but for the words that the job's script adds."""
        return [*self._start, self._tasks_path(token, number)]

    def put_script(self, name: str, text: str) -> str:
        """Write a job's script; its path."""
        path = self.script_path(name)
        self._host.put(text.encode("utf-8"), path, mode=0o755)
        if not self._scratch.is_here:  # a person looks for it here
            copy = f"{self._scratch.opened.sweep_dir}/scripts/job_scripts/{name}.sh"
            LocalHost().put(text.encode("utf-8"), copy, mode=0o755)
        return path

    def script_path(self, name: str) -> str:
        """Where a person finds a job's script."""
        return f"{self._context.sweep_dir}/scripts/job_scripts/{name}.sh"

    # --- after it

    def plan(self, token: str) -> Optional[Plan]:
        """What was to be submitted under a token; None: nothing ever was.

        :raises OSError: when it cannot be read. :raises ValueError: when it makes no sense.
        """
        if token not in self._plans:
            try:
                self._plans[token] = Plan.from_json(self._host.read(self._plan_path(token)))
            except FileNotFoundError:
                return None
        return self._plans[token]

    def news(self, jobs: Sequence[str], look: Sequence[Attempt] = (), withdraw: Sequence[Attempt] = ()) -> List[News]:
        """What these jobs left, and what the tasks' own folders say of some attempts.

        What was returned before is taken away now: whoever asks again has dealt with it.

        :param withdraw: attempts that shall never start, unless they have.
        """
        request = {
            "sweep_dir": self._context.sweep_dir,
            "jobs": list(jobs),
            "taken": self._taken,
            "look": self._named(look),
            "withdraw": self._named(withdraw),
        }
        if not (request["jobs"] or request["taken"] or request["look"] or request["withdraw"]):
            return []
        answer = self._ask("start_job.py", "news", request)
        self._taken = [path for path, *_ in answer["news"] if path]
        news = [News((index, attempt), kind, detail) for _, index, attempt, kind, detail in answer["news"]]
        return news if self._scratch.is_here else self._with_last_words(news)

    def _with_last_words(self, news: List[News]) -> List[News]:
        """The news, with what programs that failed said last: nobody can read it here yet."""
        failed = [item.attempt for item in news if item.kind == "e" and item.detail.get("state") != "completed"]
        if not failed:
            return news
        request = {"sweep_dir": self._context.sweep_dir, "tasks": self._named(failed), "last_words": True}
        words: Dict[Attempt, Any] = {}
        with contextlib.suppress(OSError):
            for index, attempt, verdict, detail in self._ask("runner.py", "settle", request)["tasks"]:
                words[index, attempt] = detail.get("last_words", "") if verdict == "ended" else ""
        return [
            item._replace(detail={**item.detail, "last_words": words[item.attempt]}) if item.attempt in words else item
            for item in news
        ]

    def settle(
        self,
        attempts: Sequence[Attempt],
        gone: Sequence[str],
        fates: Mapping[Attempt, Mapping[str, Any]],
        shared: Iterable[Attempt] = (),
    ) -> Dict[Attempt, Any]:
        """Verdicts, `(word, detail)`, on attempts of jobs that are over; what never started never will.

        :param gone: runners that are no more, by the scheduler's word.
        :param fates: records that are written for attempts which left none.
        :param shared: those that a living element of their job may be about to start.
        """
        request = {
            "sweep_dir": self._context.sweep_dir,
            "tasks": self._named(attempts),
            "withdraw": True,
            "takeover": self._context.takeover,
            "gone": list(gone),
            "last_words": not self._scratch.is_here,
            "shared": [self._context.task_name(index) for index, _ in shared],
            "fates": {f"{index}.{attempt}": dict(fate) for (index, attempt), fate in fates.items()},
        }
        answer = self._ask("runner.py", "settle", request)
        return {(index, attempt): (verdict, detail) for index, attempt, verdict, detail in answer["tasks"]}

    def request_end(self, token: str, number: int, attempts: Sequence[Attempt], grace_s: float, name: str) -> None:
        """Leave word for a job's runners that these are to end."""
        line = {"op": "cancel", "tasks": list(attempts), "grace_s": grace_s}
        self._host.put(json.dumps(line).encode("ascii"), f"{self.job_dir(token, number)}/requests/{name}.json")

    def last_words(self, token: str, number: int, element: int) -> str:
        """The last line that a job itself printed, empty if it said nothing."""
        try:
            text = self._host.read(f"{self.log_dir(token, number)}/{element}.log").decode("utf-8", "replace")
        except OSError:
            return ""
        return (text.strip().splitlines() or [""])[-1]

    def job_dir(self, token: str, number: int) -> str:
        """A job's own folder."""
        return f"{self._private}/jobs/{token}/{number}"

    def log_dir(self, token: str, number: int) -> str:
        """Where a job's own output goes."""
        return f"{self.job_dir(token, number)}/log"

    # --- how

    @property
    def _start(self) -> List[str]:
        return [self._scratch.python, "-I", "-S", f"{self._private}/start_job.py"]

    def _tasks_path(self, token: str, number: int) -> str:
        return f"{self.job_dir(token, number)}/tasks.jsonl"

    def _plan_path(self, token: str) -> str:
        return f"{self._private}/jobs/{token}/plan.json"

    def _named(self, attempts: Sequence[Attempt]) -> List[Any]:
        return [[index, attempt, self._context.task_name(index)] for index, attempt in attempts]

    def _ask(self, script: str, mode: str, request: Mapping[str, Any]) -> Any:
        """Ask the runner's code: in this process where the files are here. :raises OSError: when it fails."""
        if self._scratch.is_here:
            from ..runner import job_news, runner

            return (job_news.news if mode == "news" else runner.settle)(json.loads(json.dumps(request)))
        return self._scratch.ask(script, mode, request)
