"""How a timer stands when somebody asks: a copy of all that its story needs of the state.

Instants are wall time, whatever clock the timer follows.
"""

from __future__ import annotations

from typing import NamedTuple

from .course import Course, NoMoments
from .model import ZONED_KINDS, Cause, Definition, Overlap, Reason, RunState
from .state import State
from .things import Life
from .timing import known_course, on_from
from .views import schedule_text

SECOND_US = 1_000_000


class OpenRun(NamedTuple):
    """A run that has not ended. `missed` counts the earlier moments it stands for."""

    id: int
    scheduled_us: int
    due_us: int
    missed: int
    state: RunState
    attempt: int
    started_us: int | None
    retry_us: int | None
    stop_reason: str
    error: str
    is_scheduled: bool


class Standing(NamedTuple):
    """A timer as of the last confirmed record; without a `definition` there is none of the name.

    `is_live` says that a process carries the schedule out, `is_orphan` that it does not have this
    timer's callable; `invalid` is the time zone that its machine does not know. `left` are the open
    runs of a removed timer of the name. `shift_us` leads from the timer's own clock to the wall.
    """

    name: str
    now_us: int
    is_live: bool
    lives: tuple[Life, ...] = ()
    eras: int = 0
    last_us: int = 0
    definition: Definition | None = None
    course: Course = Course(NoMoments())
    shift_us: int = 0
    next_us: int | None = None
    created_us: int = 0
    paused_us: int | None = None
    is_orphan: bool = False
    invalid: str = ""
    is_new_era: bool = False
    runs: tuple[OpenRun, ...] = ()
    left: tuple[OpenRun, ...] = ()

    # -- its moments -------------------------------------------------------------------------

    @property
    def schedule(self) -> str:
        """The selector as it was written, with its time zone."""
        if self.definition is None:
            return ""
        zone = self.definition.terms.timezone
        is_zoned = self.definition.kind in ZONED_KINDS and zone != "UTC"
        return schedule_text(self.definition) + (f" {zone}" if is_zoned else "")

    @property
    def is_delay(self) -> bool:
        """Whether the end of a run decides what comes after it."""
        return self.definition is not None and self.definition.terms.overlap is Overlap.DELAY

    @property
    def is_free(self) -> bool:
        """Whether runs overlap."""
        return self.definition is not None and self.definition.terms.overlap is Overlap.ALLOW

    @property
    def is_chained(self) -> bool:
        """True for a fixed delay: each moment follows from the end of the run before it."""
        return self.definition is not None and self.definition.is_fixed_delay

    @property
    def is_one_shot(self) -> bool:
        """True for `at=` and `after=`."""
        return self.definition is not None and self.definition.is_one_shot

    def moment_until(self, until_us: int) -> int | None:
        """The latest moment of the selector until then."""
        moment_us = self.course.moments.last_until(until_us - self.shift_us)
        return None if moment_us is None else moment_us + self.shift_us

    def moment_after(self, after_us: int) -> int | None:
        """The first moment of the selector after that."""
        moment_us = self.course.moments.next_after(after_us - self.shift_us)
        return None if moment_us is None else moment_us + self.shift_us

    def allowed_after(self, after_us: int) -> int | None:
        """The first one that the limits do not leave out."""
        moment_us = self.course.next_allowed(after_us - self.shift_us)
        return None if moment_us is None else moment_us + self.shift_us

    def allowed_from(self, moment_us: int) -> int | None:
        """What follows a pending moment that is left out; a fixed delay goes on from there."""
        assert self.definition is not None
        own_us = moment_us - self.shift_us
        next_us = on_from(self.course, self.definition, own_us).next_allowed(own_us)
        return None if next_us is None else next_us + self.shift_us

    def left_out(self, moment_us: int) -> Reason | None:
        """Why a moment is left out; None: it is not."""
        return self.course.left_out(moment_us - self.shift_us)

    def due_us(self, moment_us: int) -> int:
        """When it really starts, with its jitter."""
        return self.course.due_us(moment_us - self.shift_us) + self.shift_us

    def amounts(self, first_us: int, last_us: int) -> tuple[int, int]:
        """How many moments lie there: those that are not left out, and all."""
        first, last = first_us - self.shift_us, last_us - self.shift_us
        return self.course.count_allowed(first, last), self.course.moments.count(first, last)

    # -- what has come and is not over -------------------------------------------------------

    def open_run(self, until_us: int, *, by_hand: bool = False) -> OpenRun | None:
        """The open run of the latest moment until then; or the latest one triggered by hand."""
        runs = (run for run in (*self.runs, *self.left) if run.is_scheduled != by_hand)
        come = [run for run in runs if run.scheduled_us <= until_us]
        return max(come, key=lambda run: (run.scheduled_us, run.id), default=None)

    def pending(self, until_us: int) -> int | None:
        """The latest moment until then about which the log has nothing to say yet."""
        first = self.next_us
        if first is None:
            first = self._first_delayed()
        if first is None or first > until_us:
            return None
        if self.is_chained or self.is_one_shot:
            return first
        return max(first, self.moment_until(until_us) or first)

    def _first_delayed(self) -> int | None:
        """The first moment that waits for the end of an open run."""
        scheduled = [run.scheduled_us for run in self.runs if run.is_scheduled]
        if self.is_chained or self.is_one_shot or self.is_new_era or not scheduled:
            return None
        return self.moment_after(max(scheduled)) if self.is_delay else None


def standing_of(state: State, name: str, now_us: int, *, is_live: bool) -> Standing:
    """As of the last confirmed record."""
    facts = Standing(name, now_us, is_live, state.lives, len(state.eras), state.last_us)
    timer = state.confirmed_timer(name)
    all_ = (run for run in state.runs.values() if run.timer is not timer)
    left = _runs(state, tuple(run.id for run in all_ if run.timer.name == name))
    facts = facts._replace(left=left)
    if timer is None:
        return facts
    values = state.confirmed(timer)
    definition: Definition = values["definition"]
    next_us: int | None = values["next_us"]
    shift_us = state.shift_us if definition.is_elapsed else 0
    zone = definition.terms.timezone
    is_invalid = definition.needs_zone and zone in state.unknown_zones
    runs = _runs(state, values["open"])
    return facts._replace(
        definition=definition,
        course=known_course(definition, values["anchor_us"], name, state.shift_us),
        shift_us=shift_us,
        next_us=None if next_us is None else next_us + shift_us,
        created_us=values["created_us"],
        paused_us=values["paused_us"],
        is_orphan=is_live and timer.bound_us is None,
        invalid=zone if is_invalid else "",
        is_new_era=any(state.era_of(run.id) < len(state.eras) for run in runs),
        runs=runs,
    )


def _runs(state: State, ids: tuple[int, ...]) -> tuple[OpenRun, ...]:
    found = filter(None, map(state.confirmed_run, ids))
    return tuple(
        OpenRun(
            run["id"],
            run["scheduled_us"],
            run["due_us"],
            run["missed"],
            run["state"],
            run["attempt"],
            run["started_us"],
            None if run["retry_us"] is None else run["retry_us"] + state.shift_us,
            run["stop_reason"],
            run["error"],
            run["cause"] == Cause.SCHEDULE,
        )
        for run in found
    )
