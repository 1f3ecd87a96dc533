"""A timer's moments: which come next, which have passed, and why the passed ones did not run.

Everything here is on the timer's own clock (steady time for EVERY and AFTER, wall time for CRON
and AT) unless a name says `wall`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .events import RunMissed
from .model import Definition, Kind, Reason
from .moments import IntervalMoments, Moments, OneMoment, cron_moments
from .things import Timer

if TYPE_CHECKING:
    from .machine import Machine

PAST_GRACE_US = 60_000_000
"""How far in the past a new `at=` may lie and still fire."""


def moments_of(timer: Timer) -> Moments:
    """The moments of the timer's definition. (Cron expressions are compiled once; the others are
    no more than two numbers.)"""
    definition = timer.definition
    return _MOMENTS[definition.kind](definition, timer.anchor_us)


_MOMENTS: dict[Kind, Callable[[Definition, int], Moments]] = {
    Kind.CRON: lambda definition, _: cron_moments(str(definition.value), definition.terms.timezone),
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
    return _MOMENTS[definition.kind](definition, called_us).next_after(called_us)


def passed(
    machine: Machine, timer: Timer, first: int, last: int, reason: Reason
) -> tuple[RunMissed, ...]:
    """One RUN_MISSED for all moments from `first` to `last`."""
    to_wall = machine.state.to_wall
    count = 1 if first == last else max(1, moments_of(timer).count(first, last))
    at_us = machine.now.wall_us
    return (
        RunMissed(
            timer.name, to_wall(timer, first), to_wall(timer, last), count, reason.value, at_us
        ),
    )


def explain_passed(machine: Machine, timer: Timer, first: int, last: int) -> list[RunMissed]:
    """RUN_MISSED for the moments from `first` to `last`, split where the reason changes."""
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
    return [missed for span in ranges for missed in passed(machine, timer, *span)]


def _boundaries(machine: Machine, timer: Timer, last: int) -> list[tuple[int, Reason]]:
    """Until when, in ascending order, which reason kept a moment of this timer from running."""
    state, own = machine.state, machine.state.to_own
    awake = Reason.CLOCK_STEP if machine.has_stepped else Reason.BLOCKED
    bounds = []
    if state.stopped_us and state.stopped_us <= state.started_us:
        bounds += [(own(timer, state.stop_began_us), Reason.DOWN)]
        bounds += [(own(timer, state.stopped_us), Reason.STOPPED)]
    bounds += [(own(timer, state.started_us), Reason.DOWN)]
    if timer.bound_us is not None:
        bounds += [(own(timer, timer.bound_us), Reason.ORPHANED)]
    return [*bounds, (last, awake)]
