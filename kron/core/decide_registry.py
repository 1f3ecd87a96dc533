"""The registry: timers come, change, go, and are triggered by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .commands import CancelRun, Remove, Schedule, Trigger
from .conflict import in_the_way, stop_for_restart
from .decide_due import decide_overdue
from .events import (
    BackfillEnded,
    Event,
    RunDue,
    RunMissed,
    RunSkippedOverlap,
    TimerCreated,
    TimerRemoved,
    TimerUpdated,
)
from .model import CALENDAR_KINDS, Cause, Definition, Kind, Overlap, Reason, RunState, Stop
from .things import Timer
from .timing import (
    course_of,
    first_moment,
    first_without_outcome,
    has_been_away,
    is_invalid,
    moments_of,
    passed,
)
from .tombstones import tombstone_of

if TYPE_CHECKING:
    from .decide import Decision
    from .machine import Machine

WAITING = (RunState.DUE, RunState.RETRYING)


def decide_schedule(machine: Machine, command: Schedule) -> Decision:
    """An upsert: the same definition changes nothing, another one is an update."""
    timer = machine.state.timers.get(command.name)
    if timer is None and _is_over(machine, command):
        return [], "unchanged", ()
    if timer is None:
        return _create(machine, command), "created", ()
    if timer.definition == command.definition:
        return [], "unchanged", ()
    return _update(machine, command, timer), "updated", ()


def _is_over(machine: Machine, command: Schedule) -> bool:
    """An `after=` that has fired and was let go since."""
    tombstones, definition = machine.state.tombstones, command.definition
    if not tombstones or definition.kind is not Kind.AFTER:
        return False
    return tombstone_of(command.name, definition) in tombstones


def _create(machine: Machine, command: Schedule) -> list[Event]:
    name, definition, called_us = command.name, command.definition, command.called_us
    next_us = first_moment(definition, called_us)
    created = TimerCreated(
        name, definition, machine.now.wall_us, called_us, next_us, command.cmd_id
    )
    return [created, *_past(machine, command, next_us)]


def _update(machine: Machine, command: Schedule, timer: Timer) -> list[Event]:
    """Only another selector or zone moves the next moment. What has come by then is decided by the
    definition that was; the runs start by the new one."""
    name, definition, called_us = command.name, command.definition, command.called_us
    at_us, cmd_id = machine.now.wall_us, command.cmd_id
    if timer.definition.has_same_moments(definition):
        is_held = timer.next_us is None or _is_held_back(machine, timer)
        is_freed = is_held and definition.terms.overlap is not Overlap.DELAY
        first = first_without_outcome(machine.state, timer) if is_freed else None
        delayed = _given_up(machine, timer, first, Reason.DELAYED)
        kept = _kept(machine, timer, definition)
        return [*delayed, TimerUpdated(name, definition, at_us, *kept, cmd_id)]
    if definition.kind is Kind.AT and definition.value == timer.definition.value:
        # It fires once ever: as it is pending still, or not again.
        return [TimerUpdated(name, definition, at_us, called_us, timer.next_us, cmd_id)]
    decided, first = _decided(machine, timer)
    ran = [each.scheduled_us for each in decided if isinstance(each, RunDue | RunSkippedOverlap)]
    ended = [BackfillEnded(name, at_us, "changed") for _ in timer.past.backfills]
    from_us = called_us
    if definition.kind in CALENDAR_KINDS:  # no moment that has been comes again
        from_us = max(called_us, machine.state.high_us, *ran)
    next_us = first_moment(definition, from_us)
    return [
        *decided,
        *_given_up(machine, timer, first, Reason.CHANGED),
        *ended,
        TimerUpdated(name, definition, at_us, called_us, next_us, cmd_id),
        *_past(machine, command, next_us),
    ]


def _kept(machine: Machine, timer: Timer, definition: Definition) -> tuple[int, int | None]:
    """Anchor and next moment, in wall time, where both definitions name the same moments: as they
    are, but a timer that leaves `delay` no longer waits for its open run, and a fixed delay
    becomes a fixed rate from its pending moment, or from now."""
    to_wall, anchor_us, next_us = machine.state.to_wall, timer.anchor_us, timer.next_us
    if definition.terms.overlap is not Overlap.DELAY and not definition.is_one_shot:
        next_us = None if _is_held_back(machine, timer) else next_us
        if timer.definition.is_single:
            interval_us = int(definition.value)
            anchor_us = machine.steady_us if next_us is None else next_us - interval_us
            next_us = anchor_us + interval_us
        elif (first := first_without_outcome(machine.state, timer)) is not None:
            now_us = machine.own_now(timer)
            next_us = next_us or moments_of(timer).next_after(max(now_us, first - 1))
    return to_wall(timer, anchor_us), None if next_us is None else to_wall(timer, next_us)


def _past(machine: Machine, command: Schedule, next_us: int | None) -> list[Event]:
    if next_us is not None or command.definition.kind is not Kind.AT:
        return []
    at_us = int(command.definition.value)
    reason = Reason.PAST.value
    return [RunMissed(command.name, at_us, at_us, 1, reason, machine.now.wall_us)]


def _decided(machine: Machine, timer: Timer) -> tuple[list[Event], int | None]:
    """What is overdue when the timer gets other moments; the first one without an outcome.

    Nothing is, if it could not run now: of a one-shot there is one moment, and that is another one;
    in a pause, in a zone that is not known, and where nothing starts, nothing is done either. Nor
    is what has passed behind a run that is open still, unless nobody was there to see it pass.
    """
    state, definition = machine.state, timer.definition
    first = first_without_outcome(state, timer)
    is_stuck = timer.paused is not None or definition.is_one_shot or is_invalid(state, definition)
    if first is None or is_stuck or not machine.is_active:
        return [], first
    is_delayed = definition.terms.overlap is Overlap.DELAY and not definition.is_single
    is_behind = is_delayed and bool(timer.lingers or state.regular(timer))
    if is_behind and not has_been_away(machine, timer, first):
        return [], first
    return decide_overdue(machine, timer, first)


def _given_up(machine: Machine, timer: Timer, first: int | None, reason: Reason) -> list[RunMissed]:
    """The moments from `first` on that have passed without an outcome and now never run."""
    now_us = machine.own_now(timer)
    if first is None or first > now_us:
        return []
    last = first if timer.definition.is_single else moments_of(timer).last_until(now_us)
    return [*passed(machine, timer, first, max(first, last or first), reason)]


def _is_held_back(machine: Machine, timer: Timer) -> bool:
    """True if the pending moment has come and under `delay` waits for the end of an open run."""
    next_us, definition = timer.next_us, timer.definition
    if definition.terms.overlap is not Overlap.DELAY or definition.is_one_shot:
        return False
    if not machine.state.regular(timer):
        return False
    if next_us is None or next_us > machine.own_now(timer):
        return False
    return course_of(timer, machine.state.shift_us).left_out(next_us) is None


def decide_remove(machine: Machine, command: Remove) -> Decision:
    """The timer goes; waiting runs go first, running ones end by themselves."""
    timer = machine.timer(command.name)
    waiting = [id_ for id_ in timer.open if machine.state.runs[id_].state in WAITING]
    if waiting:
        return [], True, (*(CancelRun(run, Stop.REMOVED) for run in waiting), command)
    removed = TimerRemoved(timer.name, machine.now.wall_us, command.cmd_id)
    first = first_without_outcome(machine.state, timer)
    return [*_given_up(machine, timer, first, Reason.CHANGED), removed], True, ()


def decide_let_go(machine: Machine, timer: Timer) -> list[Event]:
    """A one-shot that ended long ago; its history stays."""
    return [TimerRemoved(timer.name, machine.now.wall_us, reason="finished")]


def decide_trigger(machine: Machine, command: Trigger) -> Decision:
    """A run besides the schedule, under the timer's overlap policy; it moves no moment."""
    timer = machine.timer(command.name)
    at_us, cmd_id = machine.now.wall_us, command.cmd_id
    by_run = in_the_way(machine, timer)
    if by_run is not None:
        skipped = RunSkippedOverlap(timer.name, at_us, at_us, None, by_run, Cause.MANUAL, cmd_id)
        return [skipped], None, ()
    stopped = stop_for_restart(machine, timer)
    run = machine.next_id(len(stopped))
    due = RunDue(timer.name, at_us, at_us, None, Cause.MANUAL, 0, cmd_id)
    return [*stopped, due], (run, at_us), ()
