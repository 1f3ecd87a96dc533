"""How a timer stands when somebody asks: a copy of all that its story needs of the state.

Instants are wall time, whatever clock the timer follows.
"""

from __future__ import annotations

from typing import NamedTuple

from .capacity import CAPACITY, KEY, Capacity
from .course import Course, NoMoments
from .model import ZONED_KINDS, Cause, Definition, Overlap, Reason, RunState
from .rows import Row
from .state import State
from .things import Backfill, Life, Pause, Timer
from .timing import known_course, on_from
from .views import schedule_text

SECOND_US = 1_000_000


class OpenRun(NamedTuple):
    """A run that has not ended. `missed` counts the earlier moments it stands for. `obstacle` is
    "capacity", "key" or "threads" if it waits for room in this process, `room` says so in words."""

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
    cause: str
    obstacle: str = ""
    room: str = ""


class Standing(NamedTuple):
    """A timer as of the last confirmed record; without a `definition` there is none of the name.

    `is_live` says that a process carries the schedule out, `is_orphan` that it does not have this
    timer's callable; `invalid` is the time zone that its machine does not know. `left` are the open
    runs of a removed timer of the name, `lingers` those of which an attempt goes on that nothing
    can stop. `shift_us` leads from the timer's own clock to the wall.
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
    paused: Pause | None = None
    is_orphan: bool = False
    invalid: str = ""
    is_new_era: bool = False
    runs: tuple[OpenRun, ...] = ()
    left: tuple[OpenRun, ...] = ()
    lingers: tuple[int, ...] = ()
    backfills: tuple[Backfill, ...] = ()

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

    @property
    def regular(self) -> tuple[OpenRun, ...]:
        """Its open runs without those of a backfill, which no moment has to mind."""
        return tuple(run for run in self.runs if run.cause != Cause.BACKFILL)

    @property
    def is_held_back(self) -> bool:
        """Whether its next moment waits for the end of something (`overlap="delay"`)."""
        return self.is_delay and bool(self.regular or self.lingers)

    @property
    def resumes_us(self) -> int | None:
        """When its pause ends by itself."""
        return None if self.paused is None else self.paused.until_us

    def is_paused_at(self, at_us: int) -> bool:
        """Whether what is due then falls into its pause."""
        resumes_us = self.resumes_us
        return self.paused is not None and (resumes_us is None or at_us <= resumes_us)

    @property
    def coming_us(self) -> int | None:
        """The pending moment; if it falls into a pause that ends by itself, the one after that."""
        next_us, resumes_us = self.next_us, self.resumes_us
        if next_us is None or resumes_us is None or self.due_us(next_us) > resumes_us:
            return next_us
        if self.definition is None or self.is_one_shot:
            return next_us
        if self.is_chained:
            return resumes_us + int(self.definition.value)
        own_us, end_us = next_us - self.shift_us, resumes_us - self.shift_us
        return self.allowed_after(self.course.latest_come(own_us, end_us) + self.shift_us)

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

    def moment_of(self, row: Row, until_us: int) -> int | None:
        """The latest moment until then that a line of history is about; None if that is one of a
        range, and the definition of today does not give its moments."""
        if row.last_us is None or row.last_us <= until_us:
            return row.last_us or row.scheduled_us
        return self.moment_until(until_us) if self.has_range(row) else None

    def has_range(self, row: Row) -> bool:
        """Whether the definition of today gives the moments of a range."""
        ends = (row.scheduled_us, row.last_us or row.scheduled_us)
        if any(self.moment_until(end_us) != end_us for end_us in ends):
            return False
        return row.moments in self.amounts(*ends)

    # -- what has come and is not over -------------------------------------------------------

    def open_run(self, until_us: int, cause: Cause = Cause.SCHEDULE) -> OpenRun | None:
        """The open run of the latest moment until then; or the latest one of another cause."""
        runs = (run for run in (*self.runs, *self.left) if run.cause == cause)
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
        scheduled = [run.scheduled_us for run in self.runs if run.cause == Cause.SCHEDULE]
        if self.is_chained or self.is_one_shot or self.is_new_era or not scheduled:
            return None
        return self.moment_after(max(scheduled)) if self.is_delay else None


def standing_of(
    state: State, name: str, now_us: int, *, is_live: bool, capacity: Capacity | None = None
) -> Standing:
    """As of the last confirmed record; a living process says with `capacity` who waits for room."""
    facts = Standing(name, now_us, is_live, state.lives, len(state.eras), state.last_us)
    timer = state.confirmed_timer(name)
    all_ = (run for run in state.runs.values() if run.timer is not timer)
    left = _runs(state, tuple(run.id for run in all_ if run.timer.name == name), capacity)
    facts = facts._replace(left=left)
    if timer is None:
        return facts
    values = state.confirmed(timer)
    definition: Definition = values["definition"]
    next_us: int | None = values["next_us"]
    shift_us = state.shift_us if definition.is_elapsed else 0
    zone = definition.terms.timezone
    is_invalid = definition.needs_zone and zone in state.unknown_zones
    runs = _runs(state, values["open"], capacity)
    return facts._replace(
        definition=definition,
        course=known_course(definition, values["anchor_us"], name, state.shift_us),
        shift_us=shift_us,
        next_us=None if next_us is None else next_us + shift_us,
        created_us=values["created_us"],
        paused=_on_the_wall(state, values["paused"]),
        is_orphan=is_live and timer.bound_us is None,
        invalid=zone if is_invalid else "",
        is_new_era=any(state.era_of(run.id) < len(state.eras) for run in runs),
        runs=runs,
        lingers=timer.lingers if is_live else (),
        backfills=tuple(_shown(state, timer, each) for each in values["past"].backfills),
    )


def _on_the_wall(state: State, pause: Pause | None) -> Pause | None:
    if pause is None or pause.until_us is None or not pause.is_elapsed:
        return pause
    return pause._replace(until_us=pause.until_us + state.shift_us)


def _shown(state: State, timer: Timer, backfill: Backfill) -> Backfill:
    next_us = None if backfill.next_us is None else state.to_wall(timer, backfill.next_us)
    since_us = state.to_wall(timer, backfill.since_us)
    until_us = state.to_wall(timer, backfill.until_us)
    return backfill._replace(since_us=since_us, until_us=until_us, next_us=next_us)


def _runs(state: State, ids: tuple[int, ...], capacity: Capacity | None) -> tuple[OpenRun, ...]:
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
            str(run["cause"]),
            *_room(state, run["timer"], run["id"], capacity),
        )
        for run in found
    )


def _room(state: State, timer: Timer, run_id: int, capacity: Capacity | None) -> tuple[str, str]:
    """What a run waits for that has lined up, in a word and in a sentence."""
    obstacle = None if capacity is None else capacity.obstacle(run_id)
    if obstacle is None or capacity is None:
        return "", ""
    terms = timer.definition.terms
    if obstacle == CAPACITY:
        used = f"{capacity.used} of max_concurrency={capacity.max_concurrency} in use"
        if capacity.would_fit(terms.weight):
            return obstacle, f"It waits behind a run that needs more room than there is: {used}."
        return obstacle, f"It waits for room: {used}, and it needs {terms.weight}."
    if obstacle == KEY:
        what = f"the key {terms.key}" if terms.key else "the end of another run of its command"
        run = state.runs.get(run_id)
        ids = [] if run is None else capacity.holders(run)
        names = sorted({state.runs[id_].timer.name for id_ in ids if id_ in state.runs})
        return obstacle, f"It waits for {what}{_taken_by(names)}."
    return obstacle, "It waits for a worker thread: all are busy."


def _taken_by(names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f": {names[0]}{more} {'have' if more else 'has'} it"
