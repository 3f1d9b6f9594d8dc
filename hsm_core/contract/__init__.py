"""The public contract between the core and its plugins: values and protocols, standard library only, no I/O.

Fields are only ever added, with defaults; `API_VERSION` says which set a plugin was written against.
"""

from __future__ import annotations

from .diagnose import DiagnoseContext, SkipStage, Stage
from .host import Channel, Completed, Host, HostType
from .source import (
    Acceptance,
    Capabilities,
    DiscoverRequest,
    Glimpse,
    Glimpses,
    Handle,
    Health,
    HealthReport,
    Observation,
    ObservationKind,
    PollResult,
    Previewing,
    Source,
    SourceContext,
    SourceSpec,
    SourceType,
    SubmitRequest,
    SubmitResult,
    TaskAnswer,
)
from .strategy import Assignment, Outlook, Planner, SourceView, Strategy, StrategyType
from .sync import PushPlan, PushRequest, SyncReport, SyncRequest, SyncVerdict
from .task import FINAL_STATES, Attempt, ExitRecord, TaskResources, TaskSpec, TaskState

API_VERSION = (1, 0)

__all__ = [
    "API_VERSION",
    "FINAL_STATES",
    "Acceptance",
    "Assignment",
    "Attempt",
    "Capabilities",
    "Channel",
    "Completed",
    "DiagnoseContext",
    "DiscoverRequest",
    "ExitRecord",
    "Glimpse",
    "Glimpses",
    "Handle",
    "Health",
    "HealthReport",
    "Host",
    "HostType",
    "Observation",
    "ObservationKind",
    "Outlook",
    "Planner",
    "PollResult",
    "Previewing",
    "PushPlan",
    "PushRequest",
    "SkipStage",
    "Source",
    "SourceContext",
    "SourceSpec",
    "SourceType",
    "SourceView",
    "Stage",
    "Strategy",
    "StrategyType",
    "SubmitRequest",
    "SubmitResult",
    "SyncReport",
    "SyncRequest",
    "SyncVerdict",
    "TaskAnswer",
    "TaskResources",
    "TaskSpec",
    "TaskState",
]
