"""The life of a run: one table, from which the diagram in ARCHITECTURE.md is generated."""

from __future__ import annotations

from .events import (
    TAGS,
    Event,
    RunCancelled,
    RunDead,
    RunFailed,
    RunMissed,
    RunRetrying,
    RunStarted,
    RunStopping,
    RunSucceeded,
)
from .model import RunState as S

TRANSITIONS: dict[tuple[S, type[Event]], S] = {
    (S.DUE, RunStarted): S.RUNNING,
    (S.DUE, RunCancelled): S.CANCELLED,
    (S.DUE, RunMissed): S.MISSED,
    (S.RUNNING, RunSucceeded): S.SUCCEEDED,
    (S.RUNNING, RunFailed): S.FAILED,
    (S.RUNNING, RunStopping): S.STOPPING,
    (S.RUNNING, RunCancelled): S.CANCELLED,
    (S.STOPPING, RunStopping): S.STOPPING,
    (S.STOPPING, RunSucceeded): S.SUCCEEDED,
    (S.STOPPING, RunFailed): S.FAILED,
    (S.STOPPING, RunCancelled): S.CANCELLED,
    (S.FAILED, RunRetrying): S.RETRYING,
    (S.FAILED, RunDead): S.DEAD,
    (S.RETRYING, RunStarted): S.RUNNING,
    (S.RETRYING, RunCancelled): S.CANCELLED,
}

FINAL = frozenset({S.SUCCEEDED, S.DEAD, S.CANCELLED, S.MISSED})
"""A run in one of these is over; in any other it is open."""


def diagram() -> str:
    """The table as a Mermaid state diagram, in the table's order."""
    lines = ["stateDiagram-v2", f"    [*] --> {S.DUE}: RUN_DUE"]
    lines += [f"    {old} --> {new}: {TAGS[event]}" for (old, event), new in TRANSITIONS.items()]
    lines += [f"    {state} --> [*]" for state in S if state in FINAL]
    return "\n".join(lines)
