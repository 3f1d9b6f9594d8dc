"""A sweep recorded by hand: its folder as a controller would leave it, made from events, for tests of what reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Sequence

from ..engine.events import Event, make
from ..engine.reduce import reduce, replay
from ..engine.state import SweepState
from ..store.journal import Follower, JournalWriter
from ..store.layout import ProjectLayout, SweepLayout, task_id
from ..store.lease import Lease
from ..store.sweeps import create
from ..store.views import Views

__all__ = ["RecordedSweep"]


class RecordedSweep:
    """A sweep with a grid `x: [0, 1, …]`, held by this process until `close` or `crash`.

    :param project: the project's folder; its hsm_config.yaml is made where it is missing.
    :param now: Unix seconds of the first event; `wait` moves it on.
    """

    def __init__(
        self,
        project: Path,
        total: int = 3,
        sweep_id: str = "sweep_1",
        sources: Sequence[str] = ("local:local",),
        slots: int = 2,
        now: float = 1_700_000_000.0,
    ) -> None:
        layout = ProjectLayout(project)
        if not layout.config.exists():
            layout.config.write_text("project:\n  name: recorded\n  script: train.py\n")
        self.layout: SweepLayout = layout.sweep(sweep_id)
        create(self.layout)
        self.layout.config.write_text(f"grid:\n  x: {list(range(total))}\n")
        self.now = now
        self.total = total
        self._tokens = 0
        self._sources = tuple(sources)
        self._slots = slots
        self._open()
        self.commit(make("created", self.now, sweep_id=sweep_id, uid="0123abcd", total=total, retries=0, hold_after=10))
        self._join()

    def _open(self) -> None:
        self.lease = Lease.acquire(self.layout, now=lambda: self.now)
        follower = Follower(self.layout.journal)
        self.state: SweepState = replay(follower.new_events())
        replayed = follower.position
        self.journal = JournalWriter.open(
            self.layout.journal, self.layout.sweep_id, self.lease.epoch, replayed, now=lambda: self.now
        )
        self.views = Views(self.layout, self.state, replayed, self.journal)

    def _join(self) -> None:
        self.commit(make("opened", self.now, epoch=self.lease.epoch, host="here", pid=1, retries=0, limit=None))
        for source in self._sources:
            self.commit(make("joined", self.now, source=source, slots=self._slots))

    def reopen(self) -> None:
        """Take the sweep up again, as `hsm complete` does."""
        self._open()
        self._join()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def commit(self, *events: Event) -> None:
        """Journal these events, as one group."""
        for event in events:
            reduce(self.state, event)
        self.journal.append(list(events))
        self.views.take(events)
        self.views.flush(self.now)

    # --- what happens to tasks

    def assign(self, *indices: int, source: Optional[str] = None) -> None:
        """Give tasks to a source, which accepts them."""
        source = source or self._sources[0]
        self._tokens += 1
        attempts = [(index, self._next_attempt(index)) for index in indices]
        token = f"hsm-0123abcd-{self.lease.epoch}-{self._tokens}"
        self.commit(make("assigned", self.now, source=source, token=token, tasks=attempts))
        self.commit(make("accepted", self.now, source=source, tasks=attempts, handle={}))

    def _next_attempt(self, index: int) -> int:
        task = self.state.live.get(index)
        return 1 if task is None else task.attempt + 1

    def start(self, index: int, **fields: Any) -> None:
        """The task's program starts."""
        facts = {"at": self.now, "pid": 100 + index, "slot": 0, "host": "here", **fields}
        self.commit(make("started", self.now, task=self._current(index), **facts))

    def end(self, index: int, again: Optional[Event] = None, **record: Any) -> None:
        """The task's program ends, by default well; `record` fields replace those of the exit record."""
        whole = {
            "state": "completed",
            "exit_code": 0,
            "started_at": self.now - 1,
            "duration_s": 1.0,
            "max_rss_mb": 20.0,
        }
        event = make("ended", self.now, task=self._current(index), record={**whole, **record})
        self.commit({**event, "again": again} if again else event)

    def play(self, index: int, source: Optional[str] = None, **record: Any) -> None:
        """Assign, start and end a task, in a second."""
        self.assign(index, source=source)
        self.start(index)
        self.wait(1.0)
        self.end(index, **record)

    def _current(self, index: int) -> Sequence[int]:
        return (index, self.state.live[index].attempt)

    def write(self, index: int, name: str, text: str) -> None:
        """Leave a file in a task's folder."""
        folder = self.layout.task_dir(task_id(index, self.total))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    # --- the end

    def close(self, state: Optional[str] = None, reason: str = "finished") -> None:
        """The controller lets go, in order."""
        self.commit(make("closed", self.now, state=state or self.state.sweep_state(), reason=reason))
        self.views.flush(self.now, force=True)
        self.crash()

    def crash(self) -> None:
        """The controller is gone; nothing more is written."""
        self.journal.close()
        self.lease.release(now=lambda: self.now)
