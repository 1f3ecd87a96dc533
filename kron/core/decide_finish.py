"""How a run ends: the outcome of an attempt, its retry, and the timer's next moment."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from .cadence import window_end_us, window_us
from .commands import (
    AbandonRuns,
    Began,
    Cancel,
    CancelRun,
    FinishRun,
    Interrupt,
    Linger,
    Outcome,
    StopRuns,
)
from .duration import format_duration
from .events import (
    UNSAID,
    BackfillEnded,
    Event,
    RunCancelled,
    RunDead,
    RunFailed,
    RunMissed,
    RunRetrying,
    RunStopping,
    RunSucceeded,
)
from .model import ONE_SHOT_KINDS, Cause, Definition, Kind, Overlap, Reason, RunState, Stop
from .things import Run
from .timing import (
    UNKNOWN_AFTER_US,
    has_been_away,
    is_invalid,
    moments_of,
    passed_until_now,
)

if TYPE_CHECKING:
    from .decide import Decision
    from .machine import Machine

HOUR_US = 3_600_000_000
_DELAY, _EVERY = Overlap.DELAY, Kind.EVERY
_SUCCEEDED, _TIMEOUT = Outcome.SUCCEEDED, Stop.TIMEOUT
_SCHEDULE, _BACKFILL = Cause.SCHEDULE, Cause.BACKFILL


def decide_finish(machine: Machine, command: FinishRun) -> Decision:
    """An executor's word about an attempt; anything but the current attempt has no effect."""
    run = machine.state.runs.get(command.run)
    if run is None or run.attempt != command.attempt or not run.is_under_way:
        return _let_in(machine, command), False, ()
    is_in_time = run.stop_reason != _TIMEOUT or _was_in_time(run, command)
    if command.outcome is _SUCCEEDED and is_in_time:
        return _succeeded(machine, run, command.took_us), True, ()
    if run.state is RunState.STOPPING and not (is_in_time and run.stop_reason == _TIMEOUT):
        is_word = command.outcome is Outcome.FAILED
        return _stopped(machine, run, command.took_us, command.error if is_word else ""), True, ()
    error = command.error or "CancelledError: the callback was cancelled by somebody else"
    failed = _failed(machine, run, command.took_us, error, exit_code=command.exit_code)
    return failed, True, ()


def _was_in_time(run: Run, command: FinishRun) -> bool:
    """True if an attempt was over by itself when its time was up: a command has ended, say, and
    somebody it has started still prints."""
    is_own = command.outcome is not Outcome.CANCELLED
    return is_own and run.began_us + command.took_us < run.until_us


def decide_began(machine: Machine, command: Began) -> Decision:
    """Nothing of it is in the log; see notes.py."""
    return [], True, ()


def decide_linger(machine: Machine, command: Linger) -> Decision:
    """An attempt whose time is up cannot be stopped: it has failed now, and keeps its place."""
    run = machine.state.runs.get(command.run)
    if run is None or run.attempt != command.attempt or run.state is not RunState.STOPPING:
        return [], False, ()
    if run.stop_reason != Stop.TIMEOUT:
        return [], False, ()
    return _stopped(machine, run, machine.took_us(run)), True, ()


def _let_in(machine: Machine, command: FinishRun) -> list[RunMissed]:
    """An attempt that had failed long ago has ended at last: what `delay` held back meanwhile."""
    run = machine.lingering.get((command.run, command.attempt))
    if run is None:
        return []
    timer = run.timer
    if timer.is_removed or timer.next_us is None or timer.definition.is_single:
        return []
    if timer.definition.terms.overlap is not _DELAY or machine.state.regular(timer):
        return []
    first = timer.next_us
    if is_invalid(machine.state, timer.definition) or has_been_away(machine, timer, first):
        return []
    passed, following = passed_until_now(machine, timer, first, Reason.DELAYED)
    next_us = None if following is None else machine.state.to_wall(timer, following)
    return [*passed[:-1], *(each._replace(next_us=next_us) for each in passed[-1:])]


def decide_timeout(machine: Machine, run: Run) -> list[Event]:
    """The time of an attempt is up."""
    return [RunStopping(run.timer.name, run.id, machine.now.wall_us, Stop.TIMEOUT)]


def decide_no_room(machine: Machine, run: Run) -> list[Event]:
    """The grace of a run has gone by while it waited for room."""
    missed, next_us = _close(machine, run)
    moment_us, says = run.scheduled_us, UNSAID if next_us is None else next_us
    values = (moment_us, moment_us, 1, Reason.CAPACITY.value, machine.now.wall_us, says, run.id)
    return [RunMissed(run.timer.name, *values), *missed]


