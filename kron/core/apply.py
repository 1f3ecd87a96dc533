"""`apply`: one function an event, the only writers of the state.

Replaying a log from its first record gives an equal state, so nothing here decides, asks a clock
or computes a time: it copies what the events carry. `apply` never refuses a fact; an event that
cannot follow (KeyError) is a broken log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import events as ev
from .durations import noted
from .model import ELAPSED_KINDS, ONE_SHOT_KINDS, Kind, Mark, Reason, Stop
from .past import begun_anew, end_era, end_stretch, gone_on, late_run, take_back
from .state import LIVES, State
from .things import OUTCOMES, Backfill, Life, Pause, Run, Tally, Timer
from .tombstones import tombstone_of

DAY_US = 86_400_000_000
_LEFT_OUT = (Reason.EXCLUDED, Reason.BOUNDS)
_UNMEASURED = (Stop.CRASHED, Stop.SHUTDOWN)
"""Such an attempt took as long as it was let."""


def _timer_created(state: State, id_: int, event: ev.TimerCreated) -> None:
    timer = Timer(id_, event)
    _place(state, timer, event)
    state.enter(timer)
    state.remember(event.cmd, "created", id_)


def _timer_updated(state: State, id_: int, event: ev.TimerUpdated) -> None:
    timer = state.timers[event.timer]
    state.touch(timer)
    if not timer.definition.has_same_moments(event.definition):
        end_stretch(timer, state.to_own(timer, event.at_us))
        timer.past = begun_anew(timer)
    timer.definition = event.definition
    if timer.mark is Mark.CANCELLED:
        timer.mark = Mark.NONE
    _place(state, timer, event)
    state.remember(event.cmd, "updated", id_)


def _place(state: State, timer: Timer, event: ev.TimerCreated | ev.TimerUpdated) -> None:
    # A number of its own only where it means something: a million timers have a million of them.
    is_anchored = timer.definition.kind in ELAPSED_KINDS
    timer.anchor_us = state.to_own(timer, event.anchor_us) if is_anchored else timer.created_us
    timer.next_us = None if event.next_us is None else state.to_own(timer, event.next_us)


def _timer_removed(state: State, id_: int, event: ev.TimerRemoved) -> None:
    timer = state.timers[event.timer]
    state.leave(timer)
    timer.mark = Mark.REMOVED
    timer.next_us = None
    if event.reason and timer.definition.kind is Kind.AFTER:
        state.bury(tombstone_of(timer.name, timer.definition))
    state.remember(event.cmd, "removed", id_)


def _timer_paused(state: State, id_: int, event: ev.TimerPaused) -> None:
    timer = state.timers[event.timer]
    state.touch(timer)
    until_us = event.until_us
    if until_us is not None and event.is_elapsed:
        until_us -= state.shift_us
    since_us = event.at_us if timer.paused is None else timer.paused.since_us
    timer.paused = Pause(since_us, until_us, event.is_elapsed, event.reason, event.who)
    state.remember(event.cmd, "paused", id_)


def _timer_resumed(state: State, id_: int, event: ev.TimerResumed) -> None:
    timer = state.timers[event.timer]
    state.touch(timer)
    timer.paused = None
    timer.next_us = None if event.next_us is None else state.to_own(timer, event.next_us)
    state.remember(event.cmd, "resumed", id_)


def _timer_moved(state: State, id_: int, event: ev.TimerMoved) -> None:
    timer = state.timers[event.timer]
    state.touch(timer)
    end_stretch(timer, state.to_own(timer, event.at_us))
    timer.next_us = None if event.next_us is None else state.to_own(timer, event.next_us)


# -- runs ---------------------------------------------------------------------------------------


def _run_due(state: State, id_: int, event: ev.RunDue) -> None:
    timer = state.timers[event.timer]
    state.touch(timer)
    state.enter(Run(id_, timer, event))
    timer.open = (*timer.open, id_)
    if event.cause == "schedule":
        timer.next_us = None if event.next_us is None else state.to_own(timer, event.next_us)
        if timer.ran_us is None:
            timer.ran_us = state.to_own(timer, event.scheduled_us)
        if event.late and timer.definition.is_fixed_delay:
            moment_us = state.to_own(timer, event.scheduled_us)
            late_run(timer, moment_us, state.to_own(timer, event.at_us))
    elif event.cause == "backfill":
        next_us = None if event.next_us is None else state.to_own(timer, event.next_us)
        timer.past = gone_on(timer.past, state.to_own(timer, event.scheduled_us), next_us)
    if event.cmd:
        state.remember(event.cmd, "due", id_, event.scheduled_us)


def _backfill_started(state: State, id_: int, event: ev.BackfillStarted) -> None:
    timer = state.timers[event.timer]
    state.touch(timer)
    own = [event.since_us, event.until_us, event.next_us]
    since_us, until_us, next_us = [us if us is None else state.to_own(timer, us) for us in own]
    values = (event.moments, 0, event.concurrency, event.is_forced)
    backfill = Backfill(since_us or 0, until_us or 0, next_us, *values)
    timer.past = timer.past._replace(backfills=(*timer.past.backfills, backfill))
    state.remember(event.cmd, "backfill", id_, event.moments + (event.done << 32))


def _backfill_ended(state: State, id_: int, event: ev.BackfillEnded) -> None:
    timer = state.timers[event.timer]
    state.touch(timer)
    timer.past = timer.past._replace(backfills=timer.past.backfills[1:])


def _run_started(state: State, id_: int, event: ev.RunStarted) -> None:
    run = state.move(event.run, event)
    run.attempt = event.attempt
    run.started_us = event.at_us
    run.retry_us = None
    timer = run.timer
    if timer.mark is not Mark.NONE and timer.mark is not Mark.REMOVED:
        state.touch(timer)
        timer.mark = Mark.NONE


def _run_succeeded(state: State, id_: int, event: ev.RunSucceeded) -> None:
    timer = state.move(event.run, event).timer
    _, _, _, succeeded, failed, missed, skipped, retries, outcomes, took, streak, longest = (
        timer.tally
    )
    streak = streak + 1 if streak > 0 else 1
    timer.tally = Tally(
        event.at_us, event.took_us, "OK", succeeded + 1,
        failed, missed, skipped, retries, (outcomes + "s")[-OUTCOMES:], noted(took, event.took_us),
        streak, longest if streak <= longest[0] else (streak, longest[1]),
    )  # fmt: skip
    if event.next_us is not None:
        timer.next_us = state.to_own(timer, event.next_us)
    state.ring.append((id_, event))


def _run_failed(state: State, id_: int, event: ev.RunFailed) -> None:
    run = state.move(event.run, event)
    run.error = event.error
    timer = run.timer
    state.touch(timer)
    tally = timer.tally
    is_measured = event.reason not in _UNMEASURED
    timer.tally = tally._replace(
        last_run_us=event.at_us,
        last_took_us=event.took_us,
        last_status=f"FAILED: {event.error}",
        failed=tally.failed + 1,
        took=noted(tally.took, event.took_us) if is_measured else tally.took,
    )
    state.ring.append((id_, event))


def _run_retrying(state: State, id_: int, event: ev.RunRetrying) -> None:
    run = state.move(event.run, event)
    run.attempt = event.attempt
    run.retry_us = event.retry_us - state.shift_us
    run.stop_reason = ""
    timer = run.timer
    state.touch(timer)
    day = event.retry_us // DAY_US
    recent = {d: n for d, n in timer.tally.retry_days if d > day - 8}
    recent[day] = recent.get(day, 0) + 1
    timer.tally = timer.tally._replace(retry_days=tuple(recent.items()))


def _run_dead(state: State, id_: int, event: ev.RunDead) -> None:
    timer = state.move(event.run, event).timer
    _mark(timer, Mark.DEAD)
    streak, (succeeded, dead) = min(timer.tally.streak, 0) - 1, timer.tally.longest
    counts = {"streak": streak, "longest": (succeeded, max(dead, -streak))}
    _note(timer, "d", f"DEAD: {event.error}", last_run_us=event.at_us, **counts)
    _go_on(state, timer, event.next_us)
    state.ring.append((id_, event))


def _run_cancelled(state: State, id_: int, event: ev.RunCancelled) -> None:
    run = state.move(event.run, event)
    timer = run.timer
    if run.started_us is None:
        take_back(timer, run, state.to_own(timer, run.scheduled_us), state.shift_us)
    if timer.definition.kind in ONE_SHOT_KINDS:
        _mark(timer, Mark.CANCELLED)
    took_us = None if event.started_us is None else max(0, event.at_us - event.started_us)
    _note(timer, "c", "CANCELLED", last_run_us=event.at_us, last_took_us=took_us)
    _go_on(state, timer, event.next_us)
    state.ring.append((id_, event))
    state.remember(event.cmd, "cancelled", id_)


def _run_skipped(state: State, id_: int, event: ev.RunSkippedOverlap) -> None:
    timer = state.timers[event.timer]
    state.touch(timer)
    _note(timer, "k", "SKIPPED_OVERLAP", skipped=timer.tally.skipped + 1)
    if event.cause == "schedule":
        end_stretch(timer, state.to_own(timer, event.scheduled_us))
        timer.next_us = None if event.next_us is None else state.to_own(timer, event.next_us)
        run = state.runs.get(event.by_run)
        if run is not None and run.timer is timer:
            state.touch(run)
            run.skipped_us = event.scheduled_us
    state.ring.append((id_, event))
    state.remember(event.cmd, "skipped", id_)


def _run_missed(state: State, id_: int, event: ev.RunMissed) -> None:
    if event.run:
        run = state.move(event.run, event)
        timer = run.timer
        take_back(timer, run, state.to_own(timer, run.scheduled_us), state.shift_us)
    else:
        timer = state.timers[event.timer]
        state.touch(timer)
        if event.reason not in _LEFT_OUT:
            end_stretch(timer, state.to_own(timer, event.first_us))
    is_end = timer.definition.kind in ONE_SHOT_KINDS
    status = f"MISSED: {event.reason}" if is_end else timer.tally.last_status
    _note(timer, "m", status, missed=timer.tally.missed + event.moments)
    if event.next_us != ev.UNSAID:
        timer.next_us = None if event.next_us is None else state.to_own(timer, event.next_us)
    state.ring.append((id_, event))


def _run_stopping(state: State, id_: int, event: ev.RunStopping) -> None:
    state.move(event.run, event).stop_reason = event.reason
    state.remember(event.cmd, "stopping", id_)


def _note(timer: Timer, outcome: str, status: str | None, **values: Any) -> None:
    """An outcome other than the usual one."""
    outcomes = (timer.tally.outcomes + outcome)[-OUTCOMES:]
    timer.tally = timer.tally._replace(outcomes=outcomes, last_status=status, **values)


def _mark(timer: Timer, mark: Mark) -> None:
    if timer.mark is not Mark.REMOVED:
        timer.mark = mark


def _go_on(state: State, timer: Timer, next_us: int | None) -> None:
    if next_us is not None:
        timer.next_us = state.to_own(timer, next_us)


# -- the process --------------------------------------------------------------------------------


def _set(state: State, **values: Any) -> None:
    old = {name: getattr(state, name) for name in values}
    state.__dict__.update(values)
    state.on_undo(lambda: state.__dict__.update(old))


def _scheduler_started(state: State, id_: int, event: ev.SchedulerStarted) -> None:
    lives, shift_us = state.lives, state.shift_us
    if lives and lives[-1].ended_us is None:  # it died
        last_us = min(state.last_us, event.at_us)
        lives = (*lives[:-1], lives[-1].ended(last_us, None, shift_us))
    steady = (event.at_us - shift_us, None, None)
    life = Life(event.at_us, unknown=tuple(event.unknown.split()), steady=steady)
    _set(state, lives=(*lives[1 - LIVES :], life))


def _scheduler_stopped(state: State, id_: int, event: ev.SchedulerStopped) -> None:
    life = (state.lives or (Life(event.since_us),))[-1]
    life = life.ended(event.at_us, event.since_us, state.shift_us)
    _set(state, lives=(*state.lives[:-1], life))


def _clock_step(state: State, id_: int, event: ev.ClockStep) -> None:
    _set(state, shift_us=state.shift_us + event.delta_us)
    if event.delta_us < 0:
        _set(state, lives=tuple(life.until(event.at_us) for life in state.lives))
    if event.era:
        _set(state, eras=(*state.eras, id_), era_us=event.at_us, high_us=event.at_us)
        for timer in state.timers.values():
            if timer.ran_us is not None and timer.definition.kind not in ELAPSED_KINDS:
                _end_era(state, timer, event.at_us - event.delta_us)


def _end_era(state: State, timer: Timer, at_us: int) -> None:
    state.touch(timer)
    runs = [state.runs[id_] for id_ in timer.open]
    moments = [run.scheduled_us for run in runs if run.cause == "schedule"]
    end_era(timer, max(moments, default=None), at_us)


def _nothing(state: State, id_: int, event: ev.TailCut | ev.Unknown) -> None:
    """A fact for people (or for a newer version); no state follows from it."""


APPLY: dict[type[ev.Event], Callable[[State, int, Any], None]] = {
    ev.TimerCreated: _timer_created,
    ev.TimerUpdated: _timer_updated,
    ev.TimerRemoved: _timer_removed,
    ev.TimerPaused: _timer_paused,
    ev.TimerResumed: _timer_resumed,
    ev.TimerMoved: _timer_moved,
    ev.RunDue: _run_due,
    ev.RunStarted: _run_started,
    ev.RunSucceeded: _run_succeeded,
    ev.RunFailed: _run_failed,
    ev.RunRetrying: _run_retrying,
    ev.RunDead: _run_dead,
    ev.RunCancelled: _run_cancelled,
    ev.RunSkippedOverlap: _run_skipped,
    ev.RunMissed: _run_missed,
    ev.RunStopping: _run_stopping,
    ev.BackfillStarted: _backfill_started,
    ev.BackfillEnded: _backfill_ended,
    ev.SchedulerStarted: _scheduler_started,
    ev.SchedulerStopped: _scheduler_stopped,
    ev.ClockStep: _clock_step,
    ev.TailCut: _nothing,
    ev.Unknown: _nothing,
}
