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
    """With `until_us` the pause ends by itself then; `is_elapsed`: that instant was given as a
    duration, so a step of the wall clock does not move it. `reason` and `who` are for people."""

    timer: str
    at_us: int
    cmd: str = ""
    until_us: int | None = None
    is_elapsed: bool = False
    reason: str = ""
    who: str = ""


class TimerResumed(NamedTuple):
    """`reason` is "until" where the pause has ended by itself, else ""."""

    timer: str
    at_us: int
    next_us: int | None
    cmd: str = ""
    reason: str = ""
    who: str = ""


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
    more than a second late; `jitter_us` is the part of the delay that was asked for. With `cause`
    "backfill" `next_us` is the next moment of the backfill, None after its last."""

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
    """`next_us` is the timer's next moment where the end of the run decides it, else None. `cause`
    is that of the run; "" stands for "schedule"."""

    timer: str
    run: int
    attempt: int
    at_us: int
    scheduled_us: int
    started_us: int
    took_us: int
    next_us: int | None = None
    cause: str = ""


class RunFailed(NamedTuple):
    """An attempt ended badly; RUN_RETRYING or RUN_DEAD follows in the same record. `exit_code` is
    that of a command."""

    timer: str
    run: int
    attempt: int
    at_us: int
    scheduled_us: int
    started_us: int
    took_us: int
    error: str
    reason: str = ""
    exit_code: int | None = None
    cause: str = ""


class RunRetrying(NamedTuple):
    """`attempt` is the one to come, at `retry_us`."""

    timer: str
    run: int
    attempt: int
    retry_us: int


class RunDead(NamedTuple):
    """No attempt is left. `error`, `reason` and `exit_code` are those of the last one."""

    timer: str
    run: int
    attempt: int
    at_us: int
    scheduled_us: int
    started_us: int
    error: str
    next_us: int | None = None
    cause: str = ""
    exit_code: int | None = None
    reason: str = ""


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
    `next_us` is the timer's next moment where nothing else says it; UNSAID, if something does.
    With `run` it is the end of a run that was due and found no room in time."""

    timer: str
    first_us: int
    last_us: int
    moments: int
    reason: str
    at_us: int
    next_us: int | None = UNSAID
    run: int = 0


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
    cause: str = ""


class BackfillStarted(NamedTuple):
    """The moments in `since_us <= t < until_us` are to run that have had no run (all of them, if
    `is_forced`), at most `concurrency` at once. There are `moments` of them, and `done` that had
    one; `next_us` is the first."""

    timer: str
    at_us: int
    since_us: int
    until_us: int
    next_us: int | None
    moments: int
    concurrency: int = 1
    is_forced: bool = False
    cmd: str = ""
    done: int = 0


class BackfillEnded(NamedTuple):
    """The timer's oldest backfill is over: all its runs have ended, or the `reason` why not
    ("cancelled", "changed")."""

    timer: str
    at_us: int
    reason: str = ""


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
    | BackfillStarted
    | BackfillEnded
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
    BackfillStarted: "BACKFILL_STARTED",
    BackfillEnded: "BACKFILL_ENDED",
    SchedulerStarted: "SCHEDULER_STARTED",
    SchedulerStopped: "SCHEDULER_STOPPED",
    ClockStep: "CLOCK_STEP",
    TailCut: "TAIL_CUT",
}
EVENTS: dict[str, type[Event]] = {tag: kind for kind, tag in TAGS.items()}
