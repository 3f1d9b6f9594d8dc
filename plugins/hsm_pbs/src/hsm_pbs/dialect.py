"""PBS's words: everything that `BatchSource` needs to know of PBS, as pure functions."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence

from hsm_core.toolkit.dialect import Dialect, Elements, JobRequest, Limits, Listing, Output, Submission
from hsm_core.toolkit.indices import show_indices

from .flavours import OPENPBS, Flavour, read_flavour
from .limits import LIMITS_COMMANDS, read_limits
from .listings import read_history, read_look_up, read_queue
from .problems import complaint, read_ping, read_submission
from .script import directives, prologue

__all__ = ["PbsDialect"]

_KEPT = frozenset({"PBS_AUTH_METHOD", "PBS_CONF_FILE", "PBS_DEFAULT", "PBS_EXEC", "PBS_HOME", "PBS_SERVER"})
"""Which cluster, and how to reach it: not of an outer job."""
_WORDS = 500
"""Ids on one command line."""
_JSON = ("-F", "json")
_SUBMIT = 'exec qsub -W umask="$(umask)" "$1"'
"""Jobs have the umask 077 unless one is asked for: they get that of who submits, as everywhere else."""
_OF_USER = """\
user=$1; shift
command -v qselect >/dev/null || exec qstat "$@"
ids=$(qselect {options}-u "$user") || exit
[ -n "$ids" ] || exec echo '{{"timestamp": 0}}'
set -f
exec qstat "$@" $ids"""
"""`qstat -f` cannot be told whose jobs to list, and a site has many: `qselect` knows which are this user's."""


class PbsDialect(Dialect):
    """OpenPBS, PBS Pro and Torque. :param flavour: which of them."""

    name = "PBS"

    def __init__(self, flavour: Flavour = OPENPBS) -> None:
        self._flavour = flavour
        self._form = _JSON if flavour.json else ()
        self.index_variable = flavour.variable
        self.release = flavour.release

    def version(self) -> Sequence[str]:
        """Told without the server."""
        return ["qstat", "--version"]

    def for_version(self, output: Output) -> Optional[Dialect]:
        """One of the three, or none: Slurm has commands of the same names."""
        flavour = read_flavour(output)
        return None if flavour is None else PbsDialect(flavour)

    def leaks(self, variable: str) -> bool:
        """Whatever an outer job was told, and the prefix of directives."""
        return variable.startswith("PBS_") and variable not in _KEPT

    def ping(self) -> Sequence[str]:
        """The server in one line."""
        return ["qstat", "-B"]

    def read_ping(self, output: Output) -> str:
        """It answers."""
        return read_ping(output)

    def limits(self, user: str, options: Mapping[str, Any]) -> Sequence[Sequence[str]]:
        """The server and its queues."""
        return LIMITS_COMMANDS

    def read_limits(self, outputs: Sequence[Output], user: str, options: Mapping[str, Any]) -> Limits:
        """What they say of this user."""
        return read_limits(outputs, user, options, self._flavour)

    def directives(self, job: JobRequest) -> Sequence[str]:
        """The `#PBS` lines."""
        return directives(job, self._flavour)

    def prologue(self, job: JobRequest) -> Sequence[str]:
        """Output, folder and path."""
        return prologue(job, self._flavour)

    def submit(self, job: JobRequest, script: str) -> Sequence[str]:
        """One qsub, which prints the job's id."""
        return ["sh", "-c", _SUBMIT, "qsub", script]

    def read_submission(self, output: Output) -> Submission:
        """What became of it."""
        return read_submission(output)

    def queue(self, user: str, names: Sequence[str]) -> Sequence[str]:
        """All jobs of the user that are not over, elements singly, and all elements of an array that is not."""
        return self._of_user(user, "") if self._flavour.history else ["qstat", "-t", "-f"]

    def read_queue(self, output: Output) -> Listing:
        """What qstat printed."""
        return read_queue(output, self._flavour)

    def accounting(self, user: str, jobs: Mapping[str, str], since: float) -> Optional[Sequence[str]]:
        """The server's history of these jobs; of all jobs of the user, when an id is not known."""
        if not self._flavour.history:
            return None
        ids = list(jobs.values())
        return ["qstat", "-x", "-t", "-f", *self._form, *ids] if all(ids) else self._of_user(user, "-x ")

    def read_accounting(self, output: Output) -> Listing:
        """What qstat printed of them."""
        return read_history(output, self._flavour)

    def look_up(self, job: str) -> Sequence[str]:
        """One job. Of one that is over qstat says just that."""
        return ["qstat", "-t", "-f", *self._form, job]

    def read_look_up(self, output: Output, user: str) -> Listing:
        """What qstat printed of it."""
        return read_look_up(output, user, self._flavour)

    def plainer(self, command: Sequence[str]) -> Optional[Sequence[str]]:
        """Text, where JSON could not be read."""
        return [word for word in command if word not in _JSON] if _JSON[1] in command else None

    def _of_user(self, user: str, options: str) -> List[str]:
        words = ["-x"] if options else []
        return ["sh", "-c", _OF_USER.format(options=options), "sh", user, *words, "-t", "-f", *self._form]

    def cancel(self, targets: Sequence[Elements]) -> Sequence[Sequence[str]]:
        """A qdel, or a few when its command line would become too long."""
        if self._flavour.array == "-t":
            whole = [target.job for target in targets if not target.indices]
            parts = [["qdel", "-t", show_indices(indices), job] for job, indices in targets if indices]
            return [*([["qdel", *whole]] if whole else []), *parts]
        words: List[str] = []
        for job, indices in targets:
            # A range may stand in the brackets, but no list.
            parted = show_indices(indices).split(",") if indices else [""]
            words += [job.replace("[]", f"[{part}]") for part in parted]
        return [["qdel", *words[i : i + _WORDS]] for i in range(0, len(words), _WORDS)]

    def read_order(self, output: Output) -> str:
        """What is over already needs no end."""
        return "" if output.returncode == 0 else complaint(output)
