"""Options that the commands which run sweeps share."""

from __future__ import annotations

from typing import Any, Optional

import click

__all__ = [
    "Duration",
    "canary_option",
    "detach_option",
    "keep_going_option",
    "max_failures_option",
    "parallel_limit_option",
    "retries_option",
    "sources_option",
    "strategy_option",
    "takeover_option",
    "timeout_option",
]


class Duration(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic since click 8.2
    """Seconds, `90m`, `2h30m` or `1:30:00`; a number of seconds as a value."""

    name = "duration"

    def convert(self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]) -> float:
        from ..config import parse_duration

        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail(f"{value!r} is not a positive time", param, ctx)
        return seconds


sources_option = click.option(
    "--sources", metavar="LIST", help="Where to run: KIND[:NAME][:SLOTS], comma-separated: local:4,ssh:server1:8."
)
parallel_limit_option = click.option(
    "--parallel-limit", type=click.IntRange(1), help="The most tasks at once, over all sources."
)
strategy_option = click.option("--strategy", help="How tasks are distributed over sources (hsm plugins lists them).")
retries_option = click.option(
    "--retries", type=click.IntRange(0), help="How many more times a task is tried when its program fails."
)
timeout_option = click.option("--timeout", type=Duration(), help="The longest a task may run: seconds, 90m, 2h30m.")
keep_going_option = click.option(
    "--keep-going", is_flag=True, help="Go on although tasks fail alike, instead of holding the sweep."
)
max_failures_option = click.option(
    "--max-failures", type=click.IntRange(1), help="Hold the sweep when this many tasks have failed."
)
canary_option = click.option(
    "--canary", is_flag=True, help="Give each source one task, and more only when that has completed."
)
takeover_option = click.option(
    "--takeover", is_flag=True, help="The controller that held the sweep on another host is dead: I am certain."
)
detach_option = click.option("--detach", is_flag=True, help="Run in the background, and give the terminal back.")