def decide_interrupt(machine: Machine, command: Interrupt) -> Decision:
    """Nobody will answer for this attempt: it is to run again, or the run is dead."""
    run = machine.state.runs.get(command.run)
    if run is None or not run.is_under_way:
        return [], False, ()
    took_us = machine.took_us(run)
    if run.state is RunState.STOPPING:
        return _stopped(machine, run, took_us), True, ()
    error = "the process ended while this run was in progress"
    return _failed(machine, run, took_us, error, Stop.CRASHED), True, ()


def decide_cancel(machine: Machine, command: Cancel) -> Decision:
    """Stop all open runs of a timer, and what it is backfilled with."""
    timer = machine.timer(command.name)
    follow = tuple(CancelRun(run, Stop.CANCEL, command.cmd_id) for run in timer.open)
    at_us = machine.now.wall_us
    ended = [BackfillEnded(timer.name, at_us, "cancelled") for _ in timer.past.backfills]
    return ended, len(follow) + len(ended), follow


def decide_cancel_run(machine: Machine, command: CancelRun) -> Decision:
    """A waiting run is over at once; a running one is asked to stop and keeps its place."""
    run = machine.state.runs.get(command.run)
    if run is None:
        return [], 0, ()
    return stop_run(machine, run, command.reason, command.cmd_id), 1, ()


def stop_run(machine: Machine, run: Run, reason: Stop, cmd: str = "") -> list[Event]:
    """An open run is to end for good (or, for a shutdown, for now): a waiting one is over at once,
    one that is under way is asked to stop. A stop that would bring it back is no obstacle."""
    name, at_us = run.timer.name, machine.now.wall_us
    comes_back = run.stop_reason in (Stop.SHUTDOWN, Stop.TIMEOUT) and reason != Stop.SHUTDOWN
    if run.state is RunState.STOPPING and machine.is_live and not comes_back:
        return []
    if run.is_under_way and machine.is_live:
        return [RunStopping(name, run.id, at_us, reason, cmd)]
    return _cancelled(machine, run, reason, cmd)


def decide_stop_runs(machine: Machine, command: StopRuns) -> Decision:
    """Shutdown: every running run is asked to stop."""
    running = [run.id for run in machine.state.runs.values() if run.state is RunState.RUNNING]
    return [], len(running), tuple(CancelRun(run, Stop.SHUTDOWN) for run in sorted(running))


def decide_abandon(machine: Machine, command: AbandonRuns) -> Decision:
    """Shutdown: whatever still runs is let go."""
    left = [run.id for run in machine.state.runs.values() if run.is_under_way]
    return [], len(left), tuple(Interrupt(run) for run in sorted(left))


def _succeeded(machine: Machine, run: Run, took_us: int) -> list[Event]:
    missed, next_us = _close(machine, run)
    at_us, started_us = machine.now.wall_us, run.started_us or 0
    timer = run.timer.name
    cause = "" if run.cause == _SCHEDULE else run.cause
    end = (at_us, run.scheduled_us, started_us, took_us, next_us, cause)
    return [RunSucceeded(timer, run.id, run.attempt, *end), *missed]


def _failed(
    machine: Machine,
    run: Run,
    took_us: int,
    error: str,
    reason: str = "",
    exit_code: int | None = None,
) -> list[Event]:
    failed = _failure(machine, run, took_us, error, reason)._replace(exit_code=exit_code)
    timer, at_us = run.timer, machine.now.wall_us
    retry_us = _retry_us(machine, run, is_crashed=reason == Stop.CRASHED)
    if retry_us is not None:
        return [failed, RunRetrying(timer.name, run.id, run.attempt + 1, retry_us)]
    missed, next_us = _close(machine, run)
    said = (error, next_us, failed.cause, exit_code, reason)
    end = (at_us, run.scheduled_us, failed.started_us, *said)
    return [failed, RunDead(timer.name, run.id, run.attempt, *end), *missed]


def _retry_us(machine: Machine, run: Run, *, is_crashed: bool) -> int | None:
    """When the next attempt is due; None: the run has had all it gets.

    That is `max_attempts`; where it is retried on, the window of its slot may say otherwise. What a
    crashed attempt has done nobody knows: it is made up for at once, or with a wait if
    `max_attempts` are used up, and counts by its begin.
    """
    timer, now_us = run.timer, machine.now.wall_us
    definition = timer.definition
    if timer.is_removed:
        return None
    at_us = now_us + retry_delay_us(definition, timer.name, run)
    is_left = run.attempt < definition.terms.max_attempts
    begins_us = (run.started_us or now_us) if is_crashed else at_us
    if not (_goes_on(run, begins_us, is_left) if definition.is_retried_on else is_left):
        return None
    return now_us if is_crashed and is_left else at_us


