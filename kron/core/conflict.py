"""What stands in the way of a new run of a timer, and what the overlap policy does about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .events import Event, RunStopping
from .model import Cause, Overlap, RunState, Stop
from .things import Run, Timer

if TYPE_CHECKING:
    from .machine import Machine

_SKIP, _RESTART = Overlap.SKIP, Overlap.RESTART


def in_the_way(machine: Machine, timer: Timer, *, of_slot: bool = False) -> int | None:
    """Under `skip`: the run because of which a new one is skipped. That is an open one of the
    timer (a backfill's does not count, here and below), an attempt that nothing could stop, or
    whoever has the timer's key. Of a slot that is retried on it is not one that `gives_way`."""
    if timer.definition.terms.overlap is not _SKIP:
        return None
    regular = machine.state.regular(timer) if timer.open else ()
    if regular and not (of_slot and gives_way(machine, timer)):
        return regular[0]
    lingering = machine.lingering.values() if timer.lingers else ()
    ids = (run.id for run in lingering if run.timer is timer and run.cause != Cause.BACKFILL)
    other = next(ids, None) or machine.capacity.holder(timer)
    return regular[0] if regular and other is not None else other


def gives_way(machine: Machine, timer: Timer) -> bool:
    """True if the open runs of a timer that is retried on wait for a retry, and no more: the next
    slot begins anew with all its attempts. One that has not begun keeps its place in the line, and
    stands for the slot (`decide_finish`)."""
    if not timer.definition.gives_way:
        return False
    runs = machine.state.runs
    return all(runs[id_].state is RunState.RETRYING for id_ in machine.state.regular(timer))


def stop_for_restart(machine: Machine, timer: Timer) -> list[Event]:
    """Under `restart`: the end of the timer's open runs, which a new one replaces. Those that wait
    are over at once, the others are asked to stop; the new one waits for that. A run that
    `gives_way` is replaced, too."""
    if not timer.open:
        return []
    if timer.definition.terms.overlap is not _RESTART and not gives_way(machine, timer):
        return []
    runs = [machine.state.runs[id_] for id_ in machine.state.regular(timer)]
    return [event for run in runs for event in machine.stop_run(run, Stop.RESTART)]


def stop_holder(machine: Machine, run: Run) -> list[Event]:
    """Under `restart`: the end of the run that has had the key for longest, unless as many are
    about to end already as wait to take their places."""
    if run.timer.definition.terms.overlap is not _RESTART:
        return []
    runs = (machine.state.runs.get(id_) for id_ in machine.capacity.holders(run))
    holders = [each for each in runs if each is not None and each.is_under_way]
    going_on = [each for each in holders if each.state is RunState.RUNNING]
    waiting = machine.capacity.restarts_waiting(run.timer.definition.terms.lock_key)
    if not going_on or len(holders) - len(going_on) >= waiting:
        return []
    first, at_us = going_on[0], machine.now.wall_us
    return [RunStopping(first.timer.name, first.id, at_us, Stop.RESTART)]
