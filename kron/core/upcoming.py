"""What has come up in the agenda is decided and folded: a timer, or a run that waited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .agenda import LOOK_AGAIN_US
from .conflict import stop_holder
from .decide_due import decide_due, decide_ready
from .decide_finish import decide_no_room
from .decide_next import decide_timer
from .decide_pause import pause_ended_us
from .events import Event, RunCancelled, RunDue, RunStarted
from .model import ELAPSED_KINDS, RunState
from .notes import note_resumed
from .things import Run, Timer
from .timing import look_us

if TYPE_CHECKING:
    from .machine import Machine


def look_at(machine: Machine, owner: Any) -> None:
    """An owner's deadline has come: decide, or put it back if the wall clock is not there."""
    if isinstance(owner, Run):
        _look_at_run(machine, owner)
        return
    if machine.capacity.is_used and owner.open and _is_first_late(machine, owner):
        return
    ended_us = None
    if owner.paused is None and not owner.past.backfills:  # as nearly always
        events = decide_due(machine, owner) if _is_here(machine, owner) else []
    else:
        ended_us = pause_ended_us(machine, owner) if owner.paused is not None else None
        events = decide_timer(machine, owner)
    if not events:
        is_paused = owner.paused is not None  # and the wall does not quite show its end yet
        early_us = 0 if is_paused else (look_us(owner, 0) or 0) - machine.now.wall_us
        machine.agenda.deadlines.arm(owner, machine.steady_us + max(early_us, LOOK_AGAIN_US))
        return
    machine.fold(events, len(owner.name))
    if ended_us is not None:
        note_resumed(machine, owner, ended_us)
    machine.agenda.arm_timer(owner)
    is_timed = owner.definition.terms.timeout_us is not None or owner.is_threaded
    if is_timed or len(events) != 2 or type(events[1]) is not RunStarted:
        _look_after(machine, owner, events)


def _is_here(machine: Machine, timer: Timer) -> bool:
    """Whether the clock that the timer follows shows the time that it waits for."""
    is_elapsed = timer.definition.kind in ELAPSED_KINDS
    return is_elapsed or (look_us(timer, 0) or 0) <= machine.now.wall_us


def _look_after(machine: Machine, timer: Timer, events: list[Event]) -> None:
    """What has come of a timer, where it is more than one run that has started. What is to line
    up does so at once: others that are due now look for who has the key, or waits for it."""
    count = sum(isinstance(event, RunDue) for event in events)
    ids = dict.fromkeys((*timer.open[:1], *timer.open[len(timer.open) - count :]))
    machine.agenda.arm_runs(tuple(ids))
    for id_ in ids if machine.capacity.is_used else ():
        run = machine.state.runs[id_]
        is_new = run.state is RunState.DUE and not machine.capacity.is_waiting(run)
        if is_new and machine.agenda.is_ready(run):
            _look_at_run(machine, run)
    for event in events:
        if isinstance(event, RunStarted):
            _has_started(machine, machine.state.runs[event.run])
        elif isinstance(event, RunCancelled) and (gone := machine.state.run_of_step(event.run)):
            machine.agenda.arm(gone)


def _is_first_late(machine: Machine, timer: Timer) -> bool:
    """True if the grace of the timer's first run ends by now: then that comes before the next
    moment, for which the run may be in the way."""
    first = machine.state.runs[timer.open[0]]
    is_late = first.deadline_us is not None and first.deadline_us <= machine.steady_us
    if not is_late or not machine.capacity.is_waiting(first):
        return False
    machine.agenda.deadlines.arm(first, None)
    _look_at_run(machine, first)
    machine.agenda.arm_timer(timer)
    return True


def _look_at_run(machine: Machine, run: Run) -> None:
    """A waiting run is ready: it starts, lines up, or has waited for too long."""
    if machine.capacity.starts_at_once(run.timer):
        _start(machine, run)
        return
    grace_us, is_new = machine.agenda.grace_end_us(run), not machine.capacity.is_waiting(run)
    if not is_new and grace_us is not None and grace_us <= machine.now.wall_us:
        machine.fold(decide_no_room(machine, run))
        machine.let_in |= {run.timer.id}
        machine.agenda.arm(run.timer)
        return
    machine.capacity.line_up(run, machine.agenda.ready_us(run), machine.steady_us)
    if is_new:
        machine.fold(stop_holder(machine, run))
    machine.agenda.arm(run)
    if run.deadline_us is not None and run.deadline_us <= machine.steady_us:
        # The wall clock is not quite there: it may be behind elapsed time by a little.
        machine.agenda.deadlines.arm(run, machine.steady_us + LOOK_AGAIN_US)


def start_next(machine: Machine) -> bool:
    """Whoever is first in the line and finds room starts; False: nothing more is to be done."""
    capacity, stopped = machine.capacity, list[Event]()
    run = capacity.admit(machine.agenda.is_ready)
    while capacity.parked:  # the key was free, or somebody else's, when they lined up
        events = stop_holder(machine, capacity.parked.pop())
        machine.fold(events)
        stopped += events
    if run is not None:
        _start(machine, run)
    return run is not None or bool(stopped)


def _start(machine: Machine, run: Run) -> None:
    """The run's attempt begins."""
    machine.fold(decide_ready(machine, run), len(run.timer.name))
    machine.agenda.deadlines.arm(run, None)  # the end of its grace
    _has_started(machine, run)


def _has_started(machine: Machine, run: Run) -> None:
    if not run.timer.begins_later:
        machine.agenda.watch(run, (run.started_us or 0) - machine.state.shift_us)
    if run.timer.is_threaded:
        machine.capacity.take_thread()
