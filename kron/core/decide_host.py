"""The life of the process itself: it starts, drains, stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .commands import Drain, Interrupt, Start, Stopped
from .decide_clock import REBASE_US, STEP_US, recomputations, unknown_zones
from .events import ClockStep, Event, SchedulerStarted, SchedulerStopped, TailCut

if TYPE_CHECKING:
    from .decide import Decision
    from .machine import Machine


def decide_start(machine: Machine, command: Start) -> Decision:
    """This process takes over: runs of a dead one are interrupted, then everything may fire."""
    at_us = machine.now.wall_us
    events: list[Event] = []
    if command.torn is not None:
        events.append(TailCut(at_us, *command.torn))
    behind_us = machine.state.seen_us - (at_us - machine.state.shift_us)
    is_new_era = behind_us > REBASE_US
    if behind_us >= STEP_US:
        # No clock chip, or a clock set back meanwhile: elapsed time goes on from the last event.
        events.append(ClockStep(at_us, -behind_us, is_new_era))
    unknown = " ".join(unknown_zones(machine.state))
    events.append(SchedulerStarted(at_us, command.boot, command.pid, command.version, unknown))
    left = (run.id for run in machine.state.runs.values() if run.is_under_way)
    interrupts = (Interrupt(run) for run in sorted(left))
    return events, True, (*recomputations(machine, is_new_era=is_new_era), *interrupts)


def decide_drain(machine: Machine, command: Drain) -> Decision:
    """From now on nothing is started."""
    return [], True, ()


def decide_stopped(machine: Machine, command: Stopped) -> Decision:
    """The last event of this process."""
    since_us = machine.draining_us or machine.now.wall_us
    return [SchedulerStopped(machine.now.wall_us, command.boot, since_us)], True, ()
