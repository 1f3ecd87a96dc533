"""What is due now: a timer's moment, or a run that waited for its turn or its retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .events import Event, RunDue, RunMissed, RunSkippedOverlap, RunStarted
from .model import ONE_SHOT_KINDS, Cause, Kind, Overlap
from .things import Run, Timer
from .timing import explain_passed, moments_of

if TYPE_CHECKING:
    from .machine import Machine

_DELAY, _SKIP, _EVERY, _SCHEDULE = Overlap.DELAY, Overlap.SKIP, Kind.EVERY, Cause.SCHEDULE


def decide_due(machine: Machine, timer: Timer) -> list[Event]:
    """The timer's pending moment has come: one run for it, or the reason why not.

    `missed="once"`: if later moments have passed as well, the latest of them is run, and the
    earlier ones are RUN_MISSED.
    """
    first, state, at_us = timer.next_us, machine.state, machine.now.wall_us
    assert first is not None
    latest, following = _latest(machine, timer, first)
    name, overlap = timer.name, timer.definition.terms.overlap
    scheduled_us = state.to_wall(timer, latest)
    next_us = None if following is None else state.to_wall(timer, following)
    ranges: list[RunMissed] = [] if latest == first else _before(machine, timer, first, latest)
    if timer.open and overlap is _SKIP:
        by_run = timer.open[0]
        return [*ranges, RunSkippedOverlap(name, scheduled_us, at_us, next_us, by_run)]
    if overlap is _DELAY:
        next_us = None
    missed = sum(each.moments for each in ranges) if ranges else 0
    run = machine.next_id(len(ranges))
    return [
        *ranges,
        RunDue(name, scheduled_us, at_us, next_us, _SCHEDULE, missed),
        RunStarted(name, run, 1, at_us),
    ]


def _latest(machine: Machine, timer: Timer, first: int) -> tuple[int, int | None]:
    """The latest moment that has come, and the one after it."""
    kind = timer.definition.kind
    if kind in ONE_SHOT_KINDS or (kind is _EVERY and timer.definition.terms.overlap is _DELAY):
        return first, None
    now_us = machine.own_now(timer)
    moments = moments_of(timer)
    following = moments.next_after(first)
    if following is None or following > now_us:
        return first, following
    latest = moments.last_until(now_us)
    assert latest is not None
    return latest, moments.next_after(latest)


def _before(machine: Machine, timer: Timer, first: int, latest: int) -> list[RunMissed]:
    """Why the moments from `first` to the one before `latest` did not run."""
    last = moments_of(timer).last_until(latest - 1) or first
    return explain_passed(machine, timer, first, max(first, last))


def decide_ready(machine: Machine, run: Run) -> list[Event]:
    """A run that waited (for its turn, its callable or its retry) starts its attempt."""
    return [RunStarted(run.timer.name, run.id, run.attempt, machine.now.wall_us)]
