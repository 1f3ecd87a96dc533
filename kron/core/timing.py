"""A timer's moments: which come next, which have passed, and why the passed ones did not run.

Everything here is on the timer's own clock (steady time for EVERY and AFTER, wall time for the
others) unless a name says `wall`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .cadence import cadence_cron
from .course import Course, NoMoments
from .errors import ScheduleError
from .events import UNSAID, RunMissed
from .limits import limits_of
from .model import Cause, Definition, Kind, Overlap, Reason
from .moments import IntervalMoments, Moments, OneMoment, cron_moments, field_moments
from .things import Life, Timer

if TYPE_CHECKING:
    from .machine import Machine
    from .state import State

PAST_GRACE_US = 60_000_000
"""How far in the past a new `at=` may lie and still fire."""
UNKNOWN_AFTER_US = 1
"""What follows a moment is not known on a machine that does not know the zone: the timer waits so
long after it, and a start that knows the zone finds the next moment."""
_NO_MOMENTS = NoMoments()


# -- which moments ------------------------------------------------------------------------------


def definition_moments(definition: Definition, anchor_us: int) -> Moments:
    """All moments of a definition. (Expressions are compiled once; the others are no more than
    two numbers.) Raises ScheduleError for a time zone that this machine does not know."""
    return _MOMENTS[definition.kind](definition, anchor_us)


def definition_course(
    definition: Definition, anchor_us: int, name: str = "", shift_us: int = 0
) -> Course:
    """The moments, and the rules for them. Raises as `definition_moments` does."""
    terms = definition.terms
    moments = definition_moments(definition, anchor_us)
    return Course(moments, limits_of(terms), shift_us, name, terms.jitter_us)


def moments_of(timer: Timer) -> Moments:
    """All moments of the timer; none, if its time zone is not known on this machine."""
    definition = timer.definition
    try:
        return _MOMENTS[definition.kind](definition, timer.anchor_us)
    except ScheduleError:
        return _NO_MOMENTS


def course_of(timer: Timer, shift_us: int) -> Course:
    """The timer's moments and the rules for them; no moments, if its zone is not known."""
    return known_course(timer.definition, timer.anchor_us, timer.name, shift_us)


def course_from(timer: Timer, first_us: int, shift_us: int) -> Course:
    """The course that goes on from a pending moment: the interval of a fixed delay counts from the
    end of a run, so its moments are not on the grid of the anchor."""
    course = course_of(timer, shift_us)
    return on_from(course, timer.definition, first_us)


def on_from(course: Course, definition: Definition, first_us: int) -> Course:
    """See `course_from`."""
    if not definition.is_fixed_delay or course.moments is _NO_MOMENTS:
        return course
    interval_us = int(definition.value)
    return course._replace(moments=IntervalMoments(first_us - interval_us, interval_us))


def look_us(timer: Timer, shift_us: int) -> int | None:
    """When there is something to do about the timer's pending moment."""
    if timer.next_us is None or not timer.definition.terms.is_particular:
        return timer.next_us
    return course_from(timer, timer.next_us, shift_us).look_us(timer.next_us)


def known_course(definition: Definition, anchor_us: int, name: str, shift_us: int) -> Course:
    """As `definition_course`, but without moments where that raises."""
    try:
        shift_us = shift_us if definition.is_elapsed else 0
        return definition_course(definition, anchor_us, name, shift_us)
    except ScheduleError:
        return Course(_NO_MOMENTS)


def is_invalid(state: State, definition: Definition) -> bool:
    """True if the machine of the latest process cannot tell the moments: the zone is unknown."""
    unknown = state.unknown_zones
    return bool(unknown) and definition.needs_zone and definition.terms.timezone in unknown


def _cron(definition: Definition, _: int) -> Moments:
    terms = definition.terms
    return cron_moments(str(definition.value), terms.timezone, terms.dst)


def _fields(definition: Definition, _: int) -> Moments:
    terms = definition.terms
    return field_moments(str(definition.value), terms.timezone, terms.dst)


