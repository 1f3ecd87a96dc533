"""Timers pause and go on: by hand, or when the time that was given is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .commands import Pause, PauseMany, Resume, ResumeMany
from .events import Event, TimerPaused, TimerResumed
from .model import Reason
from .things import Timer
from .timing import is_invalid, passed, passed_until_now

if TYPE_CHECKING:
    from .decide import Decision
    from .machine import Machine

BY_ITSELF = "until"


def decide_pause(machine: Machine, command: Pause) -> Decision:
    """No moment of a paused timer runs; runs that are open go on to their end. Of the moments that
    are overdue already (an orphan's, for instance) it is said now why they did not run. A timer
    that is paused gets the new end and reason, if some are given."""
    timer = machine.timer(command.name)
    if not _is_told(timer, command):
        return [], False, ()
    paused = _paused(machine, command)
    first = timer.next_us
    is_waiting = timer.definition.is_single or is_invalid(machine.state, timer.definition)
    if first is None or is_waiting or timer.paused is not None:
        return [paused], True, ()
    overdue, following = passed_until_now(machine, timer, first, None)
    if overdue and following is not None:
        following = machine.state.to_wall(timer, following)
    says = [each._replace(next_us=following) for each in overdue[-1:]]
    return [*overdue[:-1], *says, paused], True, ()


def _is_told(timer: Timer, command: Pause | PauseMany) -> bool:
    """False for a command that says nothing new."""
    has_end = command.for_us is not None or command.until_us is not None
    return timer.paused is None or has_end or bool(command.reason)


def _paused(machine: Machine, command: Pause) -> TimerPaused:
    at_us, until_us = machine.now.wall_us, command.until_us
    is_elapsed = command.for_us is not None
    if command.for_us is not None:
        until_us = at_us + command.for_us
    said = (command.reason, command.who)
    return TimerPaused(command.name, at_us, command.cmd_id, until_us, is_elapsed, *said)


def decide_pause_many(machine: Machine, command: PauseMany) -> Decision:
    """One after the other, in as many records as it takes."""
    timers = machine.state.timers
    names = [name for name in command.names if name in timers and _is_told(timers[name], command)]
    follow = (Pause(name, *command[1:5], command.cmd_id) for name in names)
    return [], len(names), tuple(follow)


def decide_resume(machine: Machine, command: Resume) -> Decision:
    """The moments of the pause are RUN_MISSED(paused); a one-shot that fell due in it runs now."""
    timer = machine.timer(command.name)
    if timer.paused is None:
        return [], False, ()
    return _resumed(machine, timer, command.cmd_id, "", command.who), True, ()


def decide_resume_many(machine: Machine, command: ResumeMany) -> Decision:
    """One after the other, in as many records as it takes."""
    timers = machine.state.timers
    names = [name for name in command.names if name in timers and timers[name].paused is not None]
    follow = (Resume(name, command.who, command.cmd_id) for name in names)
    return [], len(names), tuple(follow)


def decide_pause_over(machine: Machine, timer: Timer) -> list[Event]:
    """The time of the pause is over."""
    return _resumed(machine, timer, "", BY_ITSELF, "")


def _resumed(machine: Machine, timer: Timer, cmd: str, reason: str, who: str) -> list[Event]:
    events, next_us = _after_pause(machine, timer, pause_ended_us(machine, timer))
    wall_us = None if next_us is None else machine.state.to_wall(timer, next_us)
    at_us = machine.now.wall_us
    return [*events, TimerResumed(timer.name, at_us, wall_us, cmd, reason, who)]


def pause_ended_us(machine: Machine, timer: Timer) -> int:
    """When the pause ends that is ended now, on the timer's own clock: now, or when its time was
    over (the process may not have been there)."""
    now_us = machine.own_now(timer)
    end_us = machine.agenda.pause_end_us(timer)
    if end_us is None or timer.paused is None:
        return now_us
    if not timer.definition.is_elapsed:
        return min(now_us, end_us + machine.state.shift_us)
    if timer.paused.is_elapsed:
        return min(now_us, end_us)
    stepped, wall_us = machine.seen.stepped, end_us + machine.state.shift_us
    is_stepped = stepped is not None and stepped.since.wall_us < wall_us <= stepped.until.wall_us
    if stepped is not None and is_stepped:  # the clock came to the end in one step: that is then
        end_us = max(end_us, stepped.until.steady_us)
    return min(now_us, end_us)


def _after_pause(machine: Machine, timer: Timer, end_us: int) -> tuple[list[Event], int | None]:
    first = timer.next_us
    is_waiting = timer.definition.is_one_shot or is_invalid(machine.state, timer.definition)
    if first is None or is_waiting or first > end_us:
        return [], first
    if timer.definition.is_single:
        interval_us = int(timer.definition.value)
        return [*passed(machine, timer, first, first, Reason.PAUSED)], end_us + interval_us
    events, following = passed_until_now(machine, timer, first, Reason.PAUSED, end_us)
    return [*events], following
