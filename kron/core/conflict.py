"""What stands in the way of a new run of a timer, and what the overlap policy does about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .events import Event, RunStopping
from .model import Overlap, RunState, Stop
from .things import Run, Timer

if TYPE_CHECKING:
    from .machine import Machine

_SKIP, _RESTART = Overlap.SKIP, Overlap.RESTART


def in_the_way(machine: Machine, timer: Timer) -> int | None:
    """Under `skip`: the run because of which a new one is skipped. That is an open one of the
    timer (a backfill's does not count), an attempt that nothing could stop, or whoever has the
    timer's key."""
    if timer.definition.terms.overlap is not _SKIP:
        return None
    if timer.open and (regular := machine.state.regular(timer)):
        return regular[0]
    return timer.lingers[0] if timer.lingers else machine.capacity.holder(timer)


def stop_for_restart(machine: Machine, timer: Timer) -> list[Event]:
    """Under `restart`: the end of the timer's open runs, which a new one replaces. Those that wait
    are over at once, the others are asked to stop; the new one waits for that."""
    if timer.definition.terms.overlap is not _RESTART or not timer.open:
        return []
    runs = [machine.state.runs[id_] for id_ in machine.state.regular(timer)]
    return [event for run in runs for event in machine.stop_run(run, Stop.RESTART)]


def stop_holder(machine: Machine, run: Run) -> list[Event]:
    """Under `restart`: the end of the run that has had the key for longest, unless one is about to
    end already."""
    if run.timer.definition.terms.overlap is not _RESTART:
        return []
    runs = (machine.state.runs.get(id_) for id_ in machine.capacity.holders(run))
    holders = [each for each in runs if each is not None and each.is_under_way]
    if not holders or any(each.state is RunState.STOPPING for each in holders):
        return []
    first, at_us = holders[0], machine.now.wall_us
    return [RunStopping(first.timer.name, first.id, at_us, Stop.RESTART)]
