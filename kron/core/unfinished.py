"""What is known of a moment that is not over: pending, or with an open run; told into a story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .beginnings import begun, put_window, stands_for, what_kept
from .model import Cause, Reason, RunState, Stop
from .outlook import held_up, left_out_by, waits_behind
from .standing import OpenRun, Standing
from .telling import down_after, noted, said, stamp, was_down

if TYPE_CHECKING:
    from .why import Facts, Why

STOPS = {
    Stop.CANCEL: "kron.cancel()",
    Stop.TIMEOUT: "it took longer than its timeout",
    Stop.RESTART: "another run replaces it (overlap=restart)",
    Stop.REMOVED: "the timer was removed",
    Stop.SHUTDOWN: "the scheduler was shut down",
    Stop.CRASHED: "the process died",
}
_IN_ITS_THREAD = "an attempt that timed out goes on in its thread"


def stopped_by(reason: str) -> str:
    """Why an attempt was asked to stop, or has stopped."""
    return next((words for stop, words in STOPS.items() if stop == reason), reason)


def tell_pending(facts: Facts, story: Why, moment_us: int) -> list[str]:
    """A moment that has come and about which the log says nothing yet."""
    standing = facts.standing
    due_us = standing.due_us(moment_us)
    head = f"{stamp(moment_us)} has come, and {standing.name} has not run"
    if due_us > standing.now_us and standing.left_out(moment_us) is None:
        story["outcome"] = "coming"
        return [f"{head} yet: its jitter delays that to {stamp(due_us)}."]
    story["outcome"] = "pending"
    if (left_out := standing.left_out(moment_us)) is not None:
        story["because"] = left_out
        why = left_out_by(standing, moment_us, left_out)
        return [f"{standing.name} does not run at {stamp(moment_us)}: {why}."]
    if (held := held_up(standing, due_us)) is not None:
        story["because"] = held.because
        is_paused = standing.paused is not None and held.because == Reason.PAUSED
        note = noted(standing.paused) if standing.paused is not None and is_paused else []
        return [f"{head}.", held.text, *note, _later(standing, held.because)]
    if not standing.is_live:
        down = down_after(standing, moment_us)
        story["because"] = Reason.DOWN
        put_window(story, Reason.DOWN, down)
        why = was_down(down, moment_us).replace("was down", "has been down")
        return [f"{head}: {why}.", _later(standing, Reason.DOWN)]
    if standing.is_held_back:
        story["because"] = Reason.DELAYED
        return [f"{head}: {_in_the_way(facts)} (overlap=delay)."]
    return [f"{head} yet: it is about to."]


def _in_the_way(facts: Facts) -> str:
    """What the end of has to come first, under `delay`."""
    regular = facts.standing.regular
    return _is_open(facts, regular[0]) if regular else _IN_ITS_THREAD


def _is_open(facts: Facts, run: OpenRun) -> str:
    whose = ", a backfill's," if run.cause == Cause.BACKFILL else ""
    run_id = facts.run_text(run.id, run.scheduled_us)
    return f"{run_id} of {stamp(run.scheduled_us)}{whose} is still open"


def _later(standing: Standing, reason: str) -> str:
    """What will become of it."""
    assert standing.definition is not None
    ends_us = standing.resumes_us
    when = {
        Reason.PAUSED: "it is resumed" if ends_us is None else "the pause ends",
        Reason.ORPHANED: "it is registered again",
        Reason.DOWN: "a process is started and registers it",
    }.get(Reason(reason), "the zone is known")
    if reason == Reason.PAUSED and ends_us is not None and ends_us < standing.now_us:
        when = "a process is started"
    if standing.is_one_shot:
        return f"It runs when {when}."
    if reason == Reason.PAUSED:
        return f"When {when}, its moments of the pause are recorded as missed."
    return f'When {when}, missed="{standing.definition.terms.missed}" decides about it.'


# -- with an open run ---------------------------------------------------------------------------


def tell_open(facts: Facts, story: Why, run: OpenRun) -> list[str]:
    """A run that has not ended."""
    standing = facts.standing
    story["run_id"] = facts.run_text(run.id, run.scheduled_us)
    story["error"] = run.error or None
    begins = run.state in (RunState.DUE, RunState.RETRYING)
    story["attempts"] = run.attempt - 1 if begins else run.attempt
    if run.state is RunState.DUE:
        return _waiting(facts, story, run)
    started = begun(facts, story, run.scheduled_us, run.started_us) + stands_for(facts)
    if run.state is RunState.RETRYING:
        return [*started, *_retrying(facts, story, run)]
    which = "It" if run.attempt == 1 else f"Attempt {run.attempt}"
    if not standing.is_live:
        story["outcome"], story["because"] = "waiting", Stop.CRASHED
        last = stamp(standing.last_us)
        return [*started, f"{which} was running when the process died (last sign of life {last})."]
    story["outcome"] = "running"
    since = "" if run.attempt == 1 else f" since {stamp(run.started_us)}"
    is_asked = run.state is RunState.STOPPING
    asked = f", asked to stop: {stopped_by(run.stop_reason)}" if is_asked else ""
    return [*started, f"{which} is still running{since}{asked}."]


def _waiting(facts: Facts, story: Why, run: OpenRun) -> list[str]:
    """It has not begun."""
    standing = facts.standing
    story["outcome"] = "waiting"
    whose = "A backfill's run" if run.cause == Cause.BACKFILL else "The run"
    head = f"{whose} of {stamp(run.scheduled_us)} is there and has not begun"
    late = what_kept(facts, story, run.scheduled_us)
    parts = [f"It was late already: {late}."] if late else []
    before, held = waits_behind(standing, run), held_up(standing)
    if before is not None:
        story["because"] = "overlap"
        return [f"{head}: {_is_open(facts, before)}{_yields(before)}.", *parts]
    if held is not None and held.because == Reason.ORPHANED:
        story["because"] = Reason.ORPHANED
        return [f"{head}.", held.text, *parts]
    return [f"{head}.", *_room(standing, story, run), *parts]


def _yields(before: OpenRun) -> str:
    is_stopped = before.state is RunState.STOPPING and before.stop_reason == Stop.RESTART
    return ", asked to stop (overlap=restart)" if is_stopped else ""


def _room(standing: Standing, story: Why, run: OpenRun) -> list[str]:
    """What a run waits for whose turn it is."""
    if not standing.is_live:
        return ["It waits for the next start of a process."]
    if standing.lingers and (not standing.is_free or run.id in standing.lingers):
        story["because"] = "thread"
        return [f"It waits: {_IN_ITS_THREAD}."]
    if run.obstacle:
        story["because"] = run.obstacle
        return [run.room]
    return []


def _retrying(facts: Facts, story: Why, run: OpenRun) -> list[str]:
    standing = facts.standing
    story["outcome"], story["because"] = "waiting", "retry"
    last = facts.tries[0] if facts.tries else None
    is_time = standing.is_live and (run.retry_us or 0) <= standing.now_us
    waits = _room(standing, story, run) if is_time or run.id in standing.lingers else []
    again = f"attempt {run.attempt} {'was' if is_time else 'is'} due at {stamp(run.retry_us)}"
    if last is None:
        return [f"{again[0].upper()}{again[1:]}.", *waits]
    if last.reason == Stop.TIMEOUT:
        return [f"Attempt {last.attempt} {last.error} at {stamp(last.at_us)}; {again}.", *waits]
    if last.reason:
        story["because"] = last.reason
        how = f"ended at {stamp(last.at_us)}: {stopped_by(last.reason)}"
        due = f"it is due again, as attempt {run.attempt}"
        return [f"Attempt {last.attempt} {how}; {due}.", *waits]
    how = f"failed at {stamp(last.at_us)}; {again}."
    return [f"Attempt {last.attempt} {how}", said(last.error), *waits]
