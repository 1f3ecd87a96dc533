"""Which moments of the past a backfill runs: those that have had no run.

Pure functions of the state. A timer's moments from its pending one on are not the past: what
becomes of those the schedule decides. Instants are on the timer's own clock unless a name says
`wall`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .course import Course
from .errors import ScheduleError
from .model import Kind, Overlap
from .moments import IntervalMoments
from .ranges import end_of
from .state import State
from .things import Former, Timer
from .timing import course_of, first_without_outcome, is_invalid, known_course

EXACT = 10_000
"""So many moments are looked at one by one to tell how many there are, where a timer had other
moments before."""


class Span(NamedTuple):
    """A range of a timer's moments, `since_us <= t < until_us`, that is to be backfilled."""

    timer: Timer
    course: Course
    since_us: int
    until_us: int
    is_forced: bool
    shift_us: int

    def next_to_run(self, after_us: int) -> int | None:
        """The first moment after `after_us` that is to run; None: there is none."""
        moment = self.course.next_allowed(max(after_us, self.since_us - 1))
        while moment is not None and moment < self.until_us:
            end_us = None if self.is_forced else self._done_until(moment)
            if end_us is None:
                return moment
            moment = self.course.next_allowed(end_us)
        return None

    def moments(self) -> Iterator[int]:
        """All that are to run, ascending."""
        moment = self.next_to_run(self.since_us - 1)
        while moment is not None:
            yield moment
            moment = self.next_to_run(moment)

    def left(self) -> int:
        """How many are to run. (Without looking at each, where that would take long; then it may be
        too many by those that the timer also had when its moments were others.)"""
        if self.timer.past.former and not self.is_forced and self.total() <= EXACT:
            return sum(1 for _ in self.moments())
        return self.total() if self.is_forced else self.total() - self._count_done()

    def total(self) -> int:
        """How many moments there are."""
        return self.course.count_allowed(self.since_us, self.until_us - 1)

    def _count_done(self) -> int:
        ranges, ran_us = self.timer.past.ranges, self.timer.ran_us
        spans = [*zip(ranges[::2], ranges[1::2], strict=True)]
        if ran_us is not None:
            spans = [(first, min(last, ran_us - 1)) for first, last in spans if first < ran_us]
            spans.append((ran_us, self.until_us - 1))
        count, since_us, last_us = self.course.count_allowed, self.since_us, self.until_us - 1
        return sum(
            count(max(first, since_us), min(last, last_us))
            for first, last in spans
            if first <= last_us and last >= since_us
        )

    def _done_until(self, moment: int) -> int | None:
        """If the moment has had a run: until when all have had one; else None."""
        timer = self.timer
        if timer.ran_us is not None and moment >= timer.ran_us:
            return self.until_us
        end_us = end_of(timer.past.ranges, moment)
        if end_us is None and any(self._was_run(former, moment) for former in timer.past.former):
            return moment
        return end_us

    def _was_run(self, former: Former, moment: int) -> bool:
        """Whether the timer, as it was before, had that moment and ran it."""
        was_elapsed, is_elapsed = former.definition.is_elapsed, self.timer.definition.is_elapsed
        moment += self.shift_us * (is_elapsed - was_elapsed)
        if end_of(former.ranges, moment) is None:
            return False
        course = known_course(former.definition, former.anchor_us, self.timer.name, self.shift_us)
        is_one = course.moments.last_until(moment) == moment
        return is_one and course.left_out(moment) is None


def span_of(
    state: State, timer: Timer, since_wall_us: int, until_wall_us: int, *, is_forced: bool
) -> Span:
    """The past of a timer in that range. Raises ScheduleError for a timer that has no such past."""
    if timer.definition.is_one_shot:
        raise ScheduleError(
            f"timer {timer.name!r} has one moment, there is nothing to backfill: trigger it."
        )
    if is_invalid(state, timer.definition):
        zone = timer.definition.terms.timezone
        raise ScheduleError(
            f"timer {timer.name!r} cannot be backfilled: its time zone {zone} is not known on this"
            " machine."
        )
    since_us, until_us = state.to_own(timer, since_wall_us), state.to_own(timer, until_wall_us)
    pending_us = first_without_outcome(state, timer)
    if pending_us is not None:
        until_us = min(until_us, pending_us)
    course = course_of(timer, state.shift_us)._replace(jitter_us=0)
    if timer.definition.kind is Kind.EVERY:
        interval_us = int(timer.definition.value)
        first_us = min(timer.anchor_us, since_us)
        back = (timer.anchor_us - first_us) // interval_us + 2
        anchor_us = timer.anchor_us - back * interval_us
        course = course._replace(moments=IntervalMoments(anchor_us, interval_us))
    return Span(timer, course, since_us, max(since_us, until_us), is_forced, state.shift_us)


def check_concurrency(timer: Timer, concurrency: int) -> None:
    """ScheduleError for several runs at once of a timer that does not allow that."""
    if concurrency > 1 and timer.definition.terms.overlap is not Overlap.ALLOW:
        raise ScheduleError(
            f"concurrency={concurrency} needs overlap='allow'; timer {timer.name!r} has"
            f" overlap={timer.definition.terms.overlap.value!r}: its runs never overlap."
        )
