"""A backfill: one run after the other for the moments of the past, while the schedule goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .backfill import check_concurrency, span_of
from .commands import Backfill
from .events import BackfillEnded, BackfillStarted, Event, RunDue
from .model import Cause
from .things import Timer

if TYPE_CHECKING:
    from .decide import Decision
    from .machine import Machine


def decide_backfill(machine: Machine, command: Backfill) -> Decision:
    """It begins, unless nothing is to be run. Its runs are made as the ones before them end."""
    state, timer = machine.state, machine.timer(command.name)
    check_concurrency(timer, command.concurrency)
    asked = (command.since_us, min(command.until_us, machine.now.wall_us))
    span = span_of(state, timer, *asked, is_forced=command.is_forced)
    first, moments = span.next_to_run(span.since_us - 1), span.left()
    done = span.total() - moments
    if first is None:
        return [], (0, done), ()
    started = BackfillStarted(
        timer.name,
        machine.now.wall_us,
        *asked,
        state.to_wall(timer, first),
        moments,
        command.concurrency,
        command.is_forced,
        command.cmd_id,
        done,
    )
    return [started], (moments, done), ()


def decide_backfill_on(machine: Machine, timer: Timer) -> list[Event]:
    """The next run of the timer's first backfill, or its end."""
    state, at_us = machine.state, machine.now.wall_us
    backfill = timer.past.backfills[0]
    if backfill.next_us is None:
        return [BackfillEnded(timer.name, at_us)]
    asked = (state.to_wall(timer, us) for us in (backfill.since_us, backfill.until_us))
    span = span_of(state, timer, *asked, is_forced=backfill.is_forced)
    # What was begun after this one was asked for may have come to its moments first.
    moment = span.next_to_run(backfill.next_us - 1)
    if moment is None:
        return [BackfillEnded(timer.name, at_us)]
    following = span.next_to_run(moment)
    next_us = None if following is None else state.to_wall(timer, following)
    scheduled_us = state.to_wall(timer, moment)
    return [RunDue(timer.name, scheduled_us, at_us, next_us, Cause.BACKFILL)]
