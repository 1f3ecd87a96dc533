"""What a command and its events change in this process alone: nothing of it is in the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import commands as c
from .events import Event, TimerResumed
from .model import RunState
from .seen import Instant
from .things import Timer

if TYPE_CHECKING:
    from .machine import Machine


def _start(machine: Machine, command: c.Start, events: list[Event]) -> None:
    machine.begin_life(command.max_concurrency)


def _drain(machine: Machine, command: c.Drain, events: list[Event]) -> None:
    machine.keep("draining_us")
    machine.draining_us = machine.draining_us or machine.now.wall_us


def _schedule(machine: Machine, command: c.Schedule, events: list[Event]) -> None:
    """A registration says that the callable is here: an orphan may fire again."""
    machine.weigh(command.size_bytes)
    timer = machine.state.timers.get(command.name)
    if timer is None or not machine.is_live:
        return
    # Without a timeout nothing hangs on when a thread really begins: such runs queue for one, as
    # short ones do by the thousand.
    timer.begins_later = command.begins_later
    timer.is_threaded = command.is_threaded and timer.definition.terms.timeout_us is not None
    if timer.bound_us is None:
        anchor_us = machine.state.to_wall(timer, timer.anchor_us)
        is_of_now = timer.definition.is_elapsed and anchor_us == command.called_us
        timer.bound_us = timer.anchor_us if is_of_now else machine.steady_us
        machine.state.on_undo(lambda: _unbind(timer))
        machine.agenda.arm(timer)
    if timer.open:
        machine.state.on_undo(lambda: timer)
    for id_ in timer.open:  # with another priority or key they line up anew
        machine.capacity.leave(id_)
    machine.agenda.arm_runs(timer.open)
    if timer.definition.terms.lock_key:
        machine.capacity.count_keys(timer, machine.lingering)


def _resume(machine: Machine, command: c.Resume, events: list[Event]) -> None:
    if events and isinstance(events[-1], TimerResumed):
        timer = machine.state.timers[command.name]
        note_resumed(machine, timer, machine.own_now(timer))


def note_resumed(machine: Machine, timer: Timer, ended_us: int) -> None:
    """A one-shot that fell due in the pause, which ended at `ended_us` (on the timer's own clock),
    runs now; it says what kept it."""
    if timer.next_us is not None and timer.definition.is_one_shot:
        steady_us = ended_us - (0 if timer.definition.is_elapsed else machine.state.shift_us)
        here = Instant(steady_us + machine.state.shift_us, steady_us)
        machine.seen = machine.seen.with_pause(timer.id, here)


def _finish(machine: Machine, command: c.FinishRun, events: list[Event]) -> None:
    if command.error:  # JSON may escape each character by six bytes, in two events
        machine.weigh(12 * len(command.error))
    run = machine.lingering.get((command.run, command.attempt))
    if run is not None:
        timer = run.timer
        machine.keep("lingering")
        machine.lingering = {**machine.lingering}
        del machine.lingering[command.run, command.attempt]
        machine.let_in |= {timer.id}
        _let_linger(machine, timer)
        machine.capacity.give_back(command.run, command.attempt)
        machine.agenda.arm(timer)
        machine.agenda.arm_runs(timer.open)


def _began(machine: Machine, command: c.Began, events: list[Event]) -> None:
    run = machine.state.runs.get(command.run)
    is_current = run is not None and run.attempt == command.attempt
    if run is not None and is_current and run.state is RunState.RUNNING:
        machine.agenda.watch(run, machine.steady_us)


def _linger(machine: Machine, command: c.Linger, events: list[Event]) -> None:
    """The attempt has failed, and goes on: it keeps its place until its FinishRun comes."""
    run = machine.state.run_of_step(command.run)
    if run is None or not events:  # its end was in the inbox before it
        return
    machine.keep("lingering")
    machine.lingering = {**machine.lingering, (command.run, command.attempt): run}
    _let_linger(machine, run.timer)
    machine.capacity.hold_on(command.run, command.attempt)
    machine.agenda.arm(run.timer)
    machine.agenda.arm_runs(run.timer.open)


def _let_linger(machine: Machine, timer: Timer) -> None:
    before = timer.lingers
    runs = machine.lingering.items()
    timer.lingers = tuple(id_ for (id_, _), run in runs if run.timer is timer)
    machine.state.on_undo(lambda: _linger_as(timer, before))


def _linger_as(timer: Timer, lingers: tuple[int, ...]) -> Timer:
    timer.lingers = lingers
    return timer


def _unbind(timer: Timer) -> Timer:
    timer.bound_us = None
    return timer


NOTES: dict[type[c.Command], Callable[[Machine, Any, list[Any]], None]] = {
    c.Start: _start,
    c.Drain: _drain,
    c.Schedule: _schedule,
    c.Resume: _resume,
    c.FinishRun: _finish,
    c.Linger: _linger,
    c.Began: _began,
}