def _goes_on(run: Run, begins_us: int, is_left: bool) -> bool:
    """Where it is retried on: whether a run has another attempt, which begins then. It has in the
    window of its slot: the latest that was skipped because of it, else its own. Behind that, one
    that was due in its window has none, and others (late ones, or asked for by hand or for the
    past) have what `is_left` of `max_attempts`."""
    value, is_regular = str(run.timer.definition.value), run.cause == _SCHEDULE
    slot_us = run.scheduled_us if is_regular and run.skipped_us is None else run.skipped_us
    if slot_us is not None and begins_us < window_end_us(value, slot_us):
        return True
    is_late = is_regular and run.due_us >= window_end_us(value, run.scheduled_us)
    return is_left and (is_late or not is_regular)


def _stopped(machine: Machine, run: Run, took_us: int, error: str = "") -> list[Event]:
    """A run that was asked to stop has stopped. A shutdown does not use up an attempt."""
    if run.stop_reason == Stop.TIMEOUT:
        error = f"timed out after {format_duration(run.until_us - run.began_us)}"
        return _failed(machine, run, took_us, error, Stop.TIMEOUT)
    if run.stop_reason != Stop.SHUTDOWN or run.timer.is_removed:
        return _cancelled(machine, run, run.stop_reason)
    at_us = machine.now.wall_us
    error = error or "the scheduler was shut down"
    failed = _failure(machine, run, took_us, error, Stop.SHUTDOWN)
    return [failed, RunRetrying(run.timer.name, run.id, run.attempt, at_us)]


def _failure(machine: Machine, run: Run, took_us: int, error: str, reason: str) -> RunFailed:
    at_us, started_us = machine.now.wall_us, run.started_us or 0
    return RunFailed(
        run.timer.name,
        run.id,
        run.attempt,
        at_us,
        run.scheduled_us,
        started_us,
        took_us,
        error,
        str(reason),
        cause="" if run.cause == _SCHEDULE else run.cause,
    )


def _cancelled(machine: Machine, run: Run, reason: str, cmd: str = "") -> list[Event]:
    missed, next_us = _close(machine, run)
    return [
        RunCancelled(
            run.timer.name,
            run.id,
            run.attempt,
            machine.now.wall_us,
            run.scheduled_us,
            run.started_us,
            str(reason),
            next_us,
            cmd,
            "" if run.cause == _SCHEDULE else run.cause,
        ),
        *missed,
    ]


def _close(machine: Machine, run: Run) -> tuple[tuple[RunMissed, ...], int | None]:
    """The next moment that this end decides (wall time; None: it decides none), and the moments
    that passed meanwhile.

    Only `overlap="delay"` leaves the next moment to the end of the run: `every=` counts its
    interval from there, cron takes the first moment after it.
    """
    timer = run.timer
    definition = timer.definition
    if definition.kind in ONE_SHOT_KINDS or timer.is_removed or run.cause == _BACKFILL:
        return (), None
    is_pending = timer.next_us is not None
    if definition.terms.overlap is not _DELAY or (is_pending and definition.kind is _EVERY):
        return (), None
    if not is_pending and run.cause != Cause.SCHEDULE:
        return (), None
    state, now_us = machine.state, machine.own_now(timer)
    if definition.kind is _EVERY:
        return (), state.to_wall(timer, now_us + int(definition.value))
    if is_invalid(state, definition):  # see UNKNOWN_AFTER_US
        return (), timer.next_us if is_pending else run.scheduled_us + UNKNOWN_AFTER_US
    after_us = state.moment_of(run)
    first = timer.next_us if is_pending else moments_of(timer).next_after(after_us)
    if first is not None and has_been_away(machine, timer, first):
        return (), first  # some passed while nothing could fire: `missed` says what becomes of them
    events, following = passed_until_now(machine, timer, first, Reason.DELAYED)
    return tuple(events), following


def retry_delay_us(definition: Definition, timer: str, run: Run) -> int:
    """The wait before the next attempt: doubled each time, at most max(1 h, `retry_delay`), and
    spread by up to 10 % either way, the same for the same (timer, run, attempt) anywhere. Where it
    is retried on, a 24th of the window is the most: it is tried until close to the end."""
    base_us, most_us = definition.terms.retry_delay_us, HOUR_US
    if definition.is_retried_on:
        most_us = min(HOUR_US, window_us(str(definition.value)) // 24)
    doubled_us = base_us << min(run.attempt - 1, 40)
    wait_us = min(doubled_us, max(most_us, base_us))
    digest = blake2b(f"{timer}/{run.id}/{run.attempt}".encode(), digest_size=4).digest()
    spread = int.from_bytes(digest, "big") / 0xFFFF_FFFF * 0.2 - 0.1
    return round(wait_us * (1 + spread))
