"""Events as people get to see them: typed values, complete in themselves.

Instants are aware datetimes in UTC, lengths of time milliseconds, runs their ids as text. An
optional field is None where the event does not say. Of `next_at` None also means that there is no
next moment, or that another event will say it.

`run_id` is None in the rare case that the record in which the run began was let go with old
history: the id holds the run's moment, which not every event repeats.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .views import TimerDescription


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened, and is durable.

    `index` is the event's place in the log: it increases, with gaps. `at` is when it happened,
    `type` its tag in docs/ledger.md.
    """

    type: str = field(init=False, repr=False, default="")
    index: int
    at: datetime


@dataclass(frozen=True, slots=True)
class TimerCreated(Event):
    """A new timer. Its moments are counted from `anchor_at`."""

    type: str = field(init=False, repr=False, default="TIMER_CREATED")
    timer: str
    definition: TimerDescription
    anchor_at: datetime
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class TimerUpdated(Event):
    """Another definition for a timer."""

    type: str = field(init=False, repr=False, default="TIMER_UPDATED")
    timer: str
    definition: TimerDescription
    anchor_at: datetime
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class TimerRemoved(Event):
    """A timer is gone; `reason` "finished": a one-shot, long after its end."""

    type: str = field(init=False, repr=False, default="TIMER_REMOVED")
    timer: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class TimerPaused(Event):
    """None of its moments runs from now on, until somebody resumes it or `until`; `is_elapsed`:
    that was given as a duration, so a step of the wall clock does not move it."""

    type: str = field(init=False, repr=False, default="TIMER_PAUSED")
    timer: str
    until: datetime | None
    is_elapsed: bool
    reason: str | None
    who: str | None


@dataclass(frozen=True, slots=True)
class TimerResumed(Event):
    """A pause has ended; `reason` "until": by itself."""

    type: str = field(init=False, repr=False, default="TIMER_RESUMED")
    timer: str
    next_at: datetime | None
    reason: str | None
    who: str | None


@dataclass(frozen=True, slots=True)
class TimerMoved(Event):
    """Another next moment for the same timer: `reason` "clock_step" or "zone"."""

    type: str = field(init=False, repr=False, default="TIMER_MOVED")
    timer: str
    next_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class RunDue(Event):
    """A moment has come: a run exists. It stands for `missed` earlier moments, too. `late` says
    what kept it, if it is more than a second late, beyond the `jitter_ms` that were asked for."""

    type: str = field(init=False, repr=False, default="RUN_DUE")
    timer: str
    run_id: str
    scheduled_at: datetime
    next_at: datetime | None
    cause: str
    missed: int
    late: str | None
    jitter_ms: float


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """An attempt begins."""

    type: str = field(init=False, repr=False, default="RUN_STARTED")
    timer: str
    run_id: str | None
    attempt: int


@dataclass(frozen=True, slots=True)
class RunSucceeded(Event):
    """The attempt, and with it the run, ended well."""

    type: str = field(init=False, repr=False, default="RUN_SUCCEEDED")
    timer: str
    run_id: str
    attempt: int
    scheduled_at: datetime
    started_at: datetime
    duration_ms: float
    next_at: datetime | None
    cause: str


@dataclass(frozen=True, slots=True)
class RunFailed(Event):
    """An attempt did not. RunRetrying or RunDead follows. `reason` says why if it was not the
    callback's doing; `exit_code` is that of a command."""

    type: str = field(init=False, repr=False, default="RUN_FAILED")
    timer: str
    run_id: str
    attempt: int
    scheduled_at: datetime
    started_at: datetime
    duration_ms: float
    error: str | None
    reason: str | None
    exit_code: int | None
    cause: str


