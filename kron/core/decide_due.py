"""What is due now: a timer's moment, or a run that waited for its turn or its retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catch_up import Plan, catch_up
from .conflict import in_the_way, stop_for_restart
from .events import UNSAID, Event, RunDue, RunMissed, RunSkippedOverlap, RunStarted
from .model import Cause, Missed, Overlap, Reason
from .moments import OneMoment
from .things import Run, Timer
from .timing import course_from, course_of, explain_passed, moments_of, passed, reason_at

if TYPE_CHECKING:
    from .machine import Machine

LATE_US = 1_000_000
"""A run that is later than this says what kept it."""

_ALLOW, _DELAY, _SKIP = Overlap.ALLOW, Overlap.DELAY, Overlap.SKIP
_SCHEDULE = Cause.SCHEDULE


def decide_due(machine: Machine, timer: Timer) -> list[Event]:
    """The timer's pending moment has come: a run for it, or the reason why not."""
    first, now_us = timer.next_us, machine.own_now(timer)
    definition = timer.definition
    overlap = definition.terms.overlap
    assert first is not None
    following = _next_after(timer, first)
    is_alone = following is None or following > now_us
    if definition.terms.is_particular or not is_alone or now_us - first > LATE_US:
        return _carry_out(machine, timer, _plan(machine, timer, first, now_us))
    next_us = None if following is None or overlap is _DELAY else following
    return _run(machine, timer, first, next_us, 0)


def decide_overdue(
    machine: Machine, timer: Timer, first: int | None
) -> tuple[list[Event], int | None]:
    """The timer is about to get other moments: whatever has come from `first` on, and the moment
    after that. No run starts yet: it is what the timer becomes that they call."""
    now_us, shift_us, events = machine.own_now(timer), machine.state.shift_us, list[Event]()
    while first is not None and course_from(timer, first, shift_us).look_us(first) <= now_us:
        plan = _plan(machine, timer, first, now_us)
        events += _carry_out(machine, timer, plan)
        first = plan.next_us if not plan.runs else _next_after(timer, plan.runs[-1])
    return [each for each in events if not isinstance(each, RunStarted)], first


def _run(
    machine: Machine, timer: Timer, moment: int, next_us: int | None, offset: int, missed: int = 0
) -> list[Event]:
    """One run for a moment in time (`offset` events into the decision), or it is skipped."""
    state, at_us, name = machine.state, machine.now.wall_us, timer.name
    scheduled_us = state.to_wall(timer, moment)
    if next_us is not None:
        next_us = state.to_wall(timer, next_us)
    overlap, capacity = timer.definition.terms.overlap, machine.capacity
    by_run = in_the_way(machine, timer, of_slot=True) if overlap is _SKIP else None
    if by_run is not None:
        return [RunSkippedOverlap(name, scheduled_us, at_us, next_us, by_run)]
    due = RunDue(name, scheduled_us, at_us, next_us, _SCHEDULE, missed)
    is_behind = (timer.open or timer.lingers) and overlap is not _ALLOW
    is_counted = capacity.is_used or timer.is_threaded
    if is_behind or (is_counted and not capacity.starts_at_once(timer)):
        return [*stop_for_restart(machine, timer), due]
    return [due, RunStarted(name, machine.next_id(offset), 1, at_us)]


# -- more than one moment, or one that is late, or rules for it -----------------------------------


def _carry_out(machine: Machine, timer: Timer, plan: Plan) -> list[Event]:
    """The runs of a plan, and what is left out between them, in order of time.

    They queue one by one, but under `allow`. The end of a single run decides what comes after it,
    under `delay`; of several each says which is next.
    """
    if not plan.runs:
        return [*_explain(machine, timer, plan, 0, len(plan.left), plan.next_us)]
    overlap, events = timer.definition.terms.overlap, list[Event]()
    decides = timer.definition.is_single or (overlap is _DELAY and len(plan.runs) == 1)
    at = 0
    for run in plan.runs:
        until = at
        while until < len(plan.left) and plan.left[until].first_us < run:
            until += 1
        ranges = _explain(machine, timer, plan, at, until)
        at = until
        events += ranges
        next_us = None if decides else _next_after(timer, run)
        missed = _stands_for(timer, ranges)
        mine = _run(machine, timer, run, next_us, len(events), missed)
        is_behind = any(isinstance(each, RunDue) for each in events)
        if is_behind and (overlap is not _ALLOW or timer.is_threaded):
            mine = [each for each in mine if isinstance(each, RunDue | RunSkippedOverlap)]
        events += [
            _with_delay(machine, timer, each, run) if isinstance(each, RunDue) else each
            for each in mine
        ]
    return events


def _next_after(timer: Timer, moment: int) -> int | None:
    """The moment that follows one that runs, if its end does not decide that."""
    return None if timer.definition.is_single else moments_of(timer).next_after(moment)


def _with_delay(machine: Machine, timer: Timer, due: RunDue, moment: int) -> RunDue:
    """What the delay of a run is made of."""
    asked_us = course_of(timer, 0).due_us(moment) - moment
    late_us = machine.own_now(timer) - moment - asked_us
    late = reason_at(machine, timer, moment).value if late_us > LATE_US else ""
    return due._replace(late=late, jitter_us=asked_us)


def _stands_for(timer: Timer, ranges: list[RunMissed]) -> int:
    """How many moments before it a run stands for."""
    if timer.definition.terms.missed is Missed.ALL:
        return 0
    besides = (Reason.EXCLUDED, Reason.BOUNDS, Reason.DELAYED)
    return sum(each.moments for each in ranges if each.reason not in besides)


def _explain(
    machine: Machine, timer: Timer, plan: Plan, start: int, end: int, next_us: int | None = UNSAID
) -> list[RunMissed]:
    """RUN_MISSED for some of what is left; the last one says what comes next."""
    events: list[RunMissed] = []
    for place, (first, last, reason) in enumerate(plan.left[start:end], start):
        says = next_us if place == end - 1 else UNSAID
        if reason is None:
            events += explain_passed(machine, timer, first, last, says)
        else:
            events += passed(machine, timer, first, last, reason, says)
    return events


def _plan(machine: Machine, timer: Timer, first: int, now_us: int) -> Plan:
    """The plan for all that has come; a single moment has no others beside it."""
    terms, course = timer.definition.terms, course_from(timer, first, machine.state.shift_us)
    if not timer.definition.is_single or course.left_out(first) is not None:
        return catch_up(course, first, now_us, terms.missed, terms.grace_us)
    alone = course._replace(moments=OneMoment(first))
    plan = catch_up(alone, first, now_us, terms.missed, terms.grace_us)
    return plan._replace(
        next_us=None if timer.definition.is_one_shot else now_us + int(timer.definition.value)
    )


def decide_ready(machine: Machine, run: Run) -> list[Event]:
    """A run that waited (for its turn, its callable or its retry) starts its attempt."""
    return [RunStarted(run.timer.name, run.id, run.attempt, machine.now.wall_us)]
