"""The events: facts, written once, folded for ever.

Every instant is epoch microseconds of the wall clock. An event's id is
`index of its record * 4096 + its position`; a run's id is the id of its RUN_DUE. `cmd` is the
`cmd_id` of the command that caused the event, "" where nobody will repeat it. Fields are only
ever added at the end, with a default, so that old logs open in newer versions.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from .model import Definition

POSITIONS = 4096
"""Events a record may hold."""
UNSAID = -1
"""Of an instant: this event does not say. (None is an answer: there is none.)"""


class TimerCreated(NamedTuple):
    timer: str
    definition: Definition
    at_us: int
    anchor_us: int
    next_us: int | None
    cmd: str = ""


class TimerUpdated(NamedTuple):
    timer: str
    definition: Definition
    at_us: int
    anchor_us: int
    next_us: int | None
    cmd: str = ""


class TimerRemoved(NamedTuple):
    """`reason` is "finished" for a one-shot that was let go long after its end, else ""."""

    timer: str
    at_us: int
    cmd: str = ""
    reason: str = ""


class TimerPaused(NamedTuple):
    timer: str
    at_us: int
    cmd: str = ""


class TimerResumed(NamedTuple):
    timer: str
    at_us: int
    next_us: int | None
    cmd: str = ""


class TimerMoved(NamedTuple):
    """The next moment is another one, though the timer is as it was: the wall clock was set back
    far (`reason` "clock_step"), or the rules of the time zone have changed ("zone")."""

    timer: str
    at_us: int
    next_us: int | None
    reason: str


class RunDue(NamedTuple):
    """A run exists. `next_us` is the timer's next moment (None while `delay` waits for the end);
    `missed` counts the earlier moments this run stands for. `late` says what kept it, if it is
    more than a second late; `jitter_us` is the part of the delay that was asked for."""

    timer: str
    scheduled_us: int
    at_us: int
    next_us: int | None
    cause: str = "schedule"
    missed: int = 0
    cmd: str = ""
    late: str = ""
    jitter_us: int = 0


class RunStarted(NamedTuple):
    timer: str
    run: int
    attempt: int
    at_us: int


class RunSucceeded(NamedTuple):
    """`next_us` is the timer's next moment where the end of the run decides it, else None."""

    timer: str
    run: int
    attempt: int
    at_us: int
    scheduled_us: int
    started_us: int
    took_us: int
    next_us: int | None = None


class RunFailed(NamedTuple):
    """An attempt ended badly; RUN_RETRYING or RUN_DEAD follows in the same record."""

    timer: str
    run: int
    attempt: int
    at_us: int
    scheduled_us: int
    started_us: int
    took_us: int
    error: str
    reason: str = ""


class RunRetrying(NamedTuple):
    """`attempt` is the one to come, at `retry_us`."""

    timer: str
    run: int
    attempt: int
    retry_us: int


class RunDead(NamedTuple):
    timer: str
    run: int
    attempt: int
    at_us: int
    scheduled_us: int
    started_us: int
    error: str
    next_us: int | None = None


class RunSkippedOverlap(NamedTuple):
    """`by_run` is the open run that was in the way."""

    timer: str
    scheduled_us: int
    at_us: int
    next_us: int | None
    by_run: int
    cause: str = "schedule"
    cmd: str = ""


class RunMissed(NamedTuple):
    """The `moments` due moments from `first_us` to `last_us` did not run, for `reason`. (Moments
    in between that the definition leaves out are not counted, unless that is the reason.)
    `next_us` is the timer's next moment where nothing else says it; UNSAID, if something does."""

    timer: str
    first_us: int
    last_us: int
    moments: int
    reason: str
    at_us: int
    next_us: int | None = UNSAID


class RunStopping(NamedTuple):
    timer: str
    run: int
    at_us: int
    reason: str
    cmd: str = ""


class RunCancelled(NamedTuple):
    timer: str
    run: int
    attempt: int
    at_us: int
    scheduled_us: int
    started_us: int | None
    reason: str
    next_us: int | None = None
    cmd: str = ""


class SchedulerStarted(NamedTuple):
    """`unknown` are the time zones of timers that this machine does not know, with blanks between
    them."""

    at_us: int
    boot: str
    pid: int
    version: str
    unknown: str = ""


class SchedulerStopped(NamedTuple):
    """`since_us` is when the shutdown began: nothing was started after it."""

    at_us: int
    boot: str
    since_us: int


class ClockStep(NamedTuple):
    """The wall clock moved by `delta_us` against elapsed time. With `era` a new one begins: the
    clock was set back so far that moments come again."""

    at_us: int
    delta_us: int
    era: bool = False


class TailCut(NamedTuple):
    """Opening the log cut an unfinished tail off; its bytes are in the file `kept_as`."""

    at_us: int
    file: str
    offset: int
    size_bytes: int
    kept_as: str


class Unknown(NamedTuple):
    """An event of a newer minor version: read, kept in its place, without effect."""

    tag: str
    fields: list[Any]


Event: TypeAlias = (
    TimerCreated
    | TimerUpdated
    | TimerRemoved
    | TimerPaused
    | TimerResumed
    | TimerMoved
    | RunDue
    | RunStarted
    | RunSucceeded
    | RunFailed
    | RunRetrying
    | RunDead
    | RunSkippedOverlap
    | RunMissed
    | RunStopping
    | RunCancelled
    | SchedulerStarted
    | SchedulerStopped
    | ClockStep
    | TailCut
    | Unknown
)

TAGS: dict[type[Event], str] = {
    TimerCreated: "TIMER_CREATED",
    TimerUpdated: "TIMER_UPDATED",
    TimerRemoved: "TIMER_REMOVED",
    TimerPaused: "TIMER_PAUSED",
    TimerResumed: "TIMER_RESUMED",
    TimerMoved: "TIMER_MOVED",
    RunDue: "RUN_DUE",
    RunStarted: "RUN_STARTED",
    RunSucceeded: "RUN_SUCCEEDED",
    RunFailed: "RUN_FAILED",
    RunRetrying: "RUN_RETRYING",
    RunDead: "RUN_DEAD",
    RunSkippedOverlap: "RUN_SKIPPED_OVERLAP",
    RunMissed: "RUN_MISSED",
    RunStopping: "RUN_STOPPING",
    RunCancelled: "RUN_CANCELLED",
    SchedulerStarted: "SCHEDULER_STARTED",
    SchedulerStopped: "SCHEDULER_STOPPED",
    ClockStep: "CLOCK_STEP",
    TailCut: "TAIL_CUT",
}
EVENTS: dict[str, type[Event]] = {tag: kind for kind, tag in TAGS.items()}