@dataclass(frozen=True, slots=True)
class RunRetrying(Event):
    """The next `attempt`, and when."""

    type: str = field(init=False, repr=False, default="RUN_RETRYING")
    timer: str
    run_id: str | None
    attempt: int
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class RunDead(Event):
    """No attempt is left; `error`, `reason` and `exit_code` are the last one's."""

    type: str = field(init=False, repr=False, default="RUN_DEAD")
    timer: str
    run_id: str
    attempt: int
    scheduled_at: datetime
    started_at: datetime
    error: str | None
    next_at: datetime | None
    cause: str
    exit_code: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class RunSkippedOverlap(Event):
    """A moment that was left out because the run `by_run_id` was in its way."""

    type: str = field(init=False, repr=False, default="RUN_SKIPPED_OVERLAP")
    timer: str
    scheduled_at: datetime
    next_at: datetime | None
    by_run_id: str | None
    cause: str


@dataclass(frozen=True, slots=True)
class RunMissed(Event):
    """The `count` due moments from `scheduled_at` to `last_scheduled_at` did not run. With
    `run_id` it is the end of a run that was due and found no room in time."""

    type: str = field(init=False, repr=False, default="RUN_MISSED")
    timer: str
    run_id: str | None
    scheduled_at: datetime
    last_scheduled_at: datetime
    count: int
    reason: str
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunStopping(Event):
    """A running attempt was asked to stop."""

    type: str = field(init=False, repr=False, default="RUN_STOPPING")
    timer: str
    run_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class RunCancelled(Event):
    """A run has stopped, or (`started_at` None) had not begun."""

    type: str = field(init=False, repr=False, default="RUN_CANCELLED")
    timer: str
    run_id: str
    attempt: int
    scheduled_at: datetime
    started_at: datetime | None
    reason: str
    next_at: datetime | None
    cause: str


@dataclass(frozen=True, slots=True)
class BackfillStarted(Event):
    """`count` moments in `since <= t < until` are to run, the first at `next_at`; `done` had a run
    (with `is_forced` these, too, run again)."""

    type: str = field(init=False, repr=False, default="BACKFILL_STARTED")
    timer: str
    since: datetime
    until: datetime
    next_at: datetime | None
    count: int
    concurrency: int
    is_forced: bool
    done: int


@dataclass(frozen=True, slots=True)
class BackfillEnded(Event):
    """The timer's oldest backfill is over; with a `reason`, too early."""

    type: str = field(init=False, repr=False, default="BACKFILL_ENDED")
    timer: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class SchedulerStarted(Event):
    """A process took the log over; its machine does not know these time zones of timers."""

    type: str = field(init=False, repr=False, default="SCHEDULER_STARTED")
    boot: str
    pid: int
    version: str
    unknown_zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SchedulerStopped(Event):
    """It went in order; nothing was started after `since`."""

    type: str = field(init=False, repr=False, default="SCHEDULER_STOPPED")
    boot: str
    since: datetime


@dataclass(frozen=True, slots=True)
class ClockStep(Event):
    """The wall clock moved against elapsed time; `is_era`: by hours back, moments come again."""

    type: str = field(init=False, repr=False, default="CLOCK_STEP")
    delta_ms: float
    is_era: bool


@dataclass(frozen=True, slots=True)
class TailCut(Event):
    """An unfinished record was cut off at the start; its bytes are in the file `kept_as`."""

    type: str = field(init=False, repr=False, default="TAIL_CUT")
    file: str
    offset: int
    size_bytes: int
    kept_as: str | None


@dataclass(frozen=True, slots=True)
class UnknownEvent(Event):
    """An event that a newer version wrote: `tag` is what that one calls it."""

    type: str = field(init=False, repr=False, default="UNKNOWN")
    tag: str
    fields: list[Any]


@dataclass(frozen=True, slots=True)
class EventsMissed(Event):
    """No event of the log: what stood behind `after`, up to `index`, can no longer be read.

    `reason` is "let_go" (history is kept for a while only) or "closed" (the scheduler has ended;
    the next one can read it). `at` is when that was noticed.
    """

    type: str = field(init=False, repr=False, default="EVENTS_MISSED")
    after: int
    reason: str