_MOMENTS: dict[Kind, Callable[[Definition, int], Moments]] = {
    Kind.CRON: _cron,
    Kind.FIELDS: _fields,
    Kind.CADENCE: lambda definition, _: cron_moments(cadence_cron(str(definition.value))),
    Kind.EVERY: lambda definition, anchor_us: IntervalMoments(anchor_us, int(definition.value)),
    Kind.AFTER: lambda definition, anchor_us: OneMoment(anchor_us + int(definition.value)),
    Kind.AT: lambda definition, _: OneMoment(int(definition.value)),
}


def first_moment(definition: Definition, called_us: int) -> int | None:
    """The first moment of a definition given at `called_us`; None for an `at=` long past."""
    if definition.kind is Kind.AT:
        at_us = int(definition.value)
        return at_us if at_us >= called_us - PAST_GRACE_US else None
    if definition.kind is Kind.AFTER:
        return called_us + int(definition.value)
    return definition_moments(definition, called_us).next_after(called_us)


# -- why not ------------------------------------------------------------------------------------


def passed(
    machine: Machine,
    timer: Timer,
    first: int,
    last: int,
    reason: Reason,
    next_us: int | None = UNSAID,
) -> tuple[RunMissed, ...]:
    """One RUN_MISSED for all moments from `first` to `last`."""
    to_wall = machine.state.to_wall
    moments = 1
    if first != last or timer.definition.terms.is_particular:
        course = course_from(timer, first, machine.state.shift_us)
        moments = course.count_allowed(first, last) if reason is not Reason.BOUNDS else 0
        if not moments:
            reason = course.left_out(first) or reason
            moments = course.moments.count(first, last)
    if next_us is not None and next_us != UNSAID:
        next_us = to_wall(timer, next_us)
    first_us, last_us, at_us = to_wall(timer, first), to_wall(timer, last), machine.now.wall_us
    return (
        RunMissed(timer.name, first_us, last_us, max(moments, 1), reason.value, at_us, next_us),
    )


def has_been_away(machine: Machine, timer: Timer, first: int) -> bool:
    """True if a moment from `first` on that is not left out came while no process was there, or the
    machine slept."""
    course, now_us = course_of(timer, machine.state.shift_us), machine.own_now(timer)
    allowed = first if course.left_out(first) is None else course.next_allowed(first)
    if allowed is None or course.due_us(allowed) > now_us:
        return False
    first = allowed
    is_elapsed, slept, lives = timer.definition.is_elapsed, machine.seen.slept, machine.state.lives
    started = 0 if not lives else lives[-1].steady[0] if is_elapsed else lives[-1].started_us
    if first < started:
        return True
    if slept is None:
        return False
    since, until = ((each.steady_us if is_elapsed else each.wall_us) for each in slept)
    following = course.moments.next_after(max(since, first - 1))
    return following is not None and following <= until


def passed_until_now(
    machine: Machine,
    timer: Timer,
    first: int | None,
    reason: Reason | None,
    now_us: int | None = None,
) -> tuple[list[RunMissed], int | None]:
    """RUN_MISSED for all from `first` on that has come (by `now_us`), and the moment after; what
    lies behind the bounds stays pending. `reason` None: whatever kept it from running in time."""
    course = course_of(timer, machine.state.shift_us)
    now_us = machine.own_now(timer) if now_us is None else now_us
    events: list[RunMissed] = []
    while first is not None and course.due_us(first) <= now_us and not course.is_over(first):
        is_left_out = course.left_out(first) is not None
        last = (
            course.last_alike(first, now_us) if is_left_out else course.latest_come(first, now_us)
        )
        if reason is None and not is_left_out:
            events += explain_passed(machine, timer, first, last)
        else:
            events += passed(machine, timer, first, last, reason or Reason.EXCLUDED)
        first = course.next_after(last)
    return events, first


def explain_passed(
    machine: Machine, timer: Timer, first: int, last: int, next_us: int | None = UNSAID
) -> list[RunMissed]:
    """RUN_MISSED for the moments from `first` to `last`, split where the reason changes; the last
    one says what comes next."""
    moments = moments_of(timer)
    ranges: list[tuple[int, int, Reason]] = []
    cursor: int | None = first
    for until, reason in _boundaries(machine, timer, last):
        if cursor is None or cursor > last:
            break
        if cursor > until:
            continue
        # `first` counts as a moment even if the zone's rules have changed since it was computed.
        end = last if until >= last else max(cursor, moments.last_until(until) or cursor)
        if ranges and ranges[-1][2] is reason:
            ranges[-1] = (ranges[-1][0], end, reason)
        else:
            ranges.append((cursor, end, reason))
        cursor = moments.next_after(end)
    says = [UNSAID] * (len(ranges) - 1) + [next_us]
    return [
        missed
        for span, follows in zip(ranges, says, strict=True)
        for missed in passed(machine, timer, *span, follows)
    ]


