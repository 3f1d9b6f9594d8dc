"""`hsm config validate --check-sync`: each source's copy of the project beside the one here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional

from ..contract import SyncReport, SyncVerdict
from ..errors import NoSourceError
from ..project.paths import shown_path
from ..run.copies import CopyCheck

__all__ = ["CheckedSource", "check_sources"]

_NAMED = 10
"""How many files of a kind are named; `--json` names more."""
_WORDS = {
    SyncVerdict.IN_SYNC: "in sync",
    SyncVerdict.WARNING: "in sync, but",
    SyncVerdict.DIFFERS: "differs",
    SyncVerdict.UNVERIFIED: "not verified",
}


@dataclass(frozen=True)
class CheckedSource:
    """One source's copy, for a person and for a program."""

    check: CopyCheck

    @property
    def is_good(self) -> bool:
        """Whether a sweep could run there now."""
        return self.check.verdict in (SyncVerdict.IN_SYNC, SyncVerdict.WARNING)

    def lines(self) -> List[str]:
        """The verdict, what each verifier says, the files, and the command that mends it."""
        check = self.check
        if check.shared:
            return [f"{check.source}: uses the files here"]
        if not check.reports:
            return [f"{check.source}: not verified: no installed plugin can compare its copy (pip install hsm-sync)"]
        lines = [f"{check.source}: {_WORDS[check.verdict]}"]
        for report in check.reports:
            lines.append(f"  {report.verifier}: {report.detail}")
            lines += _files(report)
            if report.remedy:
                lines.append(f"  to mend it: {report.remedy}")
        return lines

    def as_json(self) -> Dict[str, Any]:
        """`source`, `verdict`, and `reports` as the verifiers gave them."""
        reports = [{**asdict(report), "verdict": report.verdict.value} for report in self.check.reports]
        return {"source": self.check.source, "verdict": self.check.verdict.value, "reports": reports}


def _files(report: SyncReport) -> List[str]:
    lines = []
    for what, names in (("missing", report.missing), ("modified", report.modified), ("extra", report.extra)):
        lines += [f"    {what:8}  {shown_path(name)}" for name in names[:_NAMED]]
        if len(names) > _NAMED:
            lines.append(f"    {what:8}  … and {len(names) - _NAMED:,} more")
    return lines


def check_sources(asked: Optional[str]) -> List[CheckedSource]:
    """Hold the copies of these sources, or of all that are configured, against the project here.

    :param asked: text of `--sources`.
    :raises NoSourceError: there is nothing to compare.
    """
    from ..api import Project
    from ..plugins import load
    from ..run.copies import check_copies
    from ..run.sources import parse_sources, resolve_sources

    project, plugins = Project.open(), load()
    if asked is None:
        specs = [entry.spec() for entry in project.config.config.sources.values()]
    else:
        specs = resolve_sources(parse_sources(asked), project.config, plugins)
    if not plugins.verifiers:
        raise NoSourceError("no installed plugin can check whether projects are in sync", "pip install hsm-sync")
    checks = check_copies(specs, str(project.layout.root), plugins)
    if all(check.shared for check in checks):
        raise NoSourceError(
            "no source here has a copy of the project: there is nothing to compare",
            "name one, as in: hsm config validate --check-sync --sources ssh:server1",
        )
    return [CheckedSource(check) for check in checks]
