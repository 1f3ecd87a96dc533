"""A timer or a run has come up in the agenda: which of its decisions is it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .decide_backfill import decide_backfill_on
from .decide_due import decide_due
from .decide_pause import decide_pause_over
from .events import Event
from .things import Timer
from .timing import look_us

if TYPE_CHECKING:
    from .machine import Machine


def decide_timer(machine: Machine, timer: Timer) -> list[Event]:
    """The end of its pause, its moment, or the next of its backfill; nothing, if the wall clock is
    not there yet."""
    if timer.paused is not None:
        return decide_pause_over(machine, timer) if _is_pause_over(machine, timer) else []
    if _has_come(machine, timer):
        return decide_due(machine, timer)
    if machine.agenda.backfill_us(timer) is not None:
        return decide_backfill_on(machine, timer)
    return []


def _is_pause_over(machine: Machine, timer: Timer) -> bool:
    pause = timer.paused
    if pause is None or pause.until_us is None:
        return False
    return pause.until_us <= (machine.steady_us if pause.is_elapsed else machine.now.wall_us)


def _has_come(machine: Machine, timer: Timer) -> bool:
    deadline_us = machine.agenda.moment_us(timer)
    if deadline_us is None or deadline_us > machine.steady_us:
        return False
    return timer.definition.is_elapsed or (look_us(timer, 0) or 0) <= machine.now.wall_us