def reason_at(machine: Machine, timer: Timer, us: int) -> Reason:
    """What kept a moment that has passed from running in time."""
    return next(reason for until, reason in _boundaries(machine, timer, us) if us <= until)


def _boundaries(machine: Machine, timer: Timer, last: int) -> Iterator[tuple[int, Reason]]:
    """Until when, in ascending order, which reason kept a moment of this timer from running."""
    state, seen, is_elapsed = machine.state, machine.seen, timer.definition.is_elapsed
    if (resumed := seen.pause_of(timer.id)) is not None:
        yield (resumed.steady_us if is_elapsed else resumed.wall_us), Reason.PAUSED
    if (moved_us := _moved_limits_us(machine, timer)) is not None:
        yield moved_us, Reason.CLOCK_STEP
    for life in state.lives:
        wall = (life.started_us, life.ended_us, life.stopping_us)
        started, ended, stopping = life.steady if is_elapsed else wall
        yield started - 1, Reason.DOWN  # at that very instant it was there
        if ended is not None:
            yield (ended if stopping is None else stopping), _while_up(timer, life)
            yield ended, Reason.STOPPED
    if not machine.is_live:
        yield last, Reason.DOWN
    stepped, bound_us = seen.stepped, timer.bound_us
    if bound_us is None:
        yield last, Reason.ORPHANED
    elif stepped is None or stepped.until.steady_us < bound_us:
        # Else the clock has stepped since: what was overdue then has been decided before.
        yield (bound_us if is_elapsed else bound_us + state.shift_us) - 1, Reason.ORPHANED
    awake = Reason.DELAYED if _waited_for_a_run(machine, timer) else Reason.BLOCKED
    for gap, reason in ((seen.slept, Reason.SUSPENDED), (stepped, Reason.CLOCK_STEP)):
        if gap is not None:
            yield (gap.since.steady_us if is_elapsed else gap.since.wall_us), awake
            yield (gap.until.steady_us if is_elapsed else gap.until.wall_us), reason
    yield last, awake


def _moved_limits_us(machine: Machine, timer: Timer) -> int | None:
    """Until when the limits left out what came, if a clock step has moved them (they are the
    wall's, the moments are not): what they let pass since was not kept by anything else."""
    stepped, bound_us = machine.seen.stepped, timer.bound_us
    if stepped is None or bound_us is None or stepped.since.steady_us < bound_us:
        return None
    is_moved = timer.definition.is_elapsed and limits_of(timer.definition.terms) is not None
    return stepped.since.steady_us if is_moved else None


def _waited_for_a_run(machine: Machine, timer: Timer) -> bool:
    """True if what is pending cannot run before a run ends, or could not until just now."""
    is_delayed = timer.definition.terms.overlap is Overlap.DELAY
    is_behind = bool(timer.lingers) or bool(machine.state.regular(timer))
    was_behind = timer.id in machine.let_in or timer.tally.last_run_us == machine.now.wall_us
    return is_delayed and (is_behind or was_behind)


def first_without_outcome(state: State, timer: Timer) -> int | None:
    """The pending moment, or the first of those that wait for the end of an open run."""
    is_waiting = timer.next_us is None and timer.definition.terms.overlap is Overlap.DELAY
    if not is_waiting or timer.definition.is_single:
        return timer.next_us
    runs = (state.runs[id_] for id_ in timer.open)
    ran = [state.moment_of(run) for run in runs if run.cause == Cause.SCHEDULE]
    return moments_of(timer).next_after(max(ran)) if ran else None


def _while_up(timer: Timer, life: Life) -> Reason:
    """Why a moment did not run though a process was there, which has ended since."""
    if timer.definition.needs_zone and timer.definition.terms.timezone in life.unknown:
        return Reason.INVALID
    was_there = max(timer.created_us, timer.tally.last_run_us or 0) >= life.started_us
    return Reason.DOWN if was_there else Reason.ORPHANED
