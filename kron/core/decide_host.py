"""The life of the process itself: it starts, drains, stops, and notices clock steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .commands import Drain, Interrupt, Start, Stopped
from .events import ClockStep, Event, SchedulerStarted, SchedulerStopped, TailCut

if TYPE_CHECKING:
    from .machine import Decision, Machine

STEP_US = 100_000
"""Wall and elapsed time may differ by this much before it counts as a clock step."""


def decide_start(machine: Machine, command: Start) -> Decision:
    """This process takes over: runs of a dead one are interrupted, then everything may fire."""
    at_us = machine.now.wall_us
    events: list[Event] = []
    if command.torn is not None:
        events.append(TailCut(at_us, *command.torn))
    behind_us = machine.state.last_us - at_us
    if behind_us >= STEP_US:
        # No clock chip, or a clock set back meanwhile: elapsed time goes on from the last event.
        events.append(ClockStep(at_us, -behind_us))
    events.append(SchedulerStarted(at_us, command.boot, command.pid, command.version))
    left = (run.id for run in machine.state.runs.values() if run.is_under_way)
    return events, True, tuple(Interrupt(run) for run in sorted(left))


def decide_drain(machine: Machine, command: Drain) -> Decision:
    """From now on nothing is started."""
    return [], True, ()


def decide_stopped(machine: Machine, command: Stopped) -> Decision:
    """The last event of this process."""
    since_us = machine.draining_us or machine.now.wall_us
    return [SchedulerStopped(machine.now.wall_us, command.boot, since_us)], True, ()


def decide_clock_step(machine: Machine) -> list[Event]:
    """CLOCK_STEP if the wall clock has moved against elapsed time since the last look."""
    now, state = machine.now, machine.state
    delta_us = now.wall_us - state.shift_us - machine.steady_us
    return [] if abs(delta_us) < STEP_US else [ClockStep(now.wall_us, delta_us)]
