"""What is due now: a timer's moment, or a run that waited for its turn or its retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .events import Event, RunDue, RunMissed, RunSkippedOverlap, RunStarted
from .model import Cause, Kind, Overlap
from .state import Run, Timer
from .timing import explain_passed, moments_of

if TYPE_CHECKING:
    from .machine import Machine


def decide_due(machine: Machine, timer: Timer) -> list[Event]:
    """The timer's pending moment has come: one run for it, or the reason why not.

    `missed="once"`: if later moments have passed as well, the latest of them is run, and the
    earlier ones are RUN_MISSED.
    """
    first = timer.next_us
    assert first is not None
    latest, following = _latest(machine, timer, first)
    ranges: list[RunMissed] = []
    if latest != first:
        before = moments_of(timer).last_until(latest - 1) or first
        ranges = explain_passed(machine, timer, first, max(first, before))
    events: list[Event] = [*ranges]
    to_wall, at_us = machine.state.to_wall, machine.now.wall_us
    next_us = None if following is None else to_wall(timer, following)
    scheduled_us = to_wall(timer, latest)
    overlap = timer.definition.overlap
    if timer.open and overlap is Overlap.SKIP:
        by_run = timer.open[0]
        events.append(RunSkippedOverlap(timer.name, scheduled_us, at_us, next_us, by_run))
        return events
    if overlap is Overlap.DELAY:
        next_us = None
    missed = sum(each.moments for each in ranges)
    run = machine.next_id(len(events))
    events.append(RunDue(timer.name, scheduled_us, at_us, next_us, Cause.SCHEDULE, missed))
    events.append(RunStarted(timer.name, run, 1, at_us))
    return events


def _latest(machine: Machine, timer: Timer, first: int) -> tuple[int, int | None]:
    """The latest moment that has come, and the one after it."""
    definition = timer.definition
    if definition.is_one_shot or (
        definition.kind is Kind.EVERY and definition.overlap is Overlap.DELAY
    ):
        return first, None
    now_us = machine.own_now(timer)
    moments = moments_of(timer)
    following = moments.next_after(first)
    if following is None or following > now_us:
        return first, following
    latest = moments.last_until(now_us)
    assert latest is not None
    return latest, moments.next_after(latest)


def decide_ready(machine: Machine, run: Run) -> list[Event]:
    """A run that waited (for its turn, its callable or its retry) starts its attempt."""
    return [RunStarted(run.timer.name, run.id, run.attempt, machine.now.wall_us)]
