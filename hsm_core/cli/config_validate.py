"""Everything that can be said about a project's configuration files without running anything."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..config import SCHEMA, Layers, check_source, find_project, read_layers
from ..errors import HsmError, NotFoundError
from ..yamlfile import Mark, Problem, ProblemsError, check, load

__all__ = ["Report", "examine"]


@dataclass
class Report:
    """What was found.

    :param good: a line about each file that is right.
    """

    problems: List[Problem] = field(default_factory=list)
    warnings: List[Problem] = field(default_factory=list)
    good: List[str] = field(default_factory=list)

    def lines(self) -> List[str]:
        """For a person: one line a problem, with its place and remedy, then the sum."""
        lines = [_line("error", problem) for problem in self.problems]
        lines += [_line("warning", problem) for problem in self.warnings]
        lines += self.good
        if self.problems or self.warnings:
            lines.append(f"{_count(self.problems, 'error')}, {_count(self.warnings, 'warning')}")
        return lines

    def as_json(self) -> Dict[str, Any]:
        """For a program: `valid`, `problems` and `warnings`."""
        return {
            "valid": not self.problems,
            "problems": [_json(problem) for problem in self.problems],
            "warnings": [_json(problem) for problem in self.warnings],
        }


def examine(start: Path, sweep_file: Optional[Path] = None) -> Report:
    """Check the configuration of the project around `start`, and a sweep file.

    :param sweep_file: by default the project's own, where it has one.
    :raises NotFoundError: when there is no project and no sweep file was named either, or that file is not there.
    """
    report = Report()
    project: Optional[Path] = None
    try:
        project = find_project(start)
    except NotFoundError:
        if sweep_file is None:
            raise
    if project is not None:
        _examine_config(project, report)
        usual = project / "sweeps" / "sweep_config.yaml"
        if sweep_file is None and os.path.isfile(usual):
            sweep_file = usual
    if sweep_file is not None:
        _examine_sweep(sweep_file, report)
    return report


def _examine_config(project: Path, report: Report) -> None:
    try:
        layers = read_layers(project)
    except ProblemsError as error:
        report.problems.extend(error.problems)
        return
    problems = check(layers, SCHEMA)
    report.warnings.extend(layers.warnings)
    if not problems:
        _examine_script(project, layers, problems)
        _examine_plugins(layers, problems, report.warnings)
    report.problems.extend(problems)
    if not problems:
        report.good.append(f"{layers.documents[0].name} is valid")


def _examine_script(project: Path, layers: Layers, problems: List[Problem]) -> None:
    script = layers.data.get("project", {}).get("script")
    if script is not None and not os.path.isfile(project / script):
        path = ("project", "script")
        problems.append(
            Problem(f"the script {script} is not there", layers.mark(path), f"it was looked for in {project}")
        )


def _examine_plugins(layers: Layers, problems: List[Problem], warnings: List[Problem]) -> None:
    """What a missing plugin would say of its part cannot be known, so that its absence is only a warning."""
    from ..plugins import load as load_plugins

    sources = layers.data.get("sources", {})
    strategy = layers.data.get("compute", {}).get("strategy")
    if not sources and strategy is None:
        return
    plugins = load_plugins()
    for name, source in sources.items():
        try:
            kind = plugins.source_type(source["kind"])
        except HsmError as error:
            warnings.append(Problem(error.message, layers.mark(("sources", name, "kind")), error.hint))
        else:
            if kind.options_schema is not None:
                problems.extend(check_source(layers, name, kind.options_schema))
    if strategy is not None:
        try:
            plugins.strategy(strategy)
        except HsmError as error:
            warnings.append(Problem(error.message, layers.mark(("compute", "strategy")), error.hint))


def _examine_sweep(file: Path, report: Report) -> None:
    from ..space import load_space

    try:
        document = load(file)
        sweep = load_space(document)
    except ProblemsError as error:
        report.problems.extend(error.problems)
    except NotFoundError:
        raise
    except HsmError as error:
        report.problems.append(Problem(error.message, Mark(1, 1, str(file)), error.hint))
    else:
        report.warnings.extend(sweep.warnings)
        total = sweep.space.total
        report.good.append(f"{document.name} is valid: {total:,} parameter combination{'s' if total != 1 else ''}")


def _line(severity: str, problem: Problem) -> str:
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{problem.mark}: {severity}: {problem.message}{hint}"


def _count(problems: List[Problem], word: str) -> str:
    return f"{len(problems)} {word}{'s' if len(problems) != 1 else ''}"


def _json(problem: Problem) -> Dict[str, Any]:
    return {
        "file": problem.mark.name,
        "line": problem.mark.line,
        "column": problem.mark.column,
        "message": problem.message,
        "hint": problem.hint,
    }
