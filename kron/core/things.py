"""What the state is made of: timers, open runs, and what became of a timer's runs so far.

FIXED and FOLDED fields are what the log says. The FOLDED ones change; `State.touch` keeps them as
one tuple, the thing's *image*. SOFT fields belong to this process.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

from . import events as ev
from .model import ONE_SHOT_KINDS, Definition, Mark, RunState
from .ranges import Ranges

OUTCOMES = 30
"""How many of its latest outcomes a timer remembers."""


class Tally(NamedTuple):
    """What became of a timer's runs. `outcomes` has a letter for each of the latest 30, the
    newest last: see OUTCOME_WORDS. `retry_days` counts retries by day, for about a week; `took`
    has the latest attempts, see `durations.py`. `streak` is how many runs in a row have succeeded,
    or (negative) were given up; `longest` the longest of both kinds."""

    last_run_us: int | None = None
    last_took_us: int | None = None
    last_status: str | None = None
    succeeded: int = 0
    failed: int = 0
    missed: int = 0
    skipped: int = 0
    retry_days: tuple[tuple[int, int], ...] = ()
    outcomes: str = ""
    took: str = ""
    streak: int = 0
    longest: tuple[int, int] = (0, 0)


NO_RUNS = Tally()
OUTCOME_WORDS = {"s": "OK", "d": "DEAD", "c": "CANCELLED", "m": "MISSED", "k": "SKIPPED_OVERLAP"}


class Pause(NamedTuple):
    """Since when (wall time) a timer is paused; until when, if it ends by itself: in steady time
    if `is_elapsed`, else wall time."""

    since_us: int
    until_us: int | None = None
    is_elapsed: bool = False
    reason: str = ""
    who: str = ""


class Backfill(NamedTuple):
    """A backfill that goes on: `moments` are to run in `since_us <= t < until_us`, so many have
    `started`, the latest for `last_us`, and `next_us` is the next one (on the timer's own clock;
    None: all have started)."""

    since_us: int
    until_us: int
    next_us: int | None
    moments: int
    started: int
    concurrency: int
    is_forced: bool
    last_us: int | None = None


class Former(NamedTuple):
    """What a timer was before its moments changed, and which of those had a run."""

    definition: Definition
    anchor_us: int
    ranges: Ranges


class Past(NamedTuple):
    """Which of a timer's moments have had a run, so that none gets a second one: `ranges`, and
    what it was before. The backfills that go on come here too, the first one first."""

    ranges: Ranges = ()
    former: tuple[Former, ...] = ()
    backfills: tuple[Backfill, ...] = ()


NO_PAST = Past()
FORMER_KEPT = 8


class Timer:
    """One timer; `id` is the id of its TIMER_CREATED. `next_us` and `anchor_us` are steady time
    for EVERY and AFTER, else wall time; `bound_us`, since when the callable is here, is always
    steady. All moments from `ran_us` on that have come have had a run, those of `past.ranges` too.
    `target` is whatever the runtime calls, `is_threaded` says that it needs a free worker thread;
    `lingers` are runs of which an attempt has failed that nothing can stop."""

    FIXED = ("id", "name", "created_us")
    FOLDED = (
        "definition",
        "anchor_us",
        "next_us",
        "paused",
        "mark",
        "tally",
        "ran_us",
        "past",
        "open",
    )
    SOFT = ("bound_us", "deadline_us", "stamp", "target", "is_threaded", "lingers", "begins_later")
    __slots__ = FIXED + FOLDED + SOFT

    def __init__(self, id_: int, event: ev.TimerCreated) -> None:
        self.id = id_
        self.name = event.timer
        self.definition: Definition = event.definition
        self.created_us = event.at_us
        self.anchor_us = event.anchor_us
        self.next_us: int | None = event.next_us
        self.paused: Pause | None = None
        self.mark = Mark.NONE
        self.tally = NO_RUNS
        self.ran_us: int | None = None
        self.past = NO_PAST
        self.open: tuple[int, ...] = ()
        self.bound_us: int | None = None
        self.deadline_us: int | None = None
        self.stamp = 0
        self.target: Any = None
        self.is_threaded = self.begins_later = False
        self.lingers: tuple[int, ...] = ()

    @property
    def is_removed(self) -> bool:
        """True if only its open runs are left of it."""
        return self.mark is Mark.REMOVED

    @property
    def is_finished(self) -> bool:
        """True for a one-shot with nothing to come."""
        is_over = self.next_us is None and not self.open
        return is_over and self.definition.kind in ONE_SHOT_KINDS

    @property
    def finished_us(self) -> int:
        """When a finished one-shot came to its end (wall time)."""
        return self.tally.last_run_us or self.created_us


class Run:
    """One open run: a due moment being carried out, over all its attempts. `skipped_us` is the
    latest moment of its timer that was skipped because of it (wall time). With a timeout `began_us`
    is when the attempt under way began, and `until_us` when its time is up (steady time)."""

    FIXED = ("id", "timer", "scheduled_us", "due_us", "cause", "missed")
    FOLDED = (
        "state",
        "attempt",
        "started_us",
        "retry_us",
        "stop_reason",
        "error",
        "skipped_us",
    )
    SOFT = ("deadline_us", "stamp", "began_us", "until_us")
    __slots__ = FIXED + FOLDED + SOFT

    def __init__(self, id_: int, timer: Timer, event: ev.RunDue) -> None:
        self.id = id_
        self.timer = timer
        self.scheduled_us = event.scheduled_us
        self.due_us = event.at_us
        self.cause = event.cause
        self.missed = event.missed
        self.state = RunState.DUE
        self.attempt = 1
        self.started_us: int | None = None
        self.retry_us: int | None = None
        self.stop_reason = ""
        self.error = ""
        self.skipped_us: int | None = None
        self.deadline_us: int | None = None
        self.stamp = 0
        self.began_us = self.until_us = 0

    @property
    def is_under_way(self) -> bool:
        """True while an executor is at work on it."""
        return self.state is RunState.RUNNING or self.state is RunState.STOPPING


class Life(NamedTuple):
    """One process that carried the schedule out. `ended_us` is None while it does; of a process
    that died it is its last sign of life. `stopping_us` is since when it started nothing, if it
    ended in order; `unknown` are the time zones that its machine did not know.

    These are readings of the wall clock; where it was set back since, they are no later than it
    was then. `steady` has the same three in steady time.
    """

    started_us: int
    ended_us: int | None = None
    stopping_us: int | None = None
    unknown: tuple[str, ...] = ()
    steady: tuple[int, int | None, int | None] = (0, None, None)

    def ended(self, ended_us: int, stopping_us: int | None, shift_us: int) -> Life:
        """The same after its end."""
        stopping = None if stopping_us is None else stopping_us - shift_us
        steady = (self.steady[0], ended_us - shift_us, stopping)
        return self._replace(ended_us=ended_us, stopping_us=stopping_us, steady=steady)

    def until(self, wall_us: int) -> Life:
        """The same, no later than that: the wall clock was set back to it."""
        return self._replace(
            started_us=min(self.started_us, wall_us),
            ended_us=None if self.ended_us is None else min(self.ended_us, wall_us),
            stopping_us=None if self.stopping_us is None else min(self.stopping_us, wall_us),
        )


Thing: TypeAlias = Timer | Run
Image: TypeAlias = tuple[Any, ...]

image_of: dict[type[Thing], Callable[[Any], Image]] = {
    kind: attrgetter(*kind.FOLDED) for kind in (Timer, Run)
}
"""`image_of[type(thing)](thing)`: the FOLDED fields as a tuple."""
