"""The journal's law: whatever crashes and late writers do to it, a replay gives what counted, in order, and no more."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any, Dict, List, Optional

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hsm_core.store.journal import Follower, JournalRewound, JournalWriter, read

Event = Dict[str, Any]
VALUES = st.none() | st.integers() | st.floats(allow_nan=False) | st.text()


class JournalMachine(RuleBasedStateMachine):
    """Controllers that write, die at any byte, and write on after they were replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.epoch = 0
        self.counted: List[Event] = []
        self.ends: List[int] = []
        self.writer: Optional[JournalWriter] = None
        self.replaced: List[JournalWriter] = []
        self.follower = Follower(self.directory)
        self.followed: List[Event] = []

    def teardown(self) -> None:
        """Close all files."""
        for writer in [self.writer, *self.replaced]:
            if writer is not None:
                writer.close()
        shutil.rmtree(self.directory)

    @rule()
    def take_over(self) -> None:
        """A new controller begins, whatever became of the one before it."""
        if self.writer is not None:
            self.replaced.append(self.writer)
        self.epoch += 1
        self.writer = JournalWriter.open(self.directory, "s", self.epoch, now=lambda: 1.0, sync_after_s=60.0)
        self.ends = [self.writer.position.offset]

    @precondition(lambda self: self.writer is not None)
    @rule(values=st.lists(VALUES, max_size=5))
    def append(self, values: List[Any]) -> None:
        """The controller writes a batch of events."""
        assert self.writer is not None
        for value in values:
            event = {"e": "note", "t": 0.5, "text": value}
            self.writer.append([event])
            self.counted.append(event)
            self.ends.append(self.writer.position.offset)

    @precondition(lambda self: self.replaced)
    @rule(data=st.data(), value=VALUES)
    def write_late(self, data: st.DataObject, value: Any) -> None:
        """A controller that was replaced wakes up and writes."""
        data.draw(st.sampled_from(self.replaced)).append([{"e": "note", "t": 0.5, "text": value}])

    @precondition(lambda self: self.writer is not None)
    @rule(data=st.data(), zeros=st.booleans())
    def crash(self, data: st.DataObject, zeros: bool) -> None:
        """The machine dies: the newest segment ends at any byte after its header, or in zeros from there on."""
        assert self.writer is not None
        self.writer.close()
        self.writer = None
        cut = data.draw(st.integers(self.ends[0], self.ends[-1]))
        path = os.path.join(self.directory, f"{self.epoch:04d}.jsonl")
        os.truncate(path, cut)
        if zeros:
            os.truncate(path, self.ends[-1])
        lost = sum(end > cut for end in self.ends)
        if lost:
            del self.counted[-lost:]
        # A monitor dies with its machine too.
        self.follower, self.followed = Follower(self.directory), []

    @rule()
    def follow(self) -> None:
        """A monitor reads on; told to, it begins anew."""
        try:
            self.followed += self.follower.new_events()
        except JournalRewound:
            self.follower, self.followed = Follower(self.directory), []
            self.followed += self.follower.new_events()
        assert self.followed == self.counted

    @invariant()
    def replay_gives_what_counts(self) -> None:
        """The law itself."""
        assert list(read(self.directory)) == self.counted


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
