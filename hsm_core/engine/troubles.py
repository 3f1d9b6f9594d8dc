"""What went wrong with a source's calls, and what follows: leave it alone for a while, disable it, give it up. Pure.

It is kept for each call by itself: that polls succeed does not mend a submission that always fails.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional

__all__ = ["Troubles"]

_DISABLE_AFTER = 3
"""Consecutive failures of one call after which a source is given nothing more."""
_MAX_QUIET_S = 60.0
_ON_THEIR_OWN = frozenset({"submit", "find", "poll", "collect"})
"""Calls whose success is reported: nothing else mends their failures."""


class _Trouble(NamedTuple):
    failures: int
    since: float


class Troubles:
    """The troubles of one source."""

    def __init__(self) -> None:
        self._calls: Dict[str, _Trouble] = {}
        self.quiet_until = 0.0
        """It is left alone until then, longer after each failure."""

    def __bool__(self) -> bool:
        return bool(self._calls)

    def failed(self, call: str, now: float, hangs: bool = False) -> None:
        """A call failed; one that hangs disables at once."""
        count, since = self._calls.get(call, _Trouble(0, now))
        count = max(count + 1, _DISABLE_AFTER if hangs else 0)
        self._calls[call] = _Trouble(count, since)
        self.quiet_until = now + min(_MAX_QUIET_S, 2.0 ** min(count, 10))

    def succeeded(self, call: str) -> None:
        """A call succeeded, which mends all that have no success of their own to wait for."""
        self._calls = {name: trouble for name, trouble in self._calls.items() if name != call and name in _ON_THEIR_OWN}
        if not self._calls:
            self.quiet_until = 0.0

    def spoke(self) -> None:
        """It said how it is: a call that hung has returned, and its health can be asked."""
        self._calls.pop("", None)
        self._calls.pop("health", None)

    @property
    def disabled(self) -> bool:
        """It has failed so often that it is given nothing more."""
        return any(trouble.failures >= _DISABLE_AFTER for trouble in self._calls.values())

    def one_more_try(self) -> None:
        """It says that it is well: the next failure disables it again."""
        for call, (count, since) in self._calls.items():
            self._calls[call] = _Trouble(min(count, _DISABLE_AFTER - 1), since)

    def gone_since(self, collecting: bool) -> Optional[float]:
        """Since when nothing more can be learned of its tasks; None while there is hope.

        :param collecting: the tasks have ended, and only their files are to come home.
        """
        calls = [
            trouble.since
            for call, trouble in self._calls.items()
            if trouble.failures >= _DISABLE_AFTER and call != "submit" and (collecting or call != "collect")
        ]
        return min(calls, default=None)
