"""The clocks and the calendar: steps of the wall clock, and rules of time zones that change.

A step of the wall clock forward passes moments over, which is like any other delay. One backward
repeats nothing: a timer's next moment stays where it is, and the wall clock comes to it again. But
if the clock is set back by hours it was wrong before: a new *era* begins, and the timers of the
calendar go on from now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from .commands import Recompute
from .dst import zone
from .errors import ScheduleError
from .events import ClockStep, TimerMoved
from .model import CALENDAR_KINDS, ZONED_KINDS, Cause, Definition, Overlap, Reason
from .moments import SECOND
from .state import State
from .things import Timer
from .timing import UNKNOWN_AFTER_US, course_of, moments_of

if TYPE_CHECKING:
    from .decide import Decision
    from .machine import Machine

STEP_US = 100_000
"""Wall and elapsed time may differ by this much before it counts as a clock step."""
REBASE_US = 3 * 3_600_000_000
"""A larger step backward begins a new era (as in Vixie cron)."""
ZONE = "zone"
"""Why a timer moved: the rules of its time zone have changed."""
_AT_ONCE = 250


def decide_clock_step(machine: Machine) -> list[ClockStep]:
    """CLOCK_STEP if the wall clock has moved against elapsed time since the last look."""
    now, state = machine.now, machine.state
    delta_us = now.wall_us - state.shift_us - machine.steady_us
    if abs(delta_us) < STEP_US:
        return []
    return [ClockStep(now.wall_us, delta_us, delta_us < -REBASE_US)]


def recomputations(machine: Machine, *, is_new_era: bool = True) -> Iterator[Recompute]:
    """Commands for all timers that may have another next moment now: in a new era those of the
    calendar, else (at a start) those in a time zone, whose rules may have changed. A process may
    have died in the middle of a new era's, so once there was one a start looks at all."""
    is_any = is_new_era or bool(machine.state.eras)
    concerned = {
        id(definition)
        for definition in _definitions(machine.state)
        if definition.kind in (CALENDAR_KINDS if is_any else ZONED_KINDS)
        and (is_any or definition.terms.timezone != "UTC")
    }
    timers = machine.state.timers.values() if concerned else ()
    names = (timer.name for timer in timers if id(timer.definition) in concerned)
    reason = Reason.CLOCK_STEP.value if is_new_era else ZONE
    # By the new rules a moment may have passed since the latest record: it is due.
    after_us = machine.now.wall_us if is_new_era else machine.state.high_us
    while part := tuple(islice(names, _AT_ONCE)):
        yield Recompute(part, after_us, reason)


def decide_recompute(machine: Machine, command: Recompute) -> Decision:
    """TIMER_MOVED for each timer whose next moment is another one."""
    events = []
    for name in command.names:
        timer = machine.state.timers.get(name)
        moment_us = None if timer is None else _other_moment(machine, timer, command.after_us)
        if moment_us is not None:
            events.append(TimerMoved(name, machine.now.wall_us, moment_us, command.reason))
    return events, None, ()


def _other_moment(machine: Machine, timer: Timer, after_us: int) -> int | None:
    """The moment that the timer should wait for instead of its next one, or None. One that has
    come stays, and so does one that the end of a run decides. If there was none left, because
    the bounds were over, they may not be by a clock that was set back."""
    next_us, moments = timer.next_us, moments_of(timer)
    if next_us is None:
        is_over = machine.state.eras and not _waits_for_a_run(machine.state, timer)
        first_us = moments.next_after(after_us) if is_over else None
        is_behind = first_us is None or course_of(timer, 0).is_over(first_us)
        return None if is_behind else first_us
    if next_us % SECOND == UNKNOWN_AFTER_US:  # what follows a moment was not known here
        return moments.next_after(next_us - 1)
    moment_us = moments.next_after(after_us)
    return None if next_us <= after_us or moment_us == next_us else moment_us


def _waits_for_a_run(state: State, timer: Timer) -> bool:
    """True if the end of an open run says what the next moment is."""
    is_delayed = timer.definition.terms.overlap is Overlap.DELAY
    return is_delayed and any(state.runs[id_].cause == Cause.SCHEDULE for id_ in timer.open)


def unknown_zones(state: State) -> list[str]:
    """The time zones of timers that this machine does not know."""
    used = {each.terms.timezone for each in _definitions(state) if each.needs_zone}
    return sorted(name for name in used if not _is_known(name))


def see_zones(state: State) -> None:
    """For who reads a log that no process carries out: the zones that are unknown on this machine,
    as its start would find them."""
    if state.lives:
        latest = state.lives[-1]._replace(unknown=tuple(unknown_zones(state)))
        state.lives = (*state.lives[:-1], latest)


def _definitions(state: State) -> Iterable[Definition]:
    """Those of all timers; equal ones are mostly one object, which comes once."""
    return {id(timer.definition): timer.definition for timer in state.timers.values()}.values()


def _is_known(name: str) -> bool:
    try:
        zone(name)
    except ScheduleError:
        return False
    return True
