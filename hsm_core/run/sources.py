"""`--sources`: from what a person typed to specifications of sources.

Comma-separated `KIND[:NAME][:SLOTS]`, or a bare name from `sources:` in hsm_config.yaml. A last field of digits is the
number of slots; `user@host` and `[::1]` are names like any other; `hpc` is the one batch source there is, or the named
one, of whatever kind.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ..config import LoadedConfig, check_source
from ..contract import DiscoverRequest, SourceSpec, SourceType
from ..errors import ConfigError, NoSourceError, UsageError
from ..plugins import Plugins
from ..yamlfile import check, loads, raise_problems
from ..yamlfile.check import suggest

__all__ = ["DEFAULT_SOURCES", "SourceRequest", "check_task_options", "parse_sources", "resolve_sources"]

DEFAULT_SOURCES = "local"
BATCH = "hpc"
"""The word that stands for the batch source here, of whatever kind."""

_FIELD = re.compile(r"(?:\[[^\[\]]*\]|[^:\[\]])+")
_NAME = re.compile(r"(?!-)[^\s\x00-\x1f\x7f/\\,]+")
_FORM = "write KIND[:NAME][:SLOTS], as in: local:4,ssh:server1:8"


class SourceRequest(NamedTuple):
    """One source as it was typed.

    :param word: a kind, `hpc`, or a name from the configuration.
    """

    word: str
    name: Optional[str] = None
    slots: Optional[int] = None


def parse_sources(text: str) -> List[SourceRequest]:
    """Take `--sources` apart. :raises UsageError: naming the part that cannot be meant."""
    requests = [_parse_one(part.strip(), text) for part in text.split(",")]
    for request in requests:
        if requests.count(request) > 1:
            raise UsageError(f"--sources {text}: {_shown(request)} is there twice", "give it once, with more slots")
    return requests


def _parse_one(part: str, text: str) -> SourceRequest:
    shown = ascii(part)[1:-1] or "an empty part"
    fields = _FIELD.findall(part)
    if not part or ":".join(fields) != part or not all(_NAME.fullmatch(field) for field in fields):
        raise UsageError(f"--sources: cannot read {shown}", _FORM)
    slots: Optional[int] = None
    if len(fields) > 1 and fields[-1].isdecimal() and fields[-1].isascii():
        slots = int(fields.pop())
        if not 1 <= slots <= 1_000_000:
            raise UsageError(f"--sources: {shown} asks for {slots} slots", "give a number from 1 to 1000000")
    if len(fields) > 2 or (len(fields) == 2 and fields[1].isdecimal()):
        raise UsageError(f"--sources: {shown} has too many fields", _FORM)
    return SourceRequest(fields[0], fields[1] if len(fields) == 2 else None, slots)


def _shown(request: SourceRequest) -> str:
    return ":".join(str(field) for field in request if field is not None)


def resolve_sources(requests: Sequence[SourceRequest], config: LoadedConfig, plugins: Plugins) -> List[SourceSpec]:
    """Find out what each request means here.

    :raises NoSourceError: when a kind is not installed, or `hpc` fits none or several.
    :raises ConfigError: when a source's options are not what its plugin takes.
    """
    specs = [_resolve(request, config, plugins) for request in requests]
    ids = [spec.id for spec in specs]
    for id in ids:
        if ids.count(id) > 1:
            raise UsageError(f"--sources: {id} is there twice", "give it once, with more slots")
    for spec in specs:
        schema = plugins.source_type(spec.kind).options_schema
        if schema is not None and spec.name in config.config.sources:
            raise_problems(check_source(config.layers, spec.name, schema))
    return specs


def check_task_options(wanted: Sequence[Mapping[str, Any]], kinds: Sequence[SourceType]) -> None:
    """See that some source takes each of these options from a task.

    :param wanted: the options of each section that has any.
    :raises ConfigError: none does, or not with that value.
    """
    known: Dict[str, List[Mapping[str, Any]]] = {}
    for kind in kinds:
        for name, schema in (kind.options_schema or {}).get("properties", {}).items():
            if schema.get("x-per-task"):
                known.setdefault(name, []).append(schema)
    for options in wanted:
        for name, value in options.items():
            if name not in known:
                hint = suggest(name, known, "it can be an option of the source, under `sources:`")
                raise ConfigError(f"resources.options: no source of this sweep takes {name!r} from a task", hint)
            document = loads(json.dumps({name: value}), "resources.options")
            rule = known[name][0] if len(known[name]) == 1 else {"anyOf": known[name]}
            for problem in check(document, {"type": "object", "properties": {name: rule}}):
                raise ConfigError(f"resources.options: {problem.message}", problem.hint)


def as_configured(specs: Sequence[SourceSpec], config: LoadedConfig, plugins: Plugins) -> List[SourceSpec]:
    """A sweep's own sources with the options that the configuration gives them now; their slots are as asked for then.

    :raises NoSourceError: the kind of one of those is not installed any more.
    :raises ConfigError: its options are not what its plugin takes.
    """
    known = {source.spec().id for source in config.config.sources.values()}
    return [
        resolve_sources([SourceRequest(spec.kind, spec.name, spec.slots)], config, plugins)[0]
        if spec.id in known
        else spec
        for spec in specs
    ]


def _resolve(request: SourceRequest, config: LoadedConfig, plugins: Plugins) -> SourceSpec:
    configured = config.config.sources
    if request.word == BATCH:
        spec = _batch(request.name, config, plugins)
    elif request.name is None and request.word in configured:
        spec = configured[request.word].spec()
    elif request.word in plugins.kinds:
        named = configured.get(request.name) if request.name is not None else None
        if named is not None and named.kind == request.word:
            spec = named.spec()
        else:
            shared = config.config.shared.get(request.word, {})
            spec = SourceSpec(request.word, request.name or request.word, options=shared)
    else:
        try:
            plugins.source_type(request.word)  # raises, saying what to install
        except NoSourceError as error:
            if request.name is None and (error.hint or "").startswith("pip install"):
                # A bare word may be a machine's name as well.
                machine = f"a machine or cluster is KIND:{request.word}, or a name under `sources:` in hsm_config.yaml"
                raise NoSourceError(error.message, f"{error.hint}, if it is a kind; {machine}") from None
            raise
        raise AssertionError("a kind is either installed or an error")
    return spec if request.slots is None else dataclasses.replace(spec, slots=request.slots)


def _batch(name: Optional[str], config: LoadedConfig, plugins: Plugins) -> SourceSpec:
    """The batch source that `hpc` means."""
    is_batch: Callable[[str], bool] = lambda kind: (  # noqa: E731 - used twice, two lines below
        kind in plugins.kinds and plugins.kinds[kind].family == "batch"
    )
    candidates: Mapping[str, SourceSpec] = {
        entry.spec().id: entry.spec() for entry in config.config.sources.values() if is_batch(entry.kind)
    }
    if name is not None:
        named = [spec for spec in candidates.values() if spec.name == name]
        if len(named) == 1:
            return named[0]
    discovered, errors = plugins.discover(DiscoverRequest(str(config.project_dir)))
    # What is configured of a kind describes the cluster that is discovered here: they are one, not two.
    described = {spec.kind for spec in candidates.values() if "host" not in spec.options}
    found = {spec.id: spec for spec in discovered if is_batch(spec.kind) and spec.kind not in described}
    everything = {**found, **candidates}
    fitting = [spec for spec in everything.values() if name is None or spec.name == name]
    if len(fitting) == 1:
        return fitting[0]
    asked = BATCH if name is None else f"{BATCH}:{name}"
    if fitting:
        raise NoSourceError(f"{asked} could be any of: {', '.join(sorted(everything))}", "name the one you mean")
    known = f"; there are: {', '.join(sorted(everything))}" if everything else ""
    trouble = f" ({'; '.join(errors)})" if errors else ""
    raise NoSourceError(
        f"{asked}: no such batch system here{known}{trouble}",
        "pip install hsm-slurm or hsm-pbs, or name a cluster under `sources:` in hsm_config.yaml",
    )
